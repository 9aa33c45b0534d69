//! What the spec says about one grantee and one object, all its grants together.

use super::objects::{Index, Wish};
use super::{Request, grantee};
use crate::catalog::{Object, Present, Resolved, RoleId};
use crate::error::Error;
use foldhash::fast::RandomState;
use policy::spec::{Ensure, Grant, Kind, Privileges};
use std::collections::{BTreeMap, HashMap};

/// What is said, by wildcards and by name: what is said by name counts more.
#[derive(Clone, Copy, Default)]
struct Said {
    held: [Privileges; 2],
    absent: [Privileges; 2],
    grant_option: Privileges,
}

/// What that comes to.
#[derive(Clone, Copy, Default)]
pub(super) struct Cell {
    /// Must be held.
    pub held: Privileges,
    /// Must be held with the grant option.
    pub grant_option: Privileges,
    /// Must not be held.
    pub absent: Privileges,
}

/// What the spec says about this database's objects.
#[derive(Default)]
pub(super) struct Cells {
    /// By object and grantee.
    pub objects: HashMap<(usize, RoleId), Cell, RandomState>,
    /// By object, column and grantee.
    pub columns: BTreeMap<(usize, String, RoleId), Cell>,
}

impl Said {
    fn say(&mut self, grant: &Grant, privileges: Privileges, by_name: bool) {
        let side = if grant.ensure == Ensure::Absent { &mut self.absent } else { &mut self.held };
        side[usize::from(by_name)] |= privileges;
        if grant.grant_option && grant.ensure == Ensure::Present {
            self.grant_option |= privileges;
        }
    }

    /// The outcome, or what is both demanded and forbidden.
    fn settle(self) -> Result<Cell, Privileges> {
        let [held, held_by_name] = self.held;
        let [absent, absent_by_name] = self.absent;
        let by_name = held_by_name | absent_by_name;
        let contradiction = (held_by_name & absent_by_name) | ((held & absent) - by_name);
        if !contradiction.is_empty() {
            return Err(contradiction);
        }
        let held = held_by_name | (held - absent_by_name);
        Ok(Cell { held, grant_option: self.grant_option & held, absent: absent_by_name | (absent - held_by_name) })
    }
}

impl Cells {
    /// Gathers all grants; enters parameters that carry no privileges yet into `present`.
    pub fn gather(request: &Request<'_>, present: &mut Present, resolved: &Resolved) -> Result<Self, Error> {
        enter_parameters(request, present);
        let index = Index::new(&present.objects);
        let mut objects: HashMap<(usize, RoleId), Said, RandomState> = HashMap::default();
        let mut columns: BTreeMap<(usize, String, RoleId), Said> = BTreeMap::new();
        for grant in &request.contents.grants {
            let privileges = for_version(grant.privileges, grant.all, grant.on.kind, present)?;
            let to: Vec<RoleId> = grant.to.iter().map(|to| grantee(request, present, to)).collect::<Result<_, _>>()?;
            for (object, by_name) in index.targets(Wish::of_grant(grant), present, resolved)? {
                let on_columns = columns_of(grant, &present.objects[object], by_name, resolved)?;
                for to in to.iter().filter(|to| **to != present.objects[object].owner) {
                    if grant.on.columns.is_empty() {
                        objects.entry((object, *to)).or_default().say(grant, privileges, by_name);
                    }
                    for column in &on_columns {
                        columns.entry((object, (*column).clone(), *to)).or_default().say(grant, privileges, by_name);
                    }
                }
            }
        }
        let contradiction = |object: usize, to: RoleId, privileges: Privileges| {
            let (label, to) = (present.objects[object].label(), present.names.name(to));
            Error::mismatch(
                format!("{privileges} on {label} is both given to \"{to}\" and declared absent"),
                "take one of the two grants out",
            )
        };
        // The same one every time.
        let contradictions = objects.iter().filter_map(|(place, said)| Some((*place, said.settle().err()?)));
        if let Some(((object, to), both)) = contradictions.min() {
            return Err(contradiction(object, to, both));
        }
        let mut cells = Self::default();
        for ((object, to), said) in objects {
            cells.objects.insert((object, to), said.settle().map_err(|both| contradiction(object, to, both))?);
        }
        for ((object, column, to), said) in columns {
            let cell = said.settle().map_err(|both| contradiction(object, to, both))?;
            cells.columns.insert((object, column, to), cell);
        }
        Ok(cells)
    }
}

/// The columns a grant is about that the table has: all of them, unless a wildcard found it.
fn columns_of<'a>(
    grant: &'a Grant,
    object: &Object,
    by_name: bool,
    resolved: &Resolved,
) -> Result<Vec<&'a String>, Error> {
    let is_there = |column: &&String| resolved.columns.contains(&(object.oid, (*column).clone()));
    let missing = grant.on.columns.iter().find(|column| !is_there(column));
    match missing.filter(|_| by_name && grant.ensure == Ensure::Present) {
        Some(column) => Err(Error::mismatch(
            format!("\"{}\" has no column \"{column}\"", object.label()),
            "correct the name, or take the column out",
        )),
        None => Ok(grant.on.columns.iter().filter(is_there).collect()),
    }
}

/// The privileges this server knows. What only a newer one has is dropped from ALL and refused by name.
pub(super) fn for_version(
    privileges: Privileges,
    all: bool,
    kind: Kind,
    present: &Present,
) -> Result<Privileges, Error> {
    let session = &present.session;
    if kind == Kind::Parameter && session.version < 150_000 {
        let message = format!("parameters carry privileges from PostgreSQL 15 on, this is {}", session.version_text);
        return Err(Error::mismatch(message, "take the grant out"));
    }
    if session.version >= 170_000 || !privileges.contains(Privileges::MAINTAIN) {
        return Ok(privileges);
    }
    if !all {
        let message = format!("MAINTAIN exists from PostgreSQL 17 on, this is {}", session.version_text);
        return Err(Error::mismatch(message, "take it out, or write ALL"));
    }
    Ok(privileges - Privileges::MAINTAIN)
}

/// A parameter has a row in the catalogs only once something was granted on it.
fn enter_parameters(request: &Request<'_>, present: &mut Present) {
    let owner = present.bootstrap_superuser();
    for grant in request.contents.grants.iter().filter(|grant| grant.on.kind == Kind::Parameter) {
        for name in grant.on.names.iter().filter(|name| !name.is_wild()) {
            let known = |object: &Object| object.kind == Kind::Parameter && object.name == name.as_str();
            if !present.objects.iter().any(known) {
                present.objects.push(Object {
                    kind: Kind::Parameter,
                    oid: 0,
                    schema: None,
                    name: name.as_str().to_owned(),
                    reference: name.as_str().split('.').map(policy::sql::identifier).collect::<Vec<_>>().join("."),
                    owner,
                    acl: None,
                    columns: Vec::new(),
                    planned: false,
                    was_of: None,
                });
            }
        }
    }
}
