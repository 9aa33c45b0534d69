//! Planning and applying against a server.

use crate::access;
use crate::catalog::{Present, Reader, Resolved, resolve, snapshot};
use crate::diff::{Request, Stage, diff, lint};
use crate::error::Error;
use crate::plan::DatabasePlan;
use crate::progress::Progress;
use crate::waited;
use policy::spec::Kind;
use postgres::Client;
use postgres::error::SqlState;
use std::time::Duration;

/// One key for all runs in a database, so that they come one after the other.
const LOCK: i64 = 0x726f_6c65_6361_6c6c;
const ATTEMPTS: u32 = 8;
const MESSAGE: usize = 1 << 20;

/// What a run is about.
pub struct Job<'a> {
    /// What is asked for.
    pub request: Request<'a>,
    /// `lock_timeout`, if set.
    pub lock_timeout: Option<&'a str>,
    /// `statement_timeout`, if set.
    pub statement_timeout: Option<&'a str>,
    /// What somebody was shown and agreed to.
    pub agreed: Option<&'a DatabasePlan>,
    /// Where it is told how far things are.
    pub progress: &'a Progress,
}

/// Prepares a session: what a person or a role has set must not change what the catalogs print, and compiling a query
/// over a catalog takes longer than running it.
///
/// # Errors
/// Whatever the server says.
pub fn prepare(client: &mut Client, job: &Job<'_>) -> Result<(), Error> {
    let mut sql = "SET search_path = pg_catalog; SET extra_float_digits = 1; SET client_min_messages = error; \
                   SET jit = off"
        .to_owned();
    let timeouts = [("lock_timeout", job.lock_timeout), ("statement_timeout", job.statement_timeout)];
    for (name, value) in timeouts {
        if let Some(value) = value {
            sql += &format!("; SET {name} = {}", policy::sql::literal(value));
        }
    }
    client.batch_execute(&sql)?;
    Ok(())
}

/// What would be done; nothing is written.
///
/// # Errors
/// A spec that does not fit the server, and whatever the server says.
pub fn plan(client: &mut Client, job: &Job<'_>) -> Result<DatabasePlan, Error> {
    prepare(client, job)?;
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let plan = compare(client, job)?;
    client.batch_execute("COMMIT")?;
    Ok(plan)
}

/// Does what is to be done, planned again under a lock, in one transaction; the plan as it was done.
///
/// # Errors
/// Whatever the server says; then nothing was done.
pub fn apply(client: &mut Client, job: &Job<'_>) -> Result<DatabasePlan, Error> {
    prepare(client, job)?;
    // If this program is killed while it waits, the server shall notice; not every platform can.
    let _ = client.batch_execute("SET client_connection_check_interval = '2s'");
    // The lock is the session's, since a transaction's own lock would come after its snapshot.
    client.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).map_err(|error| match error.code() {
        Some(code) if [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED].contains(code) => Error::Busy,
        _ => error.into(),
    })?;
    let mut attempt = 1;
    let done = loop {
        match attempt_apply(client, job) {
            Err(Error::Server(error)) if attempt < ATTEMPTS && is_passing(&error) => {
                client.batch_execute("ROLLBACK")?;
                std::thread::sleep(Duration::from_millis(20 << attempt));
                attempt += 1;
            }
            done => break done,
        }
    };
    if done.is_err() {
        // The first error counts; closing the connection undoes and unlocks as well.
        let _ = client.batch_execute("ROLLBACK");
    }
    let done = match done {
        Err(Error::Server(error)) => match waited::object(client, &error) {
            Some(object) => Err(Error::Waited { object, source: error }),
            None => Err(Error::Server(error)),
        },
        done => done,
    };
    let _ = client.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})"));
    done
}

fn attempt_apply(client: &mut Client, job: &Job<'_>) -> Result<DatabasePlan, Error> {
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")?;
    let plan = compare(client, job)?;
    if job.agreed.is_some_and(|agreed| !agreed.does_the_same(&plan)) {
        return Err(Error::Stale);
    }
    if let Some(operation) = plan.operations.iter().find(|operation| operation.asks) {
        let message = format!("meanwhile \"{}\" has lost its password, so nothing was done", operation.who);
        return Err(Error::mismatch(message, "run it again"));
    }
    let ready = || plan.operations.iter().filter(|operation| operation.needs.is_none());
    let messages = messages(ready().flat_map(|operation| &operation.sql));
    let progress = job.progress.applying(&plan.database, ready().map(|operation| operation.sql.len()).sum());
    for (message, statements) in &messages {
        client.batch_execute(message)?;
        progress.inc(*statements);
    }
    secrets(client, &plan)?;
    client.batch_execute("COMMIT")?;
    Ok(plan)
}

