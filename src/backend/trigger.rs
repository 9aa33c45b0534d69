//! The trigger behind every change of who may do what.

use pgrx::prelude::*;

/// Tells all backends, at commit, and this one, at the next command, that the table changed.
#[pg_trigger(sql = false)]
fn invalidate_sessions<'a>(
    trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, PgTriggerError> {
    let table = trigger.relation()?.oid();
    // SAFETY: registers a message for the relation, which the trigger holds a lock on.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) };
    Ok(None::<PgHeapTuple<'a, AllocatedByPostgres>>)
}
