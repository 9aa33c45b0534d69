//! The hooks that tie every statement to the identity it was planned and started for.
//!
//! * A statement that starts, or is planned, makes the next use of the identity check it again.
//! * A plan into which roles were folded runs only for those roles.
//! * A query whose rows depend on who asks goes on only for who started it: a cursor opened before the identity changed
//!   is refused instead of mixing the rows of two people.

use super::{caller, fold, memory, session, setting};
use crate::error::Error;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{c_char, c_int};

thread_local! {
    /// Who started the open queries whose rows depend on that.
    static STARTED_BY: RefCell<HashMap<*const pg_sys::QueryDesc, u64>> = RefCell::default();
    /// How many such queries are running, one inside the other.
    static RUNNING: Cell<u32> = const { Cell::new(0) };
    /// The database role of the last utility statement.
    static SESSION_USER: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::Oid::INVALID) };
}

// Another library's hooks are C: what they raise must not jump over these frames, so they are called behind a guard.
static mut FORMER_START: pg_sys::ExecutorStart_hook_type = None;
static mut FORMER_RUN: pg_sys::ExecutorRun_hook_type = None;
static mut FORMER_UTILITY: pg_sys::ProcessUtility_hook_type = None;
static mut FORMER_PLANNER: pg_sys::planner_hook_type = None;

pub fn install() {
    // SAFETY: called once from _PG_init, before any hook can run.
    unsafe {
        FORMER_START = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(start);
        FORMER_RUN = pg_sys::ExecutorRun_hook;
        pg_sys::ExecutorRun_hook = Some(run);
        FORMER_UTILITY = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(utility);
        FORMER_PLANNER = pg_sys::planner_hook;
        pg_sys::planner_hook = Some(planner);
    }
}

/// Whether a query whose rows depend on who asks is running.
pub fn is_running() -> bool {
    RUNNING.get() > 0
}

/// The transaction ended, and with it every query.
pub fn forget_queries() {
    STARTED_BY.with_borrow_mut(HashMap::clear);
}

fn statement_starts() -> Option<session::Outer> {
    let outer = session::enter();
    if let Err(error) = memory::ready() {
        ErrorReport::from(error).report(PgLogLevel::ERROR);
    }
    outer
}

#[pg_guard]
unsafe extern "C-unwind" fn start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    let _outer = statement_starts();
    // SAFETY: PostgreSQL passes a query with its plan, and expects the former hook or the standard function to be called.
    unsafe {
        let personal = fold::stamp_of((*query).plannedstmt).personal;
        STARTED_BY.with_borrow_mut(|started| {
            if personal {
                started.insert(query.cast_const(), session::actor());
            } else {
                started.remove(&query.cast_const());
            }
        });
        memory::guarding(|| match FORMER_START {
            Some(former) => pg_guard_ffi_boundary(|| former(query, flags)),
            None => pg_sys::standard_ExecutorStart(query, flags),
        })
    }
}

#[cfg(not(feature = "pg18"))]
#[pg_guard]
unsafe extern "C-unwind" fn run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    once: bool,
) {
    // SAFETY: PostgreSQL passes a started query, and expects the former hook or the standard function to be called.
    unsafe {
        let _outer = session::enter();
        let _running = admit(query);
        memory::guarding(|| match FORMER_RUN {
            Some(former) => pg_guard_ffi_boundary(|| former(query, direction, count, once)),
            None => pg_sys::standard_ExecutorRun(query, direction, count, once),
        })
    }
}

#[cfg(feature = "pg18")]
#[pg_guard]
unsafe extern "C-unwind" fn run(query: *mut pg_sys::QueryDesc, direction: pg_sys::ScanDirection::Type, count: u64) {
    // SAFETY: PostgreSQL passes a started query, and expects the former hook or the standard function to be called.
    unsafe {
        let _outer = session::enter();
        let _running = admit(query);
        memory::guarding(|| match FORMER_RUN {
            Some(former) => pg_guard_ffi_boundary(|| former(query, direction, count)),
            None => pg_sys::standard_ExecutorRun(query, direction, count),
        })
    }
}