/// Sets passwords, at last.
fn secrets(client: &mut Client, plan: &DatabasePlan) -> Result<(), Error> {
    let secrets: Vec<&String> = plan.operations.iter().flat_map(|operation| &operation.secret).collect();
    if secrets.is_empty() {
        return Ok(());
    }
    if plan.superuser {
        unrecorded(client)?;
    }
    for (message, _) in messages(secrets.into_iter()) {
        client.batch_execute(&message)?;
    }
    Ok(())
}

/// Turns the server's records of statements off for the rest of a superuser's transaction: what is stored is no
/// password, but nobody needs to read it.
///
/// # Errors
/// Whatever the server says.
pub fn unrecorded(client: &mut Client) -> Result<(), Error> {
    client.batch_execute(
        "SELECT set_config(name, CASE name WHEN 'log_statement' THEN 'none' WHEN 'log_min_error_statement' \
         THEN 'panic' WHEN 'pg_stat_statements.track_utility' THEN 'off' ELSE '-1' END, true) FROM pg_settings \
         WHERE name IN ('log_statement', 'log_min_duration_statement', 'log_min_duration_sample', \
         'log_min_error_statement', 'pg_stat_statements.track_utility')",
    )?;
    Ok(())
}

fn compare(client: &mut Client, job: &Job<'_>) -> Result<DatabasePlan, Error> {
    let Request { desired, contents, .. } = job.request;
    let _reading = job.progress.reading();
    let resolved: Resolved = resolve(client, desired, contents)?;
    let mut present: Present = snapshot(client, &reader(&job.request))?;
    let warnings = if job.request.stage == Stage::Last { Vec::new() } else { lint(&job.request, &present) };
    let mut operations = diff(&job.request, &mut present, &resolved)?;
    if let Some(access) = &contents.access {
        operations.extend(access::diff(client, access, &job.request, &present)?);
    }
    let session = present.session;
    Ok(DatabasePlan {
        database: session.database,
        executor: session.executor,
        superuser: session.superuser,
        version: session.version_text,
        operations,
        warnings,
    })
}

fn reader<'a>(request: &Request<'a>) -> Reader<'a> {
    let contents = request.contents;
    let on = || contents.grants.iter().map(|grant| &grant.on).chain(contents.owners.iter().map(|owned| &owned.on));
    let schema_names = on().flat_map(|on| if on.kind == Kind::Schema { &on.names } else { &on.schemas });
    let is_system = |name: &str| name.starts_with("pg_") || name == "information_schema";
    Reader {
        system_schemas: schema_names
            .filter(|name| !name.is_wild() && is_system(name.as_str()))
            .map(|name| name.as_str().to_owned())
            .collect(),
        plain_routines: on().any(|on| matches!(on.kind, Kind::Routine(_))) || !request.desired.retire.is_empty(),
        plain_types: on().any(|on| on.kind == Kind::Type),
        large_objects: on()
            .filter(|on| on.kind == Kind::LargeObject)
            .flat_map(|on| &on.names)
            .filter_map(|name| name.as_str().parse().ok())
            .collect(),
        links: !contents.owners.is_empty(),
        desired: Some(request.desired),
        shared: request.stage != Stage::Further,
    }
}

/// Statements joined, since each message costs a round trip; with how many they are.
fn messages<'a>(statements: impl Iterator<Item = &'a String>) -> Vec<(String, u64)> {
    let mut messages: Vec<(String, u64)> = Vec::new();
    for sql in statements {
        match messages.last_mut() {
            Some((message, count)) if message.len() + sql.len() <= MESSAGE => {
                message.push_str(sql);
                message.push_str(";\n");
                *count += 1;
            }
            _ => messages.push((format!("{sql};\n"), 1)),
        }
    }
    messages
}

/// What a second attempt can cure: somebody else changed the same catalog row at the same time.
fn is_passing(error: &postgres::Error) -> bool {
    let Some(error) = error.as_db_error() else { return false };
    match error.code() {
        code if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED => true,
        code if *code == SqlState::UNIQUE_VIOLATION => error.schema() == Some("pg_catalog"),
        // What was not there when the plan was made.
        code if *code == SqlState::DUPLICATE_OBJECT || *code == SqlState::DUPLICATE_SCHEMA => true,
        code if *code == SqlState::INTERNAL_ERROR => error.message().contains("concurrently"),
        _ => false,
    }
}
