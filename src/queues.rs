//! Receiving messages: what is called for each of them, so that it costs one statement whose plan is kept.
//!
//! A connection remembers for a second which queues it may receive from, and looks once a second for what is overdue; it
//! forgets at once when roles or queues change.

use crate::backend::{caller, jsonb, owner, session};
use crate::error::{Error, Refusal, Reported, required};
use pgrx::datum::{DatumWithOid, Interval};
use pgrx::prelude::*;
use pgrx::spi::OwnedPreparedStatement;
use std::cell::{Cell, OnceCell, RefCell};
use std::time::{Duration, Instant};

/// How long a connection that always finds messages relies on what it knows.
const RELIES: Duration = Duration::from_secs(1);

/// Takes the next message of the queue `$1`, called `$2`, for `$3`, until `$4` after `$5`. Every name is qualified.
const TAKE: &str = "
    UPDATE rolecall.messages
       SET state = 'leased', consumer = $3, due = $5 OPERATOR(pg_catalog.+) $4, attempts = attempts OPERATOR(pg_catalog.+) 1
     WHERE id OPERATOR(pg_catalog.=) (
        SELECT id FROM rolecall.messages
         WHERE queue OPERATOR(pg_catalog.=) $1 AND state OPERATOR(pg_catalog.=) 'ready'
           AND expires_at OPERATOR(pg_catalog.>) $5
           AND (declined IS NULL OR coalesce((declined OPERATOR(pg_catalog.->>) $3)::pg_catalog.float8, 0)
                                    OPERATOR(pg_catalog.<=) pg_catalog.date_part('epoch', $5))
         ORDER BY priority, id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING pg_catalog.jsonb_build_object('message', id, 'queue', $2, 'payload', payload, 'sender', sender,
        'reply_to', CASE WHEN reply_to IS NOT NULL THEN rolecall.queue_name(reply_to) END, 'attempts', attempts,
        'lease_until', due)
        OPERATOR(pg_catalog.||) CASE WHEN in_reply_to IS NULL THEN '{}'::pg_catalog.jsonb
                                     ELSE pg_catalog.jsonb_build_object('in_reply_to', in_reply_to) END";

/// Ends the message `$1` that `$2` holds, if `$3` says so only at that attempt. Every name is qualified.
const END: &str = "
    DELETE FROM rolecall.messages
     WHERE id OPERATOR(pg_catalog.=) $1 AND state OPERATOR(pg_catalog.=) 'leased' AND consumer OPERATOR(pg_catalog.=) $2
       AND attempts OPERATOR(pg_catalog.=) coalesce($3, attempts)
    RETURNING coalesce(reply_to, 0)";

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
    static TAKING: Statement = const { Statement::new() };
    static ENDING: Statement = const { Statement::new() };
}

/// A prepared statement, never freed: PostgreSQL is gone when the process's memory is.
struct Statement(OnceCell<&'static OwnedPreparedStatement>);

impl Statement {
    const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// The first column of the row that the statement returns, which lives as long as the caller's call.
    fn run(
        &self,
        sql: &str,
        types: &[PgBuiltInOids],
        arguments: &[DatumWithOid],
    ) -> Result<Option<pgrx::AnyElement>, Error> {
        let run = || {
            Spi::connect_mut(|client| {
                let statement = match self.0.get() {
                    Some(statement) => *statement,
                    None => {
                        let types: Vec<_> = types.iter().map(|kind| PgOid::BuiltIn(*kind)).collect();
                        let statement = Box::leak(Box::new(client.prepare_mut(sql, &types)?.keep()));
                        *self.0.get_or_init(|| statement)
                    }
                };
                let rows = client.update(statement, Some(1), arguments)?;
                if rows.is_empty() { Ok(None) } else { Ok(jsonb::hand_out(&rows.first())?) }
            })
        };
        owner::run_qualified(run)
    }
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
            let types = [
                PgBuiltInOids::INT8OID,
                PgBuiltInOids::TEXTOID,
                PgBuiltInOids::TEXTOID,
                PgBuiltInOids::INTERVALOID,
                PgBuiltInOids::TIMESTAMPTZOID,
            ];
            let now = pgrx::datum::clock_timestamp();
            let arguments = [id.into(), name.into(), me.as_str().into(), lease.into(), now.into()];
            if let Some(message) = TAKING.with(|statement| statement.run(TAKE, &types, &arguments))? {
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
    let types = [PgBuiltInOids::INT8OID, PgBuiltInOids::TEXTOID, PgBuiltInOids::INT4OID];
    let arguments = [id.into(), me.into(), attempt.into()];
    let ended = ENDING.with(|statement| statement.run(END, &types, &arguments))?.ok_or_else(lost)?;
    let reply_to = ended.datum().value() as i64;
    if let (1.., Some(result)) = (reply_to, result) {
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
