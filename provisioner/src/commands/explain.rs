//! `rolecall explain` and `rolecall who`: who may what, and why.

use super::print;
use crate::catalog::{Present, snapshot};
use crate::cli::Cli;
use crate::effective::{Details, Grants, find, reader, role};
use crate::error::Error;
use crate::explain::{Answers, object_json, object_text, role_json, role_text, who_json, who_text};
use policy::spec::Reference;
use postgres::Client;
use serde_json::Value;

/// Says what a role is and may, or what it may do with one object.
///
/// # Errors
/// A role or object that does not exist, and whatever the server says.
pub fn explain(cli: &Cli, role_name: &str, object: Option<&str>) -> Result<u8, Error> {
    let reference = object.map(parse).transpose()?;
    let (mut client, mut present, details) = read(cli, reference.as_ref())?;
    let role = role(&present, role_name)?;
    let Some(reference) = reference else {
        let answers = Answers::new(&present, details);
        let grants = Grants::new(&answers.access);
        show(cli, || role_json(&answers, &grants, role), || role_text(&answers, &grants, role))?;
        return Ok(0);
    };
    let found = find(&mut client, &mut present, &reference)?;
    let answers = Answers::new(&present, details);
    show(cli, || object_json(&answers, role, &found), || object_text(&answers, role, &found))?;
    Ok(0)
}

/// Says who may what on an object.
///
/// # Errors
/// An object that does not exist, and whatever the server says.
pub fn who(cli: &Cli, object: &str) -> Result<u8, Error> {
    let reference = parse(object)?;
    let (mut client, mut present, details) = read(cli, Some(&reference))?;
    let found = find(&mut client, &mut present, &reference)?;
    let answers = Answers::new(&present, details);
    show(cli, || who_json(&answers, &found), || who_text(&answers, &found))?;
    Ok(0)
}

fn parse(text: &str) -> Result<Reference, Error> {
    Reference::parse(text).map_err(|error| Error::mismatch(error.message, error.hint))
}

/// Reads the catalogs in one snapshot, in which the client still is.
pub(super) fn read(cli: &Cli, reference: Option<&Reference>) -> Result<(Client, Present, Details), Error> {
    let mut client = cli.connection.connect(None)?;
    client.batch_execute("SET search_path = pg_catalog; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let present = snapshot(&mut client, &reader(reference))?;
    let details = Details::read(&mut client, &present)?;
    Ok((client, present, details))
}

fn show(cli: &Cli, json: impl FnOnce() -> Value, text: impl FnOnce() -> String) -> Result<(), Error> {
    print(&if cli.json { format!("{:#}\n", json()) } else { text() })
}
