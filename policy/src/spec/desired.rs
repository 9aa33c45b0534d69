//! The desired state: a spec with its templates written out.

use super::model::{Contents, Manage, Membership, RoleOptions};
use std::collections::BTreeMap;

/// What shall be, in explicit form.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// Roles with their options.
    pub roles: BTreeMap<String, RoleOptions>,
    /// Memberships, no pair twice.
    pub memberships: Vec<Membership>,
    /// What concerns the database one is connected to.
    pub here: Contents,
    /// What concerns databases by name.
    pub databases: BTreeMap<String, Contents>,
    /// What may be judged undeclared.
    pub manage: Manage,
}
