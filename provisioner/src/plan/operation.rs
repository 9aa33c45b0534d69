//! One thing a plan does, the size of an intent.

use crate::catalog::RoleId;
use policy::spec::Privileges;
use serde::{Deserialize, Serialize};

/// Whether something comes, changes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sign {
    /// Something is added.
    Add,
    /// Something is changed.
    Change,
    /// Something is taken away.
    Remove,
}

/// What must be said on the command line before an operation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Flag {
    /// Taking undeclared privileges and memberships away.
    #[serde(rename = "--revoke")]
    Revoke,
    /// Dropping roles, those of the extension, its servers and work queues included.
    #[serde(rename = "--drop")]
    Drop,
    /// Changing owners.
    #[serde(rename = "--owner")]
    Owner,
}

impl Flag {
    /// As it is written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Revoke => "--revoke",
            Self::Drop => "--drop",
            Self::Owner => "--owner",
        }
    }
}

/// What whoever executes an operation must be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Make and alter roles.
    CreateRole,
    /// Alter, drop and give out this role.
    Administer(RoleId),
    /// Hold an attribute that is handed on.
    Hold(Attribute),
    /// Have this role's privileges.
    ActAs(RoleId),
    /// Become this role by SET ROLE, or give objects to it.
    Become(RoleId),
    /// Pass these privileges on an object, given by its number, on.
    GrantOn(usize, Privileges),
    /// Have the powers of an object's owner.
    Own(usize),
    /// Make databases.
    CreateDatabase,
    /// Make schemas in the database.
    CreateSchema,
    /// That a role, the future owner of something, may create in a schema, given by its number.
    CreatorIn(RoleId, usize),
}

/// Attributes of roles that not everybody can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// SUPERUSER
    Superuser,
    /// REPLICATION
    Replication,
    /// BYPASSRLS
    BypassRls,
    /// CREATEDB
    CreateDb,
}

/// One thing a plan does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// The heading it stands under: a schema, `roles`, `memberships`, `database NAME` …
    pub section: String,
    /// Whether something comes, changes or goes.
    pub sign: Sign,
    /// Who it is about.
    pub who: String,
    /// What happens.
    pub what: String,
    /// Why, where that is not plain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The flag it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Flag>,
    /// The statements that do it.
    pub sql: Vec<String>,
    /// Statements that hold a password's verifier, never shown.
    #[serde(skip)]
    pub secret: Vec<String>,
    /// Whether it sets a password that somebody has yet to type.
    #[serde(skip)]
    pub asks: bool,
    /// What it takes to do it.
    #[serde(skip)]
    pub requires: Vec<Requirement>,
}

impl Operation {
    /// An operation of one statement that needs no flag.
    pub fn new(section: &str, sign: Sign, who: impl Into<String>, what: impl Into<String>, sql: Vec<String>) -> Self {
        Self {
            section: section.to_owned(),
            sign,
            who: who.into(),
            what: what.into(),
            reason: String::new(),
            needs: None,
            sql,
            secret: Vec::new(),
            asks: false,
            requires: Vec::new(),
        }
    }

    /// Whether `other` is the same intent with the same statements.
    pub fn is_same(&self, other: &Self) -> bool {
        let parts = |it: &Self| (it.section.clone(), it.sign, it.who.clone(), it.what.clone(), it.needs);
        parts(self) == parts(other) && self.sql == other.sql
    }

    /// With a reason.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Possible only with all of `requirements`.
    pub fn requiring(mut self, requirements: impl IntoIterator<Item = Requirement>) -> Self {
        self.requires.extend(requirements);
        self
    }

    /// Waiting for `flag` unless that was given.
    pub fn unless(mut self, given: bool, flag: Flag) -> Self {
        self.needs = (!given).then_some(flag);
        self
    }
}
