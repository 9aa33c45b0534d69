//! What the extension shall hold in a database: the part of a spec under `rolecall`.

use super::error::At;
use super::table_name::TableName;
use crate::kits::Kit;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What the extension shall hold. A part that is not set is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Kits of roles that shall be there.
    pub kits: Vec<&'static Kit>,
    /// Other servers, by name.
    pub servers: Option<BTreeMap<String, Server>>,
    /// Roles, by name.
    pub roles: Option<BTreeMap<String, Role>>,
    /// Tables with rules.
    pub tables: Option<BTreeMap<TableName, Table>>,
    /// Queues of work, by name.
    pub work_queues: Option<BTreeMap<String, WorkQueue>>,
}

/// A server for which users get tokens.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it is declared.
    pub at: At,
    /// Its scopes.
    pub scopes: BTreeSet<String>,
    /// Whom its tokens are for.
    pub audience: String,
    /// Limits of its tokens.
    pub limits: Limits,
}

/// Limits of server tokens, as text that the server reads; one that is not set is left as it is.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// No token is good beyond this time.
    pub latest_expiry: Option<String>,
    /// No token is good for longer.
    pub longest_life: Option<String>,
}

/// A role of the extension; an attribute that is not set is left as it is.
#[derive(Clone, Debug, Default)]
pub struct Role {
    /// Where it is declared.
    pub at: At,
    /// What it is for; empty for nothing.
    pub description: Option<String>,
    /// Whether its members consume a queue together.
    pub pool: Option<bool>,
    /// The database role whose members hold it; empty for none.
    pub database_role: Option<String>,
    /// The server whose scopes it grants.
    pub server: Option<String>,
    /// Limits of tokens made with it.
    pub limits: Limits,
    /// The roles it is a member of; not set is none, and not looked at of a built-in role.
    pub member_of: Option<BTreeSet<String>>,
    /// Its scopes; not set is none, and not looked at of a built-in role.
    pub scopes: Option<BTreeSet<String>>,
}

/// A queue of work; an attribute that is not set is not looked at, of a new queue it is as the extension has it.
#[derive(Clone, Debug)]
pub struct WorkQueue {
    /// Where it is declared.
    pub at: At,
    /// The role whose members push and pop.
    pub pool: String,
    /// How many runs an item has.
    pub max_retries: Option<i32>,
    /// How long an item waits after a run that failed, as text that the server reads.
    pub retry_delay: Option<String>,
    /// How long a new item waits, as text that the server reads.
    pub initial_delay: Option<String>,
    /// Where successful items are copied to; empty for nowhere.
    pub success_queue: Option<String>,
    /// Where failed items are copied to; empty for nowhere.
    pub failed_queue: Option<String>,
}

/// A table with rules.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Where it is declared.
    pub at: At,
    /// The column with the users' ids, if the table holds the users.
    pub users_table: Option<String>,
    /// What filters call its relations to other tables.
    pub relations: BTreeMap<String, Relation>,
    /// Who may do what; if set, the table is protected.
    pub permissions: Option<Vec<Permission>>,
    /// The column with each row's access-control list; if set, the table is protected.
    pub acl_column: Option<String>,
    /// Whether there is a view of it that shows NULL in cells one may not read.
    pub exposed: bool,
}

/// A relation, in the words of `relate()`.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Where it is declared.
    pub at: At,
    /// The table of the related rows.
    pub other: TableName,
    /// The columns that equal `other_columns` or, through a table, its `columns`.
    pub columns: Vec<String>,
    /// The other table's columns.
    pub other_columns: Vec<String>,
    /// The table between the two.
    pub through: Option<Through>,
}

/// The table between two related ones.
#[derive(Clone, Debug)]
pub struct Through {
    /// Its name.
    pub table: TableName,
    /// Its columns that equal the relation's columns.
    pub columns: Vec<String>,
    /// Its columns that equal the other table's columns.
    pub other_columns: Vec<String>,
}

/// What roles may do with rows of a table.
#[derive(Clone, Debug)]
pub struct Permission {
    /// Where it is written.
    pub at: At,
    /// Who.
    pub roles: Vec<String>,
    /// What.
    pub actions: Vec<Action>,
    /// With which rows and columns.
    pub terms: Terms,
}

/// What is done with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Reading.
    Select,
    /// Making.
    Insert,
    /// Changing.
    Update,
    /// Removing.
    Delete,
}

/// With which rows and columns something may be done, and what is written then.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// Which rows.
    pub filter: Value,
    /// Which columns; all, if not set.
    pub columns: Option<Vec<String>>,
    /// What a written row must match; the filter, if not set.
    pub new_row: Option<Value>,
    /// What columns of a written row are set to.
    pub preset: Option<Value>,
}

impl WorkQueue {
    /// The queues that items are copied to.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        [&self.success_queue, &self.failed_queue].into_iter().flatten().map(String::as_str).filter(|it| !it.is_empty())
    }
}

impl Table {
    /// Whether nobody may do with it what is not said.
    pub fn is_protected(&self) -> bool {
        self.permissions.is_some() || self.acl_column.is_some()
    }
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Select, Self::Insert, Self::Update, Self::Delete];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// Whether it writes a row.
    pub fn writes(self) -> bool {
        matches!(self, Self::Insert | Self::Update)
    }
}

impl Terms {
    /// The part that concerns one action: a row is deleted as a whole, and only what is written is checked or preset.
    pub fn of(&self, action: Action) -> Self {
        let written = |json: &Option<Value>| json.clone().filter(|_| action.writes());
        Self {
            filter: self.filter.clone(),
            columns: self.columns.clone().filter(|_| action != Action::Delete),
            new_row: written(&self.new_row),
            preset: written(&self.preset),
        }
    }
}

impl Access {
    /// Adds what another place of the spec says about the same database; by the same name, the other counts.
    pub fn extend(&mut self, other: Self) {
        fn join<K: Ord, V>(mine: &mut Option<BTreeMap<K, V>>, other: Option<BTreeMap<K, V>>) {
            if let Some(other) = other {
                mine.get_or_insert_default().extend(other);
            }
        }
        self.kits.extend(other.kits);
        join(&mut self.servers, other.servers);
        join(&mut self.roles, other.roles);
        join(&mut self.tables, other.tables);
        join(&mut self.work_queues, other.work_queues);
    }
}
