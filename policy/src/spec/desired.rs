//! The desired state: a spec with its templates written out.

use super::model::{Contents, Manage, Membership, Retirement, RoleOptions};
use super::pattern::Pattern;
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
    /// Roles that shall be gone.
    pub retire: BTreeMap<String, Retirement>,
    /// What may be judged undeclared.
    pub manage: Manage,
}

/// Roles that providers of managed servers keep there. Nobody means them by a wildcard.
const OF_PROVIDERS: &[&str] = &[
    "rds*",
    "cloudsql*",
    "alloydb*",
    "azure*",
    "supabase_*",
    "pgsodium_*",
    "neon_*",
    "cloud_admin",
    "crunchy_*",
    "ccp_*",
    "_aiven*",
    "_doadmin*",
    "streaming_replica",
];

fn is_of_provider(name: &str) -> bool {
    OF_PROVIDERS.iter().any(|pattern| Pattern::new(*pattern).matches(name))
}

impl Manage {
    /// Whether nobody asks about a role: it is the system's or a provider's, or the spec says so.
    pub fn ignores(&self, name: &str) -> bool {
        name.starts_with("pg_") || is_of_provider(name) || self.ignore.iter().any(|pattern| pattern.matches(name))
    }
}

impl Desired {
    /// Whether what a role holds beyond the spec is looked at.
    pub fn manages_role(&self, name: &str) -> bool {
        let Manage { roles, ignore, .. } = &self.manage;
        let declared = self.roles.contains_key(name);
        if name.starts_with("pg_") || ignore.iter().any(|pattern| pattern.matches(name)) {
            return false;
        }
        let Some(patterns) = roles else { return declared };
        let of_provider = is_of_provider(name);
        let meant = |pattern: &Pattern| declared || !pattern.is_wild() || !of_provider;
        patterns.iter().any(|pattern| pattern.matches(name) && meant(pattern))
    }

    /// Whether a role that exists shall be gone: it is retired, or managed and not declared.
    pub fn wants_gone(&self, name: &str) -> bool {
        self.retire.contains_key(name) || (!self.roles.contains_key(name) && self.manages_role(name))
    }

    /// Whether a schema is looked at for what the spec does not declare; `None` stands for what lies in none.
    pub fn manages_schema(&self, schema: Option<&str>) -> bool {
        match (&self.manage.schemas, schema) {
            (None, _) => true,
            (Some(patterns), Some(schema)) => patterns.iter().any(|pattern| pattern.matches(schema)),
            (Some(_), None) => false,
        }
    }
}
