//! What receiving messages must remember.

use pgrx::prelude::*;
use std::cell::Cell;

thread_local! {
    /// Ids begin at 1.
    static LAST: Cell<i64> = const { Cell::new(0) };
}

/// The queue that this connection received from last, so that the next ones get their turn.
#[pg_extern(sql = false)]
fn turn(served: Option<i64>) -> i64 {
    served.map_or(LAST.get(), |queue| {
        LAST.set(queue);
        queue
    })
}
