//! What deserves a look, though nothing is done about it.

use super::{Request, Stage, listing, members};
use crate::catalog::{Present, RoleId};
use policy::spec::{Creator, DefaultScope, Kind};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// An object with more direct grantees than this is on its way to the limit: measured, a table's row takes 2,442.
const MANY_GRANTEES: usize = 200;

/// Warnings about what is there and what the spec says of it.
pub fn lint(request: &Request<'_>, present: &Present) -> Vec<String> {
    let mut warnings = Vec::new();
    if request.stage != Stage::Further {
        warnings.extend(superusers(request, present));
        warnings.extend(without_inheriting(request, present));
    }
    warnings.extend(other_creators(request, present));
    warnings.extend(many_grantees(request, present));
    warnings
}

/// Superusers that the spec does not know may everything, whatever it says.
fn superusers(request: &Request<'_>, present: &Present) -> Option<String> {
    let known = |name: &str| request.desired.roles.contains_key(name) || request.desired.manage.ignores(name);
    let expected = |role: RoleId| role == present.bootstrap_superuser();
    let mut names: Vec<String> = present
        .roles
        .iter()
        .filter(|(role, found)| found.superuser && found.login && !expected(**role))
        .map(|(role, _)| present.names.name(*role))
        .filter(|name| !known(name) && *name != present.session.executor)
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    let verb = if names.len() == 1 { "is a superuser" } else { "are superusers" };
    (!names.is_empty()).then(|| format!("{} {verb} and not in the spec", listing(&names)))
}

/// A declared membership that gives nothing until SET ROLE.
fn without_inheriting(request: &Request<'_>, present: &Present) -> Vec<String> {
    let said = |name: &str| request.desired.roles.get(name).is_some_and(|role| role.inherit.is_some());
    let mut warnings = Vec::new();
    for wanted in &request.desired.memberships {
        let ids = present.names.find(&wanted.role).zip(present.names.find(&wanted.member));
        let Some((role, member)) = ids else { continue };
        let mut edges = present.memberships.iter().filter(|edge| edge.role == role && edge.member == member).peekable();
        let idle = edges.peek().is_some() && edges.all(|edge| !edge.inherit);
        if idle && wanted.inherit.is_none() && !said(&wanted.member) {
            let (member, role) = (&wanted.member, &wanted.role);
            warnings
                .push(format!("{member} is a member of {role} without inheriting from it; say inherit: true or false"));
        }
    }
    warnings
}

/// What these make in a schema is not covered by its default privileges.
fn other_creators(request: &Request<'_>, present: &Present) -> Vec<String> {
    let mut covered: BTreeMap<&str, BTreeSet<RoleId>> = BTreeMap::new();
    let mut everywhere: BTreeSet<RoleId> = BTreeSet::new();
    for entry in request.contents.default_privileges.iter().filter(|entry| matches!(entry.kind, Kind::Relation(_))) {
        let creators: Vec<RoleId> = match &entry.creator {
            Creator::Role(name) => present.names.find(name).into_iter().collect(),
            Creator::MembersOf(name) => {
                present.names.find(name).map_or(Vec::new(), |id| members(request, present, id).into_iter().collect())
            }
        };
        match &entry.scope {
            DefaultScope::Schema(schema) => covered.entry(schema).or_default().extend(creators),
            DefaultScope::Global => everywhere.extend(creators),
        }
    }
    let mut found: BTreeMap<&str, BTreeMap<RoleId, usize>> = BTreeMap::new();
    for object in present.objects.iter().filter(|object| matches!(object.kind, Kind::Relation(_))) {
        let Some((schema, creators)) = object.schema.as_deref().and_then(|name| covered.get_key_value(name)) else {
            continue;
        };
        if !creators.contains(&object.owner) && !everywhere.contains(&object.owner) {
            *found.entry(schema).or_default().entry(object.owner).or_default() += 1;
        }
    }
    let warning = |(schema, owners): (&&str, &BTreeMap<RoleId, usize>)| {
        let owner = |(owner, count): (&RoleId, &usize)| format!("{} ({count})", present.names.name(*owner));
        let owners: Vec<String> = owners.iter().map(owner).collect();
        format!(
            "{schema} holds tables of {}, for whose future ones no default privileges are declared",
            listing(&owners)
        )
    };
    found.iter().map(warning).collect()
}

fn many_grantees(request: &Request<'_>, present: &Present) -> Vec<String> {
    let mut crowded: Vec<(String, usize)> = Vec::new();
    for object in
        present.objects.iter().filter(|object| object.acl.as_ref().is_some_and(|acl| acl.len() > MANY_GRANTEES))
    {
        let grantees: HashSet<RoleId> =
            object.acl.iter().flatten().map(|item| item.grantee).filter(|grantee| *grantee != object.owner).collect();
        if grantees.len() > MANY_GRANTEES && request.desired.manages_schema(object.schema.as_deref()) {
            crowded.push((object.label(), grantees.len()));
        }
    }
    let Some((label, count)) = crowded.first() else { return Vec::new() };
    let others =
        if crowded.len() > 1 { format!(", and {} more objects like it", crowded.len() - 1) } else { String::new() };
    vec![format!("{label} has {count} direct grantees{others}; grant to a group instead")]
}
