//! Whether a role may do something with an object, and every reason.

use super::{Access, Along, Found, How, Source};
use crate::catalog::RoleId;
use policy::spec::{Kind, Privileges};
use std::collections::HashMap;

/// More ways from a role to another than this are not listed.
const WAYS: usize = 8;

/// Why a role holds a privilege.
#[derive(Clone, Debug)]
pub struct Reason {
    /// Who was given it, and how.
    pub source: Source,
    /// The ways along memberships from the role to the holder, both included; just the role where that is the holder or
    /// the holder is PUBLIC.
    pub chains: Vec<Vec<RoleId>>,
    /// The role that must be taken on first, if the privilege is not held without; then the ways begin there.
    pub set_role: Option<RoleId>,
}

/// What there is to say about one privilege.
pub struct Answer {
    /// Which.
    pub privilege: Privileges,
    /// Whether the role may pass it on, as an owner may even without holding it.
    pub grant_option: bool,
    /// Why it is held; empty if it is not.
    pub reasons: Vec<Reason>,
    /// Why it is held after SET ROLE, where it is not held without.
    pub after_set_role: Vec<Reason>,
    /// Columns on which alone it is held, with the reasons.
    pub columns: Vec<(String, Vec<Reason>)>,
}

impl Answer {
    /// Whether the role may.
    pub fn is_held(&self) -> bool {
        !self.reasons.is_empty()
    }
}

impl Access<'_> {
    /// An answer for every privilege of the object's kind.
    pub fn answers(&self, role: RoleId, found: &Found) -> Vec<Answer> {
        let object = self.object(found);
        let sources = self.all_sources(found);
        let all = self.privileges_on(found);
        let reasons = self.reasons(role, role, &sources, all);
        let on_columns: Vec<(&String, Vec<Reason>)> = match found.column {
            Some(_) => Vec::new(),
            None => {
                let columns = object.columns.iter().map(|(name, _)| {
                    (name, self.reasons(role, role, &self.column_sources(object, name), Kind::COLUMN))
                });
                columns.collect()
            }
        };
        let mut after_set_role = Vec::new();
        if !self.is_superuser(role) {
            for group in self.graph.reach(role, Along::Set).into_iter().skip(1) {
                after_set_role.extend(self.reasons(group, role, &sources, all));
            }
        }
        let known = Privileges::KNOWN.iter().filter(|known| all.contains(known.set));
        known
            .map(|known| {
                let held = of(known.set, &reasons);
                let after_set_role = if held.is_empty() { nearest(of(known.set, &after_set_role)) } else { Vec::new() };
                let columns = on_columns.iter().map(|(name, reasons)| ((*name).clone(), of(known.set, reasons)));
                Answer {
                    privilege: known.set,
                    grant_option: reasons.iter().any(|reason| reason.source.grant_options.contains(known.set)),
                    reasons: held,
                    after_set_role,
                    columns: columns.filter(|(_, reasons)| !reasons.is_empty()).collect(),
                }
            })
            .collect()
    }

    /// The privileges one may ask for.
    pub fn privileges_on(&self, found: &Found) -> Privileges {
        let all = self.privileges_of(self.object(found).kind);
        if found.column.is_some() { all & Kind::COLUMN } else { all }
    }

    /// Who was given what, on the column or on all of the object.
    pub fn all_sources(&self, found: &Found) -> Vec<Source> {
        let mut sources = self.sources(self.object(found));
        if let Some(column) = &found.column {
            sources.extend(self.column_sources(self.object(found), column));
        }
        if found.free {
            sources.push(Source::plain(RoleId::PUBLIC, How::Free, Privileges::SET));
        }
        sources
    }

    /// Why `role` holds what it holds of `sources`, told to `asker`, who may have to become it first.
    fn reasons(&self, role: RoleId, asker: RoleId, sources: &[Source], all: Privileges) -> Vec<Reason> {
        let set_role = (role != asker).then_some(role);
        if self.is_superuser(role) {
            let source = Source { grant_options: all, ..Source::plain(role, How::Superuser, all) };
            return vec![Reason { source, chains: vec![vec![role]], set_role }];
        }
        let mut known: HashMap<RoleId, Vec<Vec<RoleId>>> = HashMap::new();
        let mine = sources.iter().filter(|source| self.inherits(role, source.holder));
        let reason = |source: &Source| {
            let chains = known.entry(source.holder).or_insert_with(|| match source.holder {
                RoleId::PUBLIC => vec![vec![role]],
                holder => self.graph.chains(role, holder, Along::Inherit, WAYS),
            });
            Reason { source: *source, chains: chains.clone(), set_role }
        };
        mine.map(reason).collect()
    }
}

/// Those that concern one privilege.
fn of(privilege: Privileges, reasons: &[Reason]) -> Vec<Reason> {
    let concerns = |reason: &&Reason| reason.source.privileges.contains(privilege);
    reasons.iter().filter(concerns).cloned().collect()
}

/// Each source once, by the nearest role that has it.
fn nearest(reasons: Vec<Reason>) -> Vec<Reason> {
    let mut kept: Vec<Reason> = Vec::new();
    for reason in reasons {
        if kept.iter().all(|other| other.source != reason.source) {
            kept.push(reason);
        }
    }
    kept
}
