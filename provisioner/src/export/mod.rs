//! The present state as a spec: what a comparison judges, in as few words as the format has for it.

mod access;
mod cells;
mod collect;
mod compress;
mod defaults;
mod line;
mod notes;
mod roles;
mod templates;
mod write;
mod yaml;

pub use yaml::{Node, Section, document};

use crate::error::Error;
use collect::Source;
use notes::Notes;
use postgres::Client;

/// A spec, and what it does not say.
pub struct Export {
    /// The spec's top-level keys.
    pub sections: Vec<Section>,
    /// Remarks for the person who asked, one line each.
    pub notes: Vec<String>,
}

/// Reads the present state; of only some schemas if `schemas` names any, with `*` for any characters.
///
/// # Errors
/// A schema that does not exist, and whatever the server says.
pub fn export(client: &mut Client, schemas: &[String]) -> Result<Export, Error> {
    let mut notes = Notes::default();
    let source = Source::read(client, schemas, &mut notes)?;
    let objects = compress::Objects::new(&source, &mut notes);
    let defaults = defaults::lines(&source, &mut notes);
    let lines = objects.lines(&defaults::foreseen(&source));
    let found = templates::find(&source, &objects, lines, defaults);
    let roles = roles::nodes(&source, &mut notes);
    let mut sections = write::sections(&source, roles, found);
    // The extension's objects lie in no schema that one could pick.
    if schemas.is_empty() {
        sections.extend(access::section(client)?);
    }
    Ok(Export { sections, notes: notes.lines() })
}
