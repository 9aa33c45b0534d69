//! Who holds what, and why: privileges as the server itself works them out, along memberships and PUBLIC.
//!
//! The catalogs are read in bulk and resolved here: asking the server about every role and object takes minutes where
//! there are many.

mod answer;
mod details;
mod find;
mod grants;
mod graph;
mod obstacles;

pub use answer::{Answer, Reason};
pub use details::Details;
pub use find::{Found, find, full_label, reader, role};
pub use grants::{Grants, Line};
pub use graph::{Along, DATABASE_OWNER, Edge, Graph};
pub use obstacles::{Obstacle, obstacles};

use crate::catalog::{AclItem, Object, Present, RoleId};
use policy::spec::{Kind, Privileges, RelationKind};
use std::collections::{HashMap, HashSet};

/// Objects below this number are the system's own: nobody but a superuser writes into their tables.
const FIRST_UNPINNED: u32 = 12_000;

/// How somebody came to hold a privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// The role is a superuser, whom nothing is refused.
    Superuser,
    /// The holder owns the object.
    Owner,
    /// Somebody granted it.
    Granted,
    /// Everybody has it on a new object of the kind, and nobody has said otherwise.
    Default,
    /// The holder is a predefined role that has it on every object of the kind.
    Predefined,
    /// No privilege is needed for it.
    Free,
}

/// Privileges that a role was given itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Who holds them; members that inherit hold them too.
    pub holder: RoleId,
    /// How.
    pub how: How,
    /// Who granted it, if somebody did.
    pub grantor: Option<RoleId>,
    /// Which.
    pub privileges: Privileges,
    /// Which the holder may pass on.
    pub grant_options: Privileges,
}

impl Source {
    /// Privileges that nobody in particular gave and that cannot be passed on.
    fn plain(holder: RoleId, how: How, privileges: Privileges) -> Self {
        Self { holder, how, grantor: None, privileges, grant_options: Privileges::NONE }
    }
}

/// The present state with everything worked out that questions about privileges need.
pub struct Access<'a> {
    /// What is there.
    pub present: &'a Present,
    /// Memberships.
    pub graph: Graph,
    reaches: HashMap<RoleId, HashSet<RoleId>>,
    predefined: Vec<(RoleId, OfKind)>,
    schemas: HashMap<&'a str, &'a Object>,
}

/// What a predefined role may do with every object of a kind.
type OfKind = fn(Kind) -> Privileges;

const PREDEFINED: &[(&str, OfKind)] =
    &[("pg_read_all_data", reads_all), ("pg_write_all_data", writes_all), ("pg_maintain", maintains)];

fn reads_all(kind: Kind) -> Privileges {
    match kind {
        Kind::Relation(_) | Kind::Sequence => Privileges::SELECT,
        Kind::Schema => Privileges::USAGE,
        _ => Privileges::NONE,
    }
}

fn writes_all(kind: Kind) -> Privileges {
    let write = Privileges::INSERT | Privileges::UPDATE | Privileges::DELETE;
    match kind {
        Kind::Relation(_) | Kind::Sequence => write & kind.privileges(),
        Kind::Schema => Privileges::USAGE,
        _ => Privileges::NONE,
    }
}

fn maintains(kind: Kind) -> Privileges {
    kind.privileges() & Privileges::MAINTAIN
}

impl<'a> Access<'a> {
    /// Works it out.
    pub fn new(present: &'a Present) -> Self {
        let graph = Graph::new(present);
        let reach = |role| graph.reach(role, Along::Inherit).into_iter().chain([RoleId::PUBLIC]).collect();
        let roles = present.roles.keys().copied().chain([RoleId::PUBLIC]);
        let reaches = roles.map(|role| (role, reach(role))).collect();
        let exists = |name| present.names.find(name).filter(|role| present.roles.contains_key(role));
        let predefined = PREDEFINED.iter().filter_map(|(name, of_kind)| Some((exists(name)?, *of_kind))).collect();
        let schemas = present.objects.iter().filter(|object| object.kind == Kind::Schema);
        let schemas = schemas.map(|object| (object.name.as_str(), object)).collect();
        Self { present, graph, reaches, predefined, schemas }
    }

