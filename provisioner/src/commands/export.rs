//! `rolecall export`: the present state as a spec.

use super::print;
use crate::cli::Cli;
use crate::error::Error;
use crate::export::{Node, document, export as present_state};

/// Prints the spec; what it cannot say goes to standard error.
///
/// # Errors
/// A schema that does not exist, and whatever the server says.
pub fn export(cli: &Cli, schemas: &[String]) -> Result<u8, Error> {
    let mut client = cli.connection.connect(None)?;
    let export = present_state(&mut client, schemas)?;
    if cli.json {
        let entries = export.sections.into_iter().map(|section| (section.key, section.value));
        let text =
            serde_json::to_string_pretty(&Node::map(entries)).map_err(|error| Error::Unexpected(error.to_string()))?;
        print(&format!("{text}\n"))?;
    } else {
        let heading = "Roles and privileges as `rolecall export` found them. Passwords are not among them.";
        print(&document(heading, &export.sections))?;
    }
    if !cli.quiet {
        for note in export.notes {
            anstream::eprintln!("note: {note}");
        }
    }
    Ok(0)
}
