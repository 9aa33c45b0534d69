//! What receiving messages keeps in memory for a second, so that a message costs one statement: which queues there are for
//! who acts, and whose turn it is.

use crate::backend::{caller, session};
use crate::error::Reported;
use crate::query;
use pgrx::prelude::*;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// How often a connection that has enough to receive looks for what is overdue, and its queues up.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// The queues that somebody may receive from, in the order of their ids, with what they are called.
struct Kept {
    by: (u64, u64),
    since: Instant,
    queues: Vec<(i64, String)>,
}

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
    /// Ids begin at 1.
    static LAST: Cell<i64> = const { Cell::new(0) };
}

/// The queues that the present identity may receive from, the one whose turn it is first; NULL: look them up, and for what
/// is overdue.
#[pg_extern(sql = false)]
fn kept_queues() -> Option<Vec<i64>> {
    let by = (session::changes(), session::actor());
    KEPT.with_borrow_mut(|kept| match kept {
        Some(kept) if kept.by == by && kept.since.elapsed() < TIDY_EVERY && !kept.queues.is_empty() => {
            let next = kept.queues.partition_point(|(id, _)| *id <= LAST.get());
            let (before, after) = kept.queues.split_at(next);
            Some(after.iter().chain(before).map(|(id, _)| *id).collect())
        }
        _ => {
            *kept = Some(Kept { by, since: Instant::now(), queues: Vec::new() });
            None
        }
    })
}

/// Keeps what was looked up after `kept_queues()` had said so, unless an older snapshot shows it or it may be undone.
#[pg_extern(sql = false)]
fn keep_queues(ids: Vec<i64>, names: Vec<String>) -> Reported<()> {
    session::watch_table(c"queues")?;
    if caller::sees_what_is() {
        KEPT.with_borrow_mut(|kept| {
            if let Some(kept) = kept {
                kept.queues = ids.into_iter().zip(names).collect();
            }
        });
    }
    Ok(())
}

/// Notes that a queue has had its turn, and says what it is called.
#[pg_extern(sql = false)]
fn took_turn(queue: i64) -> Reported<Option<String>> {
    LAST.set(queue);
    let kept = KEPT.with_borrow(|kept| {
        let queues = &kept.as_ref()?.queues;
        queues.binary_search_by_key(&queue, |(id, _)| *id).ok().map(|at| queues[at].1.clone())
    });
    match kept {
        None => Ok(query::one("SELECT rolecall.queue_name($1)", &[queue.into()])?),
        name => Ok(name),
    }
}
