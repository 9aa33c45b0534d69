//! Receiving messages: from which queues, and in which order.
//!
//! A connection remembers for a second which queues it may receive from, and looks once a second for what is overdue; it
//! forgets at once when roles or queues change.

use crate::backend::{caller, jsonb, owner, session};
use crate::error::{Error, Refusal, Reported, required};
use crate::messages;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// How long a connection that always finds messages relies on what it knows.
const RELIES: Duration = Duration::from_secs(1);

/// A queue: its id and what it is called.
type Queue = (i64, String);

/// The queues that somebody may receive from, in the order of their ids.
struct Kept {
    by: (u64, u64),
    since: Instant,
    queues: Vec<Queue>,
}

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
    /// The queue that was served last. Ids begin at 1.
    static LAST: Cell<i64> = const { Cell::new(0) };
}

/// The next message of the queues that one may receive from, or of the one named.
#[pg_extern(sql = false)]
fn receive(lease: Option<Interval>, queue: Option<&str>) -> Reported<Option<pgrx::AnyElement>> {
    let me = consumer()?.ok_or(Refusal::LoginRequired).map_err(Error::from)?;
    let lease = required(lease, "lease")?;
    if !is_positive(&lease) {
        return Err(Error::BadArgument { what: "lease", value: lease.to_string(), problem: "must be positive" }.into());
    }
    loop {
        let queues = match queue {
            None => kept().map_or_else(|| owner::act(look_up), Ok)?,
            Some(name) => vec![the_one(owner::act(look_up)?, name)?],
        };
        let queues = if queues.len() > 2 { owner::act(|| waiting(queues))? } else { queues };
        for (id, name) in queues {
            if let Some(message) = messages::take(id, &name, &me, lease)? {
                LAST.set(id);
                return Ok(Some(message));
            }
        }
        if owner::act(tidy)? == 0 {
            let follow = "SELECT rolecall.follow_channels()
                           WHERE EXISTS (SELECT FROM pg_listening_channels() c WHERE starts_with(c, 'rolecall_'))";
            owner::act(|| crate::roles::run(follow, &[]))?;
            return Ok(None);
        }
    }
}

/// Ends a message that one has received, and sends the result to whoever asked for it.
#[pg_extern(sql = false)]
fn done(message: Option<i64>, result: Option<pgrx::AnyElement>, attempt: Option<i32>) -> Reported<()> {
    let lost = || Error::NotLeased(message.map_or_else(|| "NULL".into(), |message| message.to_string()));
    let (Some(id), Some(me)) = (message, consumer()?) else { return Err(lost().into()) };
    let reply_to = messages::end(id, &me, attempt)?.ok_or_else(lost)?;
    if let (Some(reply_to), Some(result)) = (reply_to, result) {
        let answer = "SELECT rolecall.answer($1, $2::jsonb, $3)";
        let result = jsonb::text(result);
        owner::act(|| crate::roles::run(answer, &[reply_to.into(), result.into(), id.into()]))?;
    }
    Ok(())
}

/// Who acts, as `identity_key()` says it.
fn consumer() -> Result<Option<String>, Error> {
    let session = session::current()?;
    let user = session.user.as_ref().map(|user| format!("user:{}", user.id));
    Ok(user.or_else(|| session.api_token().map(|id| format!("api_token:{id}"))))
}

/// Whether an interval is more than nothing, by PostgreSQL's own count of days and months.
fn is_positive(interval: &Interval) -> bool {
    let days = i128::from(interval.months()) * 30 + i128::from(interval.days());
    days * 86_400_000_000 + i128::from(interval.micros()) > 0
}

/// The queues that are known, the one whose turn it is first.
fn kept() -> Option<Vec<Queue>> {
    let by = (session::changes(), session::actor());
    KEPT.with_borrow(|kept| {
        let kept = kept.as_ref().filter(|kept| kept.by == by && kept.since.elapsed() < RELIES)?;
        Some(in_turn(&kept.queues))
    })
}

/// Looks the queues up, and for what is overdue. They are kept unless an older snapshot shows them, or the user's own was
/// made just now and may be undone. (What else may be undone says so when it is.)
fn look_up() -> Result<Vec<Queue>, Error> {
    session::watch_table(c"queues")?;
    let by = (session::changes(), session::actor());
    tidy()?;
    let (mut queues, complete) = consumable()?;
    if !complete {
        crate::roles::run("SELECT rolecall.queue_of(rolecall.user_id())", &[])?;
        queues = consumable()?.0;
    }
    let ordered = in_turn(&queues);
    if complete && caller::sees_what_is() {
        KEPT.set(Some(Kept { by, since: Instant::now(), queues }));
    }
    Ok(ordered)
}

/// The queues, and whether that is all: a user's own is made when it is first needed.
fn consumable() -> Result<(Vec<Queue>, bool), Error> {
    Spi::connect_mut(|client| {
        let (mut queues, mut complete) = (Vec::new(), true);
        for row in client.update("SELECT id, name FROM rolecall.consumable ORDER BY id", None, &[])? {
            match row.get::<i64>(1)?.zip(row.get::<String>(2)?) {
                Some(queue) => queues.push(queue),
                None => complete = false,
            }
        }
        Ok((queues, complete))
    })
}

/// Those after the one that was served last come first.
fn in_turn(queues: &[Queue]) -> Vec<Queue> {
    let next = queues.partition_point(|(id, _)| *id <= LAST.get());
    let (before, after) = queues.split_at(next);
    [after, before].concat()
}

fn the_one(queues: Vec<Queue>, wanted: &str) -> Result<Queue, Error> {
    let found = queues.into_iter().find(|(_, name)| name == wanted);
    found.ok_or_else(|| Error::NotConsumed(wanted.into()))
}

/// Where there are many queues, those in which something waits.
fn waiting(queues: Vec<Queue>) -> Result<Vec<Queue>, Error> {
    let ids: Vec<i64> = queues.iter().map(|(id, _)| *id).collect();
    let query = "SELECT array_agg(q) FROM unnest($1) q
                  WHERE EXISTS (SELECT FROM rolecall.messages WHERE queue = q AND state = 'ready')";
    let waiting = Spi::connect_mut(|client| {
        client.update(query, Some(1), &[ids.into()])?.first().get_one::<Vec<i64>>().map_err(Error::from)
    })?;
    let waiting = waiting.unwrap_or_default();
    Ok(queues.into_iter().filter(|(id, _)| waiting.contains(id)).collect())
}

/// Sees to some of what is overdue; how much that was.
fn tidy() -> Result<i64, Error> {
    let query = "SELECT seen_to FROM rolecall.tidy(100)";
    let seen_to = Spi::connect_mut(|client| client.update(query, Some(1), &[])?.first().get_one::<i64>())?;
    Ok(seen_to.unwrap_or(0))
}
