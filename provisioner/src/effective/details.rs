//! What a plan has no use for but an explanation has: row-level security, and when passwords expire.

use crate::catalog::{Present, RoleId, rows};
use crate::error::Error;
use postgres::Client;
use std::collections::HashMap;

/// Row-level security of one table.
#[derive(Default)]
pub struct RowSecurity {
    /// Whether its owner is subject to it too.
    pub forced: bool,
    /// The policies.
    pub policies: Vec<Policy>,
}

/// A policy of row-level security.
pub struct Policy {
    /// Its name.
    pub name: String,
    /// The roles it is for; PUBLIC is one.
    pub roles: Vec<RoleId>,
}

/// All of it.
pub struct Details {
    /// When that was, as the server writes it.
    pub now: String,
    /// Tables with row-level security, by oid.
    pub row_security: HashMap<u32, RowSecurity>,
    /// When a role's password ends, as the server writes it, and whether that is past.
    pub expiry: HashMap<RoleId, (String, bool)>,
}

impl Details {
    /// Reads it, in the transaction in which `present` was read.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn read(client: &mut Client, present: &Present) -> Result<Self, Error> {
        let by_oid: HashMap<u32, RoleId> = present.roles.iter().map(|(id, role)| (role.oid, *id)).collect();
        let mut details = Self { now: String::new(), row_security: HashMap::new(), expiry: HashMap::new() };
        for row in rows(client, "SELECT date_trunc('second', now())")? {
            details.now = row.get(0).unwrap_or_default().to_owned();
        }
        for row in rows(client, "SELECT oid, relforcerowsecurity FROM pg_class WHERE relrowsecurity")? {
            if let Some(oid) = row.get(0).and_then(|oid| oid.parse().ok()) {
                let table = RowSecurity { forced: row.get(1) == Some("t"), policies: Vec::new() };
                details.row_security.insert(oid, table);
            }
        }
        for row in rows(client, "SELECT polrelid, polname, array_to_string(polroles, ' ') FROM pg_policy ORDER BY 2")? {
            let table =
                row.get(0).and_then(|oid| oid.parse().ok()).and_then(|oid: u32| details.row_security.get_mut(&oid));
            if let (Some(table), Some(name)) = (table, row.get(1)) {
                let oids = row.get(2).unwrap_or_default().split(' ').filter_map(|oid| oid.parse().ok());
                let roles = oids.filter_map(|oid: u32| match oid {
                    0 => Some(RoleId::PUBLIC),
                    oid => by_oid.get(&oid).copied(),
                });
                table.policies.push(Policy { name: name.to_owned(), roles: roles.collect() });
            }
        }
        let sql = "SELECT oid, date_trunc('second', rolvaliduntil), rolvaliduntil < now() FROM pg_roles \
                   WHERE isfinite(rolvaliduntil)";
        for row in rows(client, sql)? {
            let role = row.get(0).and_then(|oid| oid.parse().ok()).and_then(|oid: u32| by_oid.get(&oid));
            if let (Some(role), Some(time)) = (role, row.get(1)) {
                details.expiry.insert(*role, (time.to_owned(), row.get(2) == Some("t")));
            }
        }
        Ok(details)
    }
}
