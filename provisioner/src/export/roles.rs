//! Roles: their options, settings and groups.

use super::collect::Source;
use super::notes::Notes;
use super::yaml::Node;
use crate::catalog::{PresentMembership, PresentRole, RoleId, setting_items};
use std::collections::BTreeMap;

/// The mapping under `roles`.
pub(super) fn nodes(source: &Source, notes: &mut Notes) -> Vec<(String, Node)> {
    let groups = groups(source, notes);
    source.roles.iter().map(|id| (source.present.names.name(*id).to_owned(), role(source, *id, &groups))).collect()
}

type Groups<'a> = BTreeMap<RoleId, BTreeMap<&'a str, Vec<&'a PresentMembership>>>;

fn role(source: &Source, id: RoleId, groups: &Groups<'_>) -> Node {
    let nothing = PresentRole::default();
    let role = source.present.roles.get(&id).unwrap_or(&nothing);
    let mut entries: Vec<(&str, Node)> = vec![("login", Node::Bool(role.login))];
    let flags = [
        ("superuser", role.superuser, false),
        ("createdb", role.createdb, false),
        ("createrole", role.createrole, false),
        ("inherit", role.inherit, true),
        ("replication", role.replication, false),
        ("bypassrls", role.bypassrls, false),
    ];
    entries.extend(flags.iter().filter(|(_, has, usual)| has != usual).map(|(key, has, _)| (*key, Node::Bool(*has))));
    if role.connection_limit != -1 {
        entries.push(("connection_limit", Node::Number(role.connection_limit.into())));
    }
    if let Some(time) = source.valid_until.get(&id) {
        entries.push(("valid_until", Node::text(time)));
    }
    if !role.comment.is_empty() {
        entries.push(("comment", Node::text(&role.comment)));
    }
    if let Some(groups) = groups.get(&id) {
        let names = &source.present.names;
        let written = groups.iter().flat_map(|(name, edges)| match is_uniform(edges) {
            true => vec![group(role, name, edges)],
            false => edges.iter().map(|edge| group_by(name, edge, names.name(edge.grantor))).collect(),
        });
        let mut groups: Vec<Node> = written.collect();
        let groups = if groups.len() == 1 { groups.remove(0) } else { Node::List(groups) };
        entries.push(("member_of", groups));
    }
    if let Some(everywhere) = role.config.get(&None) {
        entries.push(("config", settings(everywhere)));
    }
    let by_database: Vec<(String, Node)> =
        role.config.iter().filter_map(|(name, config)| Some((name.clone()?, settings(config)))).collect();
    if !by_database.is_empty() {
        entries.push(("config_in_database", Node::Map(by_database)));
    }
    Node::map(entries)
}

/// Who is in which groups by which edges, those aside that only say who made a role.
fn groups<'a>(source: &'a Source, notes: &mut Notes) -> Groups<'a> {
    let present = &source.present;
    let names = &present.names;
    let mut groups = Groups::new();
    for edge in present.memberships.iter().filter(|edge| !present.is_implicit(edge)) {
        let (group, member) = (names.name(edge.role), names.name(edge.member));
        if source.roles.contains(&edge.member) {
            let is_known = source.roles.contains(&edge.role) || !source.limited || group.starts_with("pg_");
            if is_known {
                groups.entry(edge.member).or_default().entry(group).or_default().push(edge);
            }
        } else if !source.limited && !group.starts_with("pg_") {
            notes.add(format!("members of the system are not written: {member}, who is in"), group);
        }
    }
    groups
}

/// Whether all grantors gave the same options, so that a spec need not tell them apart.
fn is_uniform(edges: &[&PresentMembership]) -> bool {
    edges.iter().all(|edge| (edge.inherit, edge.set) == (edges[0].inherit, edges[0].set))
}

/// What one of several grantors gave.
fn group_by(name: &str, edge: &PresentMembership, grantor: &str) -> Node {
    Node::map([
        ("role", Node::text(name)),
        ("grantor", Node::text(grantor)),
        ("admin", Node::Bool(edge.admin)),
        ("inherit", Node::Bool(edge.inherit)),
        ("set", Node::Bool(edge.set)),
    ])
}

/// Without options INHERIT is as the member has it.
fn group(member: &PresentRole, name: &str, edges: &[&PresentMembership]) -> Node {
    let mut entries = vec![("role", Node::text(name))];
    if edges.iter().any(|edge| edge.admin) {
        entries.push(("admin", Node::Bool(true)));
    }
    if edges.iter().all(|edge| edge.inherit != member.inherit) {
        entries.push(("inherit", Node::Bool(!member.inherit)));
    }
    if edges.iter().all(|edge| !edge.set) {
        entries.push(("set", Node::Bool(false)));
    }
    if entries.len() == 1 {
        return Node::text(name);
    }
    Node::map(entries)
}

fn settings(config: &[(String, String)]) -> Node {
    let value = |name: &str, stored: &str| match setting_items(name, stored) {
        Some(items) => Node::names(items),
        None => match stored.parse::<i64>() {
            Ok(number) if number.to_string() == stored => Node::Number(number),
            _ => Node::text(stored),
        },
    };
    let sorted: BTreeMap<&String, Node> = config.iter().map(|(name, stored)| (name, value(name, stored))).collect();
    Node::map(sorted)
}
