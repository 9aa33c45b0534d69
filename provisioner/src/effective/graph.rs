//! Who is a member of what, and along which ways.

use crate::catalog::{Present, RoleId};
use policy::spec::Kind;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

/// The role every database's owner is a member of, in that database, without it being written anywhere.
pub const DATABASE_OWNER: &str = "pg_database_owner";

/// One membership, seen from either end; grants of it by several roles are one.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// The role at the other end.
    pub role: RoleId,
    /// Whether the member has the group's privileges without asking.
    pub inherit: bool,
    /// Whether the member may SET ROLE to the group.
    pub set: bool,
    /// Whether the member may admit others, and so himself.
    pub admin: bool,
}

/// What a way may lead along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// Memberships that inherit.
    Inherit,
    /// Memberships that allow SET ROLE.
    Set,
}

/// All memberships.
pub struct Graph {
    groups: HashMap<RoleId, Vec<Edge>>,
    members: HashMap<RoleId, Vec<Edge>>,
}

impl Graph {
    /// The memberships of the catalog, and the one of this database's owner that no catalog holds.
    pub fn new(present: &Present) -> Self {
        let mut graph = Self { groups: HashMap::new(), members: HashMap::new() };
        for membership in &present.memberships {
            let &crate::catalog::PresentMembership { role, member, inherit, set, admin, .. } = membership;
            graph.add(member, role, inherit, set, admin);
        }
        let here =
            |object: &&crate::catalog::Object| object.kind == Kind::Database && object.name == present.session.database;
        let implied = present.names.find(DATABASE_OWNER).filter(|role| present.roles.contains_key(role));
        if let (Some(database), Some(role)) = (present.objects.iter().find(here), implied) {
            // Before PostgreSQL 16 a member that does not inherit inherits nothing, not even this.
            let inherit = present.session.version >= 160_000
                || present.roles.get(&database.owner).is_some_and(|owner| owner.inherit);
            graph.add(database.owner, role, inherit, true, false);
        }
        for edges in graph.groups.values_mut().chain(graph.members.values_mut()) {
            edges.sort_by_key(|edge| present.names.name(edge.role).to_owned());
        }
        graph
    }

    fn add(&mut self, member: RoleId, role: RoleId, inherit: bool, set: bool, admin: bool) {
        for (edges, other) in
            [(self.groups.entry(member).or_default(), role), (self.members.entry(role).or_default(), member)]
        {
            match edges.iter_mut().find(|edge| edge.role == other) {
                Some(edge) => {
                    edge.inherit |= inherit;
                    edge.set |= set;
                    edge.admin |= admin;
                }
                None => edges.push(Edge { role: other, inherit, set, admin }),
            }
        }
    }

    /// What `role` is a direct member of, by name.
    pub fn groups(&self, role: RoleId) -> &[Edge] {
        self.groups.get(&role).map_or(&[], Vec::as_slice)
    }

    /// The direct members of `role`, by name.
    pub fn members(&self, role: RoleId) -> &[Edge] {
        self.members.get(&role).map_or(&[], Vec::as_slice)
    }

    /// `role` and everything it reaches, nearest first.
    pub fn reach(&self, role: RoleId, along: Along) -> Vec<RoleId> {
        let mut order = vec![role];
        let mut seen = HashSet::from([role]);
        let mut next = 0;
        while let Some(member) = order.get(next).copied() {
            for edge in self.groups(member).iter().filter(|edge| leads(edge, along)) {
                if seen.insert(edge.role) {
                    order.push(edge.role);
                }
            }
            next += 1;
        }
        order
    }

    /// Ways from one role to another, both ends included, the shortest first; at most `limit`, since there can be very
    /// many.
    pub fn chains(&self, from: RoleId, to: RoleId, along: Along, limit: usize) -> Vec<Vec<RoleId>> {
        let distances = self.distances(to, along);
        let mut open = VecDeque::from([vec![from]]);
        let mut chains = Vec::new();
        while let Some(chain) = open.pop_front() {
            let Some(last) = chain.last().copied() else { continue };
            if last == to {
                chains.push(chain);
                continue;
            }
            let onward = self.groups(last).iter().filter(|edge| leads(edge, along));
            let mut onward: Vec<_> = onward.filter_map(|edge| Some((*distances.get(&edge.role)?, edge.role))).collect();
            onward.sort_by_key(|(distance, _)| *distance);
            for (_, role) in onward {
                // Every beginning leads to the end, so no more of them are needed than ways are wanted; there is room
                // for its nearest continuation, since it has just left the queue.
                if open.len() + chains.len() < limit {
                    let mut longer = chain.clone();
                    longer.push(role);
                    open.push_back(longer);
                }
            }
        }
        chains
    }

    /// Every role that leads to `to`, with the number of memberships between.
    fn distances(&self, to: RoleId, along: Along) -> HashMap<RoleId, usize> {
        let mut distances = HashMap::from([(to, 0)]);
        let mut open = VecDeque::from([(to, 0)]);
        while let Some((group, distance)) = open.pop_front() {
            for edge in self.members(group).iter().filter(|edge| leads(edge, along)) {
                if let Entry::Vacant(unseen) = distances.entry(edge.role) {
                    unseen.insert(distance + 1);
                    open.push_back((edge.role, distance + 1));
                }
            }
        }
        distances
    }
}

fn leads(edge: &Edge, along: Along) -> bool {
    match along {
        Along::Inherit => edge.inherit,
        Along::Set => edge.set,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Names;

    /// Memberships written as "member group", and what they look like from outside.
    fn chains(memberships: &[&str], from: &str, to: &str, limit: usize) -> Vec<String> {
        let mut names = Names::default();
        let mut graph = Graph { groups: HashMap::new(), members: HashMap::new() };
        for membership in memberships {
            let mut words = membership.split(' ').map(|name| names.id(name));
            let (Some(member), Some(group)) = (words.next(), words.next()) else { panic!("{membership}") };
            graph.add(member, group, true, false, false);
        }
        let (from, to) = (names.id(from), names.id(to));
        assert!(graph.chains(from, to, Along::Set, limit).is_empty());
        let chains = graph.chains(from, to, Along::Inherit, limit);
        let named = |chain: &Vec<RoleId>| chain.iter().map(|role| names.name(*role)).collect::<Vec<_>>().join(" ");
        chains.iter().map(named).collect()
    }

    #[test]
    fn every_way_is_found_the_shortest_first() {
        let memberships = ["a b", "b c", "a c", "a x", "c d", "b d"];
        assert_eq!(chains(&memberships, "a", "d", 8), ["a b d", "a c d", "a b c d"]);
        assert_eq!(chains(&memberships, "x", "d", 8), [""; 0]);
    }

    #[test]
    fn of_very_many_ways_the_shortest_is_among_those_that_are_told() {
        // Two to the tenth ways, and one shorter than all of them that is listed last.
        let mut memberships = Vec::new();
        for step in 0..10 {
            for side in ["l", "r"] {
                memberships.push(format!("n{step} {side}{step}"));
                memberships.push(format!("{side}{step} n{}", step + 1));
            }
        }
        memberships.push("n0 n10".to_owned());
        let memberships: Vec<&str> = memberships.iter().map(String::as_str).collect();
        let told = chains(&memberships, "n0", "n10", 2);
        assert_eq!((told.len(), told[0].as_str()), (2, "n0 n10"));
    }
}