    /// The object that was found.
    pub fn object(&self, found: &Found) -> &'a Object {
        &self.present.objects[found.object]
    }

    /// A role's name.
    pub fn name(&self, role: RoleId) -> &'a str {
        self.present.names.name(role)
    }

    /// Whether nothing is refused to the role.
    pub fn is_superuser(&self, role: RoleId) -> bool {
        self.present.roles.get(&role).is_some_and(|role| role.superuser)
    }

    /// Whether `role` has what `holder` has without asking: is it, inherits from it, or it is PUBLIC.
    pub fn inherits(&self, role: RoleId, holder: RoleId) -> bool {
        self.reaches.get(&role).is_some_and(|reach| reach.contains(&holder))
    }

    /// The privileges there are on a kind in this server.
    pub fn privileges_of(&self, kind: Kind) -> Privileges {
        let newer = if self.present.session.version < 170_000 { Privileges::MAINTAIN } else { Privileges::NONE };
        kind.privileges() - newer
    }

    /// Who was given what on an object as a whole; superusers are left out.
    pub fn sources(&self, object: &Object) -> Vec<Source> {
        let all = self.privileges_of(object.kind);
        let mut sources = match &object.acl {
            Some(acl) => granted(object, acl, all),
            None => {
                let default = Source::plain(RoleId::PUBLIC, How::Default, object.kind.public_default());
                vec![owned(object, all, all), default]
            }
        };
        let predefined = self.predefined.iter();
        sources.extend(
            predefined.map(|(role, of_kind)| Source::plain(*role, How::Predefined, of_kind(object.kind) & all)),
        );
        let refused = self.refused_to_all_but_superusers(object);
        for source in &mut sources {
            source.privileges -= refused;
            source.grant_options -= refused;
        }
        sources.retain(|source| !(source.privileges | source.grant_options).is_empty());
        sources
    }

    /// Who was given what on one column only.
    pub fn column_sources(&self, object: &Object, column: &str) -> Vec<Source> {
        let acl = object.columns.iter().find(|(name, _)| name == column);
        acl.map_or_else(Vec::new, |(_, acl)| granted(object, acl, Kind::COLUMN))
    }

    fn refused_to_all_but_superusers(&self, object: &Object) -> Privileges {
        let system = object.oid < FIRST_UNPINNED && object.schema.as_deref() == Some("pg_catalog");
        match object.kind {
            Kind::Relation(kind) if system && kind != RelationKind::View => {
                Privileges::INSERT | Privileges::UPDATE | Privileges::DELETE | Privileges::TRUNCATE
            }
            _ => Privileges::NONE,
        }
    }

    /// What a role holds on an object, memberships and PUBLIC included, given the object's sources.
    pub fn held(&self, role: RoleId, object: &Object, sources: &[Source]) -> Privileges {
        if self.is_superuser(role) {
            return self.privileges_of(object.kind);
        }
        let mine = sources.iter().filter(|source| self.inherits(role, source.holder));
        mine.fold(Privileges::NONE, |held, source| held | source.privileges)
    }

    /// The schema an object lies in.
    pub fn schema_of(&self, object: &Object) -> Option<&'a Object> {
        object.schema.as_deref().and_then(|name| self.schemas.get(name).copied())
    }

    /// The database one is connected to.
    pub fn database(&self) -> Option<&'a Object> {
        let here = |object: &&Object| object.kind == Kind::Database && object.name == self.present.session.database;
        self.present.objects.iter().find(here)
    }
}

/// The owner may always pass everything on, whatever privileges are left to him.
fn owned(object: &Object, privileges: Privileges, all: Privileges) -> Source {
    Source { grant_options: all, ..Source::plain(object.owner, How::Owner, privileges) }
}

fn granted(object: &Object, acl: &[AclItem], all: Privileges) -> Vec<Source> {
    let own = acl.iter().filter(|item| item.grantee == object.owner);
    let own = own.fold(Privileges::NONE, |sum, item| sum | item.privileges);
    let others = acl.iter().filter(|item| item.grantee != object.owner).map(|item| Source {
        grantor: Some(item.grantor),
        grant_options: item.grant_options & all,
        ..Source::plain(item.grantee, How::Granted, item.privileges & all)
    });
    [owned(object, own & all, all)].into_iter().chain(others).collect()
}
