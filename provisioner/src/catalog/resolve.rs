//! What only the server can read: argument types of routines and times.

use super::read::{number, rows, text};
use crate::error::Error;
use policy::spec::{Contents, Desired, Kind, ValidUntil};
use policy::sql::{identifier, literal};
use postgres::Client;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Answers of the server.
#[derive(Default)]
pub struct Resolved {
    /// From a schema and a signature to the routine's oid.
    pub routines: HashMap<(String, String), u32>,
    /// The columns the spec names, by the oids of the tables that have them.
    pub columns: HashSet<(u32, String)>,
    /// From a time's text to seconds since 1970, as text.
    pub times: HashMap<String, String>,
}

/// Asks the server about everything in `desired` and `contents` that it alone can read.
///
/// # Errors
/// Whatever the server says, such as a time it cannot read.
pub fn resolve(client: &mut Client, desired: &Desired, contents: &Contents) -> Result<Resolved, Error> {
    let mut resolved = Resolved::default();
    let mut times: Vec<&str> = Vec::new();
    for options in desired.roles.values() {
        if let Some(ValidUntil::Time(time)) = &options.valid_until {
            times.push(time);
        }
    }
    times.sort_unstable();
    times.dedup();
    for time in times {
        let sql = format!("SELECT extract(epoch FROM {}::timestamptz)", literal(time));
        let seconds = rows(client, &sql)?.first().and_then(|row| row.get(0)).unwrap_or_default().to_owned();
        resolved.times.insert(time.to_owned(), seconds);
    }
    resolved.columns = columns(client, contents)?;
    let mut signatures = Vec::new();
    for grant in &contents.grants {
        if !matches!(grant.on.kind, Kind::Routine(_)) {
            continue;
        }
        for name in grant.on.names.iter().chain(&grant.except) {
            if let (bare, Some(arguments)) = name.signature() {
                for schema in grant.on.schemas.iter().filter(|schema| !schema.is_wild()) {
                    signatures.push((schema.as_str(), name.as_str(), bare, arguments));
                }
            }
        }
    }
    if signatures.is_empty() {
        return Ok(resolved);
    }
    let selects: Vec<String> = signatures
        .iter()
        .map(|(schema, _, bare, arguments)| {
            let signature = format!("{}.{}({arguments})", identifier(schema), identifier(bare));
            format!("to_regprocedure({})::oid", literal(&signature))
        })
        .collect();
    let answers = rows(client, &format!("SELECT unnest(ARRAY[{}])", selects.join(", ")))?;
    for ((schema, name, ..), row) in signatures.iter().zip(answers) {
        if let Some(oid) = row.get(0).and_then(|oid| oid.parse().ok()) {
            resolved.routines.insert(((*schema).to_owned(), (*name).to_owned()), oid);
        }
    }
    Ok(resolved)
}

fn columns(client: &mut Client, contents: &Contents) -> Result<HashSet<(u32, String)>, Error> {
    let named: BTreeSet<&String> = contents.grants.iter().flat_map(|grant| &grant.on.columns).collect();
    if named.is_empty() {
        return Ok(HashSet::new());
    }
    let named: Vec<String> = named.into_iter().map(|name| literal(name)).collect();
    let sql = format!(
        "SELECT attrelid, attname FROM pg_attribute WHERE attname IN ({}) AND NOT attisdropped",
        named.join(", ")
    );
    rows(client, &sql)?.iter().map(|row| Ok((number(row, 0)?, text(row, 1)?))).collect()
}
