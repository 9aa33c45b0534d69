//! A plan kept in a file, to be applied as it was looked at or not at all.

use super::DatabasePlan;
use crate::error::Error;
use policy::spec::Undeclared;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Changes whenever an older program would misunderstand the file.
const FORMAT: &str = "rolecall-saved-plan/1";

/// The spec a plan was made from, what was allowed, and the plan. No password is in it.
#[derive(Serialize, Deserialize)]
pub struct Saved {
    format: String,
    /// The spec's file.
    pub name: String,
    /// Its text.
    pub spec: String,
    revoke_privileges: bool,
    revoke_members: bool,
    drop_roles: bool,
    change_owners: bool,
    /// What was going to be done.
    pub databases: Vec<DatabasePlan>,
}

impl Saved {
    /// Puts a plan and what it came from together.
    pub fn new(name: String, spec: String, allowed: Undeclared, databases: Vec<DatabasePlan>) -> Self {
        let Undeclared { revoke_privileges, revoke_members, drop_roles, change_owners } = allowed;
        let format = FORMAT.to_owned();
        Self { format, name, spec, revoke_privileges, revoke_members, drop_roles, change_owners, databases }
    }

    /// What was allowed beyond adding.
    pub fn allowed(&self) -> Undeclared {
        let Self { revoke_privileges, revoke_members, drop_roles, change_owners, .. } = *self;
        Undeclared { revoke_privileges, revoke_members, drop_roles, change_owners }
    }

    /// Writes it to a file: whole, or not at all.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = |source: std::io::Error| Error::File { path: path.to_owned(), source };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        serde_json::to_writer_pretty(&mut file, self).map_err(|error| failed(error.into()))?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The saved plan that `text` is; none if it is something else, such as a spec.
    ///
    /// # Errors
    /// A saved plan of another version of this program, or one that was damaged.
    pub fn read(text: &str) -> Option<Result<Self, String>> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        let head: Head = serde_json::from_str(text).ok()?;
        if head.format != FORMAT {
            let other = head.format.starts_with("rolecall-saved-plan/");
            return other.then(|| Err("it was written by another version of rolecall".to_owned()));
        }
        Some(serde_json::from_str(text).map_err(|error| error.to_string()))
    }
}
