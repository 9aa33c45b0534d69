//! The extension's own objects: what a spec says under `rolecall`, compared with what the extension holds.

mod export;
pub mod held;
mod json;
mod kits;
mod permissions;
mod roles;
mod servers;
mod statement;
mod tables;
mod work_queues;

pub use export::{export, grouped};
pub use held::Held;

use crate::catalog::Present;
use crate::diff::Request;
use crate::error::Error;
use crate::plan::Operation;
use policy::spec::access::Access;
use policy::spec::{At, SpecError};
use postgres::Client;

/// What a comparison needs besides the two things it compares.
struct Context<'a> {
    client: &'a mut Client,
    request: &'a Request<'a>,
    present: &'a Present,
}

/// The operations that make the extension hold what `access` says, in the order they must be done; after the
/// database's own, since they name its roles.
///
/// # Errors
/// No extension, nobody who may administer it, names that stand for nothing, and filters that the extension refuses.
pub fn diff(
    client: &mut Client,
    access: &Access,
    request: &Request<'_>,
    present: &Present,
) -> Result<Vec<Operation>, Error> {
    if !held::is_installed(client)? {
        let database = &present.session.database;
        let message = format!("the spec has a part \"rolecall\", but database \"{database}\" lacks the extension");
        return Err(Error::mismatch(message, "CREATE EXTENSION rolecall"));
    }
    held::must_administer(client)?;
    let mut held = held::read(client)?;
    let context = &mut Context { client, request, present };
    let mut operations = kits::diff(&access.kits, &mut held);
    if let Some(servers) = &access.servers {
        operations.extend(servers::diff(context, servers, &held)?);
    }
    if let Some(roles) = &access.roles {
        operations.extend(roles::diff(context, access, roles, &held)?);
    }
    if let Some(tables) = &access.tables {
        let columns = tables::columns(context, tables)?;
        let named = tables::diff(tables, &columns, &held)?;
        // A filter may use what is only going to be named.
        let can_check = named.is_empty();
        operations.extend(named);
        operations.extend(tables::protected(tables, &columns, &held)?);
        operations.extend(permissions::diff(context, access, tables, &columns, &held, can_check)?);
        operations.extend(tables::exposed(tables, &held));
    }
    if let Some(queues) = &access.work_queues {
        operations.extend(work_queues::diff(context, access, queues, &held)?);
        operations.extend(work_queues::undeclared(context, queues, &held));
    }
    if let Some(roles) = &access.roles {
        operations.extend(roles::undeclared(context, roles, &held));
    }
    if let Some(servers) = &access.servers {
        operations.extend(servers::undeclared(context, servers, &held));
    }
    Ok(operations)
}

/// An error about a place of the spec.
fn problem(at: At, path: &str, message: impl Into<String>, hint: impl Into<String>) -> Error {
    let place = SpecError { at, path: path.to_owned(), message: message.into(), hint: None };
    Error::mismatch(place.to_string(), hint)
}

/// The server's refusal of what a place of the spec says.
fn refused(at: At, path: &str, error: postgres::Error) -> Error {
    match error.as_db_error() {
        Some(refusal) => Error::Mismatch {
            message: SpecError { at, path: path.to_owned(), message: refusal.message().to_owned(), hint: None }
                .to_string(),
            hint: refusal.hint().map(str::to_owned),
        },
        None => error.into(),
    }
}

/// Names in one line, cut when there are many.
fn listed(names: &[&str]) -> String {
    match names.len() {
        0..=4 => names.join(", "),
        many => format!("{} and {} more", names[..3].join(", "), many - 3),
    }
}

/// Raises an error unless a role of the extension is there or declared.
fn must_be_role(access: &Access, held: &held::Held, at: At, path: &str, name: &str) -> Result<(), Error> {
    let is_declared = access.roles.as_ref().is_some_and(|roles| roles.contains_key(name));
    if is_declared || held.roles.contains_key(name) {
        return Ok(());
    }
    let hint = "declare it under \"rolecall.roles\", or correct the name";
    Err(problem(at, path, format!("rolecall has no role \"{name}\""), hint))
}
