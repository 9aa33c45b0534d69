//! What stands in the way of using a privilege that one holds.

use super::{Access, Details, Found};
use crate::catalog::{Object, RoleId};
use policy::spec::{Kind, Privileges};

/// Something that stands in the way, or at least narrows what the privilege is worth.
pub struct Obstacle {
    /// What, for programs: `schema`, `connect`, `nologin`, `expired`, `row-security`.
    pub code: &'static str,
    /// What, for people.
    pub text: String,
}

/// Everything that keeps `role` from using its privileges on an object.
pub fn obstacles(access: &Access<'_>, details: &Details, role: RoleId, found: &Found) -> Vec<Obstacle> {
    let object = access.object(found);
    let mut found_ones = Vec::new();
    let mut add = |code, text: String| found_ones.push(Obstacle { code, text });
    let lacks = |on: &Object, privilege| !access.held(role, on, &access.sources(on)).contains(privilege);
    if let Some(schema) = access.schema_of(object).filter(|schema| lacks(schema, Privileges::USAGE)) {
        let what = format!("no USAGE on schema {}: nothing in it can be named, so this is worth nothing", schema.name);
        add("schema", what);
    }
    let Some(options) = access.present.roles.get(&role) else { return found_ones };
    let database = access.database().filter(|_| object.kind != Kind::Parameter);
    if let Some(database) = database.filter(|database| options.login && lacks(database, Privileges::CONNECT)) {
        add("connect", format!("no CONNECT on database {}: no session of it can be here", database.name));
    }
    if !options.login {
        add("nologin", "NOLOGIN: only sessions of its members can use this".to_owned());
    } else if let Some((time, true)) = details.expiry.get(&role) {
        add("expired", format!("its password has expired ({time})"));
    }
    if let Some(text) = row_security(access, details, role, object) {
        add("row-security", text);
    }
    found_ones
}

fn row_security(access: &Access<'_>, details: &Details, role: RoleId, table: &Object) -> Option<String> {
    if !matches!(table.kind, Kind::Relation(_)) {
        return None;
    }
    let security = details.row_security.get(&table.oid)?;
    let options = access.present.roles.get(&role)?;
    let owns = access.inherits(role, table.owner);
    if options.superuser || options.bypassrls || owns && !security.forced {
        return None;
    }
    let applies = |roles: &[RoleId]| roles.iter().any(|to| access.inherits(role, *to));
    let policies = security.policies.iter().filter(|policy| applies(&policy.roles));
    let names: Vec<&str> = policies.map(|policy| policy.name.as_str()).collect();
    Some(match names.as_slice() {
        [] => "row-level security is on and no policy is for this role: it meets no row".to_owned(),
        names => format!("row-level security is on: it meets only rows that policies admit ({})", names.join(", ")),
    })
}
