//! What hangs on roles that shall be gone, and what follows tables: sequences, and the extension's views.

use super::RoleId;
use super::read::{Catalog, Reader, number, rows};
use crate::error::Error;
use std::collections::{HashMap, HashSet};

/// What hangs on a role in a database.
#[derive(Clone, Debug, Default)]
pub struct Dependents {
    /// How many objects it owns.
    pub owned: u64,
    /// One of these, as the server calls it.
    pub example: String,
    /// How many entries of privileges, default privileges and policies name it.
    pub held: u64,
}

impl Catalog<'_> {
    /// From the sequences of columns to their tables.
    pub(super) fn links(&mut self) -> Result<HashMap<u32, u32>, Error> {
        let sql = "SELECT d.objid, d.refobjid FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' \
                   WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass \
                   AND deptype IN ('a', 'i')";
        rows(self.client, sql)?.iter().map(|row| Ok((number(row, 0)?, number(row, 1)?))).collect()
    }

    /// The views of exposed tables.
    pub(super) fn followers(&mut self) -> Result<HashSet<u32>, Error> {
        rows(self.client, "SELECT shown_as::oid FROM rolecall.exposed_views")?
            .iter()
            .map(|row| number(row, 0))
            .collect()
    }

    /// What hangs on the roles that the spec wants gone.
    pub(super) fn dependents(&mut self, reader: &Reader<'_>) -> Result<HashMap<RoleId, Dependents>, Error> {
        let Some(desired) = reader.desired else { return Ok(HashMap::new()) };
        let leaving = self.by_oid.iter().filter(|(_, id)| desired.wants_gone(self.names.name(**id)));
        let oids: Vec<String> = leaving.map(|(oid, _)| oid.to_string()).collect();
        if oids.is_empty() {
            return Ok(HashMap::new());
        }
        // What belongs to no database counts in the first one.
        let shared = if reader.shared { "0, " } else { "" };
        let sql = format!(
            "SELECT refobjid, count(*) FILTER (WHERE owned), count(*) FILTER (WHERE NOT owned), \
             min(pg_describe_object(classid, objid, objsubid)) FILTER (WHERE owned) FROM (SELECT *, deptype = 'o' AND \
             classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass) AS owned FROM pg_shdepend) s \
             WHERE refclassid = 'pg_authid'::regclass AND refobjid IN ({}) AND dbid IN ({shared} \
             (SELECT oid FROM pg_database WHERE datname = current_database())) GROUP BY 1",
            oids.join(",")
        );
        let mut dependents = HashMap::new();
        for row in rows(self.client, &sql)? {
            let example = row.get(3).unwrap_or_default().to_owned();
            let found = Dependents { owned: number(&row, 1)?, example, held: number(&row, 2)? };
            dependents.insert(self.role(&row, 0)?, found);
        }
        Ok(dependents)
    }
}