/// Lets a query run, or raises an error.
///
/// # Safety
/// `query` is a started query.
unsafe fn admit(query: *const pg_sys::QueryDesc) -> Option<Running> {
    // SAFETY: see above.
    let stamp = unsafe { fold::stamp_of((*query).plannedstmt) };
    if !stamp.personal {
        return None;
    }
    match suits(query, stamp) {
        Ok(()) => {
            RUNNING.set(RUNNING.get() + 1);
            Some(Running)
        }
        Err(error) => {
            ErrorReport::from(error).report(PgLogLevel::ERROR);
            None
        }
    }
}

/// Whether the present identity may go on with a query.
fn suits(query: *const pg_sys::QueryDesc, stamp: fold::Stamp) -> Result<(), Error> {
    let session = session::current()?;
    let starter = STARTED_BY.with_borrow(|started| started.get(&query).copied());
    if starter.is_some_and(|starter| starter != session::actor()) {
        return Err(Error::StartedByOther);
    }
    if stamp.roles.is_some_and(|roles| roles != session.fingerprint) {
        // Else a plan that escaped its invalidation would be refused for ever.
        fold::keep_plans_for(None);
        return Err(Error::PlannedForOtherRoles);
    }
    Ok(())
}

/// Counts a running query; taken back also when an error passes, since that unwinds.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(RUNNING.get() - 1);
    }
}

#[pg_guard]
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn utility(
    statement: *mut pg_sys::PlannedStmt,
    source: *const c_char,
    read_only: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    let _outer = session::enter();
    // SAFETY: PostgreSQL passes a utility statement, and expects the former hook or the standard function to be called.
    unsafe {
        let statement_itself = (*statement).utilityStmt;
        if let Err(error) = keeps_no_rows(statement_itself) {
            ErrorReport::from(error).report(PgLogLevel::ERROR);
        }
        if (*statement_itself).type_ == pg_sys::NodeTag::T_ExecuteStmt {
            // A prepared statement takes no new locks, and so would not notice what changed meanwhile.
            pg_sys::AcceptInvalidationMessages();
            if SESSION_USER.replace(caller::session_user()) != caller::session_user() {
                fold::keep_plans_for(session::known_fingerprint());
            }
        }
        memory::guarding(|| match FORMER_UTILITY {
            Some(former) => pg_guard_ffi_boundary(|| {
                former(statement, source, read_only, context, parameters, environment, destination, completion);
            }),
            None => pg_sys::standard_ProcessUtility(
                statement,
                source,
                read_only,
                context,
                parameters,
                environment,
                destination,
                completion,
            ),
        })
    }
}

/// Refuses what would leave a cursor with somebody's rows to whoever has the connection next.
///
/// # Safety
/// `statement` is a utility statement.
unsafe fn keeps_no_rows(statement: *const pg_sys::Node) -> Result<(), Error> {
    // SAFETY: a node is what its tag says.
    unsafe {
        match (*statement).type_ {
            pg_sys::NodeTag::T_DeclareCursorStmt => {
                let options = (*statement.cast::<pg_sys::DeclareCursorStmt>()).options;
                if options & pg_sys::CURSOR_OPT_HOLD as c_int != 0 && setting::ends_with_transaction() {
                    return Err(Error::State(
                        "a cursor WITH HOLD would outlive the identity",
                        "Read it in the transaction, or take on the identity for the session.",
                    ));
                }
            }
            pg_sys::NodeTag::T_VariableSetStmt => {
                let kind = (*statement.cast::<pg_sys::VariableSetStmt>()).kind;
                let resets_all = kind == pg_sys::VariableSetKind::VAR_RESET_ALL;
                if resets_all && setting::present().is_some() && caller::has_open_cursors() {
                    return Err(Error::IdentityInUse("a cursor is open"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[pg_guard]
unsafe extern "C-unwind" fn planner(
    query: *mut pg_sys::Query,
    source: *const c_char,
    options: c_int,
    parameters: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    let _outer = statement_starts();
    // SAFETY: PostgreSQL passes a query, and expects the former hook or the standard function to be called.
    unsafe {
        memory::guarding(|| match FORMER_PLANNER {
            Some(former) => pg_guard_ffi_boundary(|| former(query, source, options, parameters)),
            None => pg_sys::standard_planner(query, source, options, parameters),
        })
    }
}
