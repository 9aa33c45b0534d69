//! A plan: what would be done, and how it is shown.

mod json;
mod operation;
mod saved;
mod script;
mod text;

pub use json::json;
pub use operation::{Attribute, Flag, Operation, Requirement, Sign};
pub use saved::Saved;
pub use script::script;
pub use text::{printable, text};

use serde::{Deserialize, Serialize};

/// What would be done in one database.
#[derive(Debug, Serialize, Deserialize)]
pub struct DatabasePlan {
    /// The database.
    pub database: String,
    /// Who would do it.
    pub executor: String,
    /// Whether that is a superuser.
    pub superuser: bool,
    /// The server's version as people write it.
    #[serde(rename = "server")]
    pub version: String,
    /// What would be done, in order.
    pub operations: Vec<Operation>,
    /// What deserves a look, though nothing is done about it.
    pub warnings: Vec<String>,
}

impl DatabasePlan {
    /// Whether `other` does the same; statements that hold a password's verifier aside.
    pub fn does_the_same(&self, other: &Self) -> bool {
        self.database == other.database
            && self.operations.len() == other.operations.len()
            && self.operations.iter().zip(&other.operations).all(|(mine, its)| mine.is_same(its))
    }
}

/// What would be done everywhere.
pub struct Plan {
    /// The spec's file.
    pub spec: String,
    /// Database by database.
    pub databases: Vec<DatabasePlan>,
}

impl Plan {
    /// All operations.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.databases.iter().flat_map(|database| &database.operations)
    }

    /// Whether `other` does the same everywhere.
    pub fn does_the_same(&self, other: &Self) -> bool {
        self.databases.len() == other.databases.len()
            && self.databases.iter().zip(&other.databases).all(|(mine, its)| mine.does_the_same(its))
    }

    /// Whether there is nothing to do and nothing to complain about.
    pub fn is_empty(&self) -> bool {
        self.operations().next().is_none()
    }

    /// Whether something deserves a look, though nothing is done about it.
    pub fn has_warnings(&self) -> bool {
        self.databases.iter().any(|database| !database.warnings.is_empty())
    }

    /// How many operations have this sign and wait for no flag.
    pub fn count(&self, sign: Sign) -> usize {
        self.operations().filter(|operation| operation.sign == sign && operation.needs.is_none()).count()
    }

    /// How many operations wait for each flag.
    pub fn waiting(&self) -> std::collections::BTreeMap<Flag, usize> {
        let mut waiting = std::collections::BTreeMap::new();
        for flag in self.operations().filter_map(|operation| operation.needs) {
            *waiting.entry(flag).or_default() += 1;
        }
        waiting
    }
}
