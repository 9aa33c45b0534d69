//! From what is to what shall be.

mod cells;
mod defaults;
mod lint;
mod memberships;
mod objects;
mod owners;
mod passed_on;
mod preflight;
mod privileges;
mod retire;
mod roles;
mod schemas;
mod statements;

pub use lint::lint;
pub use statements::plural;

use crate::catalog::{Present, Resolved, RoleId};
use crate::error::Error;
use crate::plan::{Operation, Sign};
use policy::spec::{Contents, Desired, Ensure, Grantee, Undeclared};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Where a database comes in a run: roles are the cluster's, so that they are made before all else and dropped at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// All is done here.
    Alone,
    /// Everything but dropping roles.
    First,
    /// Only what concerns the database itself.
    Further,
    /// Only dropping roles.
    Last,
}

/// What is asked for.
pub struct Request<'a> {
    /// The whole desired state.
    pub desired: &'a Desired,
    /// The part of it that concerns this database.
    pub contents: &'a Contents,
    /// Where this database comes among all.
    pub stage: Stage,
    /// What may be done beyond adding.
    pub allowed: Undeclared,
    /// Passwords, by role.
    pub passwords: &'a BTreeMap<String, String>,
}

/// The operations that lead from `present` to what is asked for, in the order they must be done.
///
/// # Errors
/// A spec that names what does not exist, asks for what this server does not have, or contradicts itself.
pub fn diff(request: &Request<'_>, present: &mut Present, resolved: &Resolved) -> Result<Vec<Operation>, Error> {
    let mut operations = Vec::new();
    if matches!(request.stage, Stage::Alone | Stage::First) {
        operations.extend(roles::diff(request, present, resolved)?);
        operations.extend(memberships::diff(request, present)?);
    }
    if request.stage != Stage::Last {
        operations.extend(retire::belongings(request, present)?);
        operations.extend(schemas::diff(request, present)?);
        operations.extend(owners::diff(request, present, resolved)?);
        operations.extend(defaults::diff(request, present)?);
        operations.extend(privileges::diff(request, present, resolved)?);
    }
    if matches!(request.stage, Stage::Alone | Stage::Last) {
        operations.extend(retire::roles(request, present));
    }
    preflight::check(&operations, request, present)?;
    Ok(operations)
}

/// The role a spec speaks of: one that exists or is declared.
fn role(request: &Request<'_>, present: &Present, name: &str) -> Result<RoleId, Error> {
    match present.names.find(name) {
        Some(id) if present.roles.contains_key(&id) || request.desired.roles.contains_key(name) => Ok(id),
        _ => Err(Error::mismatch(
            format!("role \"{name}\" does not exist and the spec does not declare it"),
            "declare it under \"roles\", or correct the name",
        )),
    }
}

fn grantee(request: &Request<'_>, present: &Present, grantee: &Grantee) -> Result<RoleId, Error> {
    match grantee {
        Grantee::Public => Ok(RoleId::PUBLIC),
        Grantee::Role(name) => role(request, present, name),
    }
}

/// The roles whose undeclared privileges are looked at. Those that go lose all of them anyway.
fn managed_roles(request: &Request<'_>, present: &Present) -> HashSet<RoleId> {
    let known = present.roles.keys().copied().map(|id| (id, present.names.name(id)));
    known.filter(|(_, name)| request.desired.manages_role(name) && !goes(request, name)).map(|(id, _)| id).collect()
}

/// All direct and indirect members of `role` once the plan is done.
fn members(request: &Request<'_>, present: &Present, role: RoleId) -> BTreeSet<RoleId> {
    // From PostgreSQL 16 on a role's maker is its member without being able to act as it: that is no member here.
    let real = present.memberships.iter().filter(|edge| edge.inherit || edge.set || present.session.version < 160_000);
    let managed = managed_roles(request, present);
    let real = real.filter(|edge| !memberships::goes(request, present, &managed, edge));
    let mut edges: Vec<(RoleId, RoleId)> = real.map(|edge| (edge.role, edge.member)).collect();
    for membership in request.desired.memberships.iter().filter(|wanted| wanted.ensure == Ensure::Present) {
        if let (Some(role), Some(member)) =
            (present.names.find(&membership.role), present.names.find(&membership.member))
        {
            edges.push((role, member));
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![role];
    while let Some(group) = open.pop() {
        for (_, member) in edges.iter().filter(|(role, _)| *role == group) {
            if found.insert(*member) {
                open.push(*member);
            }
        }
    }
    found.remove(&role);
    found.retain(|member| !goes(request, present.names.name(*member)));
    found
}

/// Whether a role is dropped in this run.
fn goes(request: &Request<'_>, name: &str) -> bool {
    request.allowed.drop_roles && request.desired.wants_gone(name)
}

/// Names in one line, cut when there are many.
pub fn listing(names: &[String]) -> String {
    match names {
        many if many.len() > 4 => format!("{} and {} more", many[..3].join(", "), many.len() - 3),
        few => few.join(", "),
    }
}

/// An operation of one statement.
fn operation(section: &str, sign: Sign, who: &str, what: impl Into<String>, sql: String) -> Operation {
    Operation::new(section, sign, who, what, vec![sql])
}
