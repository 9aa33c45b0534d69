//! What each grantee holds on each object, and what of it has to be written.

use super::collect::Source;
use super::line::Saying;
use super::notes::Notes;
use crate::catalog::{AclItem, Object, RoleId};
use policy::spec::{Kind, Privileges};
use std::collections::BTreeMap;

/// What one grantee holds on an object or a column.
#[derive(Clone, Copy, Default)]
struct Cell {
    held: Privileges,
    option: Privileges,
    /// What it held from the start, and that is not for the spec to say.
    initial: Privileges,
}

/// What an entry about one object has to say, and what it must not say.
#[derive(Clone, Copy)]
pub(super) struct Demand {
    pub must: Privileges,
    pub must_not: Privileges,
}

/// What grantees hold on one object or column.
pub(super) struct Cells {
    all: Privileges,
    owner: RoleId,
    cells: BTreeMap<RoleId, Cell>,
}

impl Cells {
    /// Of an object as a whole.
    pub fn of_object(source: &Source, object: &Object, notes: &mut Notes) -> Self {
        let public = source.initial(object, "", RoleId::PUBLIC);
        let public = public.map_or(object.kind.public_default(), |items| held_by(items, RoleId::PUBLIC));
        let mut cells = Self::new(object, object.kind.privileges(), public);
        match &object.acl {
            Some(acl) => cells.read(source, object, "", acl, notes),
            None => cells.public().held = object.kind.public_default(),
        }
        cells
    }

    /// Of a column of it.
    pub fn of_column(source: &Source, object: &Object, column: &str, acl: &[AclItem], notes: &mut Notes) -> Self {
        let public = source.initial(object, column, RoleId::PUBLIC);
        let public = public.map_or(Privileges::NONE, |items| held_by(items, RoleId::PUBLIC));
        let mut cells = Self::new(object, Kind::COLUMN, public);
        cells.read(source, object, column, acl, notes);
        cells
    }

    fn new(object: &Object, all: Privileges, public: Privileges) -> Self {
        let public = Cell { initial: public, ..Cell::default() };
        Self { all, owner: object.owner, cells: BTreeMap::from([(RoleId::PUBLIC, public)]) }
    }

    fn public(&mut self) -> &mut Cell {
        self.cells.entry(RoleId::PUBLIC).or_default()
    }

    fn read(&mut self, source: &Source, object: &Object, column: &str, acl: &[AclItem], notes: &mut Notes) {
        let label = || {
            let kind = object.kind.word().replace('_', " ");
            if column.is_empty() {
                format!("{kind} {}", object.label())
            } else {
                format!("{kind} {} ({column})", object.label())
            }
        };
        for item in acl.iter().filter(|item| item.grantee != object.owner) {
            if !source.is_written(item.grantee, label, notes) {
                continue;
            }
            let initial = source.initial(object, column, item.grantee);
            let initial = initial.map_or(Privileges::NONE, |items| held_by(items, item.grantee));
            if item.grantor != object.owner && !initial.contains(item.privileges) {
                notes.add("granted by others than the owner, which a spec does not tell apart", label());
            }
            let cell = self.cells.entry(item.grantee).or_default();
            cell.held |= item.privileges;
            cell.option |= item.grant_options;
            cell.initial |= initial;
        }
        let own = held_by(acl, object.owner);
        let expected = source.known_here(self.all);
        if column.is_empty() && !own.contains(expected) {
            notes.add("owners who took privileges from themselves, which a spec does not say", label());
        }
    }

    /// Who is spoken of.
    pub fn grantees(&self) -> impl Iterator<Item = RoleId> {
        self.cells.keys().copied()
    }

    /// What entries of a sort have to say about a grantee; nothing about the owner, whatever they say.
    pub fn demand(&self, grantee: RoleId, saying: Saying) -> Option<Demand> {
        if grantee == self.owner {
            return None;
        }
        let Cell { held, option, initial } = self.cells.get(&grantee).copied().unwrap_or_default();
        let (must, must_not) = match saying {
            Saying::Held => (held - option - initial, !held),
            Saying::GrantOption => (option - initial, !option),
            Saying::Absent => (initial - held, held),
        };
        Some(Demand { must, must_not })
    }
}

fn held_by(items: &[AclItem], grantee: RoleId) -> Privileges {
    items.iter().filter(|item| item.grantee == grantee).fold(Privileges::NONE, |sum, item| sum | item.privileges)
}
