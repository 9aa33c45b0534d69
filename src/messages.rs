//! Taking a message and ending it: what is done for each of them, and so without a statement.

use crate::backend::change::{Locked, Row, Table};
use crate::backend::jsonb::Object;
use crate::backend::owner;
use crate::error::Error;
use crate::query;
use pgrx::JsonB;
use pgrx::datum::{Interval, TimestampWithTimeZone, clock_timestamp};
use pgrx::prelude::*;

/// Seconds from 1970, from which SQL counts epochs, to 2000, from which PostgreSQL counts time.
const EPOCH: f64 = 946_684_800.0;

/// Takes the next message of a queue, called `name`, for `consumer`; it is as `receive()` returns it.
pub fn take(queue: i64, name: &str, consumer: &str, lease: Interval) -> Result<Option<pgrx::AnyElement>, Error> {
    let messages = Table::open(c"messages", c"rolecall.receive()")?;
    let column = |name| messages.column(name);
    let (of_queue, state, due, holder) = (column(c"queue"), column(c"state"), column(c"due"), column(c"consumer"));
    let (expires_at, declined, attempts) = (column(c"expires_at"), column(c"declined"), column(c"attempts"));
    let now = clock_timestamp();
    let is_next = |row: &Row| {
        row.get(of_queue) == Some(queue)
            && row.has_text(state, "ready")
            && row.get::<TimestampWithTimeZone>(expires_at) > Some(now)
            && row.get::<JsonB>(declined).is_none_or(|declined| !others_go_first(&declined.0, consumer, now))
    };
    let Some(row) = messages.lock_first(c"messages_ready", queue, Locked::Skip, is_next)? else { return Ok(None) };

    let lease_until = now + lease;
    let delivery = row.get::<i32>(attempts).unwrap_or_default() + 1;
    let sender = row.get::<String>(column(c"sender"));
    let reply_to = row.get::<i64>(column(c"reply_to")).map(called).transpose()?.flatten();
    let mut message = Object::new();
    message.integer("message", row.get(column(c"id")).unwrap_or_default());
    message.text("queue", Some(name));
    row.copy_jsonb(column(c"payload"), "payload", &mut message);
    message.text("sender", sender.as_deref());
    message.text("reply_to", reply_to.as_deref());
    message.integer("attempts", delivery.into());
    message.time("lease_until", lease_until);
    if let Some(question) = row.get(column(c"in_reply_to")) {
        message.integer("in_reply_to", question);
    }
    let message = message.end();
    row.update(&[
        (state, "leased".into_datum()),
        (holder, consumer.into_datum()),
        (due, lease_until.into_datum()),
        (attempts, delivery.into_datum()),
    ]);
    Ok(Some(message))
}

/// Ends a message that `consumer` holds, if `attempt` says so only at that delivery; where its result goes, if anywhere.
/// None: he does not hold it.
pub fn end(id: i64, consumer: &str, attempt: Option<i32>) -> Result<Option<Option<i64>>, Error> {
    let messages = Table::open(c"messages", c"rolecall.done()")?;
    let column = |name| messages.column(name);
    let (state, holder, attempts) = (column(c"state"), column(c"consumer"), column(c"attempts"));
    let is_held = |row: &Row| {
        row.has_text(state, "leased")
            && row.has_text(holder, consumer)
            && (attempt.is_none() || row.get(attempts) == attempt)
    };
    let Some(row) = messages.lock_first(c"messages_pkey", id, Locked::Wait, is_held)? else { return Ok(None) };
    let reply_to = row.get(column(c"reply_to"));
    row.delete();
    Ok(Some(reply_to))
}

/// Whether somebody was busy with a message, so that others may have it until a time that has not come.
fn others_go_first(declined: &serde_json::Value, consumer: &str, now: TimestampWithTimeZone) -> bool {
    let until = declined.get(consumer).and_then(serde_json::Value::as_f64);
    until.is_some_and(|until| until > now.into_inner() as f64 / 1e6 + EPOCH)
}

/// What a queue is called; None: it is gone.
fn called(queue: i64) -> Result<Option<String>, Error> {
    owner::act(|| query::one("SELECT rolecall.queue_name($1)", &[queue.into()]))
}
