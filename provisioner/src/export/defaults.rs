//! Default privileges: what is granted on objects to come.

use super::collect::Source;
use super::compress::{Foreseen, each};
use super::line::{DefaultLine, Saying};
use super::notes::Notes;
use crate::catalog::{DefaultAcl, RoleId};
use policy::spec::{Kind, Privileges, RelationKind, RoutineKind};
use std::collections::BTreeMap;

/// One privilege in one schema, or in all, given by one creator to one grantee.
pub(super) fn lines(source: &Source, notes: &mut Notes) -> Vec<DefaultLine> {
    let names = &source.present.names;
    let mut lines = Vec::new();
    for row in source.present.defaults.iter().filter(|row| is_covered(source, row)) {
        for (grantee, (held, option)) in grantees(source, row, notes) {
            let public = if row.schema.is_none() && grantee == RoleId::PUBLIC {
                row.kind.public_default()
            } else {
                Privileges::NONE
            };
            let sayings = [
                (Saying::Absent, public - held),
                (Saying::Held, held - option - public),
                (Saying::GrantOption, option),
            ];
            for (saying, privileges) in sayings {
                lines.extend(each(privileges).map(|privileges| DefaultLine {
                    schemas: row.schema.iter().cloned().collect(),
                    kind: spoken_of(row.kind),
                    creators: vec![names.name(row.creator).to_owned()],
                    saying,
                    privileges,
                    to: vec![names.name(grantee).to_owned()],
                }));
            }
        }
    }
    lines
}

/// What grantees get on future objects of their schemas, whoever makes them.
pub(super) fn foreseen(source: &Source) -> Foreseen {
    let mut foreseen = Foreseen::new();
    for row in &source.present.defaults {
        let Some(schema) = &row.schema else { continue };
        for item in &row.acl {
            *foreseen.entry((schema.clone(), item.grantee, row.kind)).or_default() |= item.privileges;
        }
    }
    foreseen
}

fn is_covered(source: &Source, row: &DefaultAcl) -> bool {
    match &row.schema {
        _ if !source.present.roles.contains_key(&row.creator) => false,
        None => !source.limited || source.roles.contains(&row.creator),
        Some(schema) => source.schemas.contains(schema),
    }
}

/// What each grantee gets; the creator's own part of a row for all schemas is not for a spec to say.
fn grantees(source: &Source, row: &DefaultAcl, notes: &mut Notes) -> BTreeMap<RoleId, (Privileges, Privileges)> {
    let names = &source.present.names;
    let label = || format!("future {} of {}", crate::diff::plural(row.kind), names.name(row.creator));
    let mut grantees = BTreeMap::new();
    if row.schema.is_none() {
        let own = row.acl.iter().filter(|item| item.grantee == row.creator);
        let own = own.fold(Privileges::NONE, |sum, item| sum | item.privileges);
        if !own.contains(source.known_here(row.kind.privileges())) {
            notes.add("creators who took privileges on their own future objects, which a spec does not say", label());
        }
        grantees.insert(RoleId::PUBLIC, (Privileges::NONE, Privileges::NONE));
    }
    for item in row.acl.iter().filter(|item| row.schema.is_some() || item.grantee != row.creator) {
        if source.is_written(item.grantee, label, notes) {
            let held: &mut (Privileges, Privileges) = grantees.entry(item.grantee).or_default();
            *held = (held.0 | item.privileges, held.1 | item.grant_options);
        }
    }
    grantees
}

/// PostgreSQL speaks of tables where it means all relations, and of functions where it means all routines.
fn spoken_of(kind: Kind) -> Kind {
    match kind {
        Kind::Relation(_) => Kind::Relation(RelationKind::Table),
        Kind::Routine(_) => Kind::Routine(RoutineKind::Function),
        other => other,
    }
}
