//! The spec: what a cluster's roles, memberships and privileges shall be.
//!
//! Text (YAML, of which JSON is a subset) becomes a located tree, the tree becomes a [`Spec`] whose every
//! key was understood, and a spec becomes a [`Desired`] state, in which templates are written out. Nothing here knows
//! what a server holds.

pub mod access;
mod desired;
mod error;
mod expand;
mod fields;
mod json_schema;
mod kind;
mod model;
mod node;
mod pattern;
mod privilege;
mod read;
mod read_access;
mod read_grants;
mod read_roles;
mod read_schemas;
mod reference;
mod table_name;

pub use desired::Desired;
pub use error::{At, SpecError};
pub use json_schema::json_schema;
pub use kind::{Kind, RelationKind, RoutineKind};
pub use model::{
    Contents, Creator, DefaultPrivilege, DefaultScope, Ensure, Grant, Grantee, Manage, Membership, Ownership,
    PasswordSource, Retirement, Role, RoleOptions, Schema, Settings, Spec, Target, Template, TemplateGrant,
    TemplateUse, Undeclared, ValidUntil,
};
pub use pattern::Pattern;
pub use privilege::{Privilege, Privileges};
pub use read_access::EXACT_DIGITS;
pub use reference::{Reference, ReferenceError};
pub use table_name::TableName;

impl Spec {
    /// Reads a spec.
    ///
    /// # Errors
    /// Text that is not YAML, a key or word that is not known, a value of the wrong shape, and whatever contradicts
    /// itself; always with its line.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        read::spec(text)
    }
}

#[cfg(test)]
mod access_tests;
#[cfg(test)]
mod tests;
