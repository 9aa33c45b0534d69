//! The present state: what a server's catalogs say, read in one snapshot.

mod acl;
mod dependents;
mod names;
mod read;
mod resolve;
mod session;
mod settings;

pub use acl::{AclItem, parse as parse_acl};
pub use dependents::Dependents;
pub use names::{Names, RoleId};
pub use read::{Reader, number, rows, snapshot, text};
pub use resolve::{Resolved, resolve};
pub use session::Session;
pub use settings::setting_items;

use policy::spec::{Kind, Pattern};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

/// What is there.
pub struct Present {
    /// The server and who asks it.
    pub session: Session,
    /// Names of roles, those of the spec included.
    pub names: Names,
    /// Roles that exist.
    pub roles: HashMap<RoleId, PresentRole>,
    /// Who is a member of what.
    pub memberships: Vec<PresentMembership>,
    /// Everything that carries privileges.
    pub objects: Vec<Object>,
    /// Default privileges.
    pub defaults: Vec<DefaultAcl>,
    /// Sequences that follow a table: from their oid to the table's. Read where owners matter.
    pub links: HashMap<u32, u32>,
    /// Views of the extension that have the privileges of the table they show, by oid.
    pub followers: HashSet<u32>,
    /// What hangs on roles that shall be gone.
    pub dependents: HashMap<RoleId, Dependents>,
}

/// A role that exists.
#[derive(Clone, Debug, Default)]
pub struct PresentRole {
    /// Its oid.
    pub oid: u32,
    /// LOGIN.
    pub login: bool,
    /// SUPERUSER.
    pub superuser: bool,
    /// CREATEDB.
    pub createdb: bool,
    /// CREATEROLE.
    pub createrole: bool,
    /// INHERIT.
    pub inherit: bool,
    /// REPLICATION.
    pub replication: bool,
    /// BYPASSRLS.
    pub bypassrls: bool,
    /// CONNECTION LIMIT.
    pub connection_limit: i32,
    /// Seconds since 1970 with six decimals, as text; none is for ever.
    pub valid_until: Option<String>,
    /// Its comment; empty for none.
    pub comment: String,
    /// The stored verifier, where the executor may read it.
    pub verifier: Option<String>,
    /// Settings, by database or for all.
    pub config: BTreeMap<Option<String>, Vec<(String, String)>>,
}

/// A role being a member of another.
pub struct PresentMembership {
    /// The group.
    pub role: RoleId,
    /// Who is in it.
    pub member: RoleId,
    /// Who put him there.
    pub grantor: RoleId,
    /// Whether the member may admit others.
    pub admin: bool,
    /// Whether the member has the role's privileges without asking; before PostgreSQL 16 its own INHERIT says so.
    pub inherit: bool,
    /// Whether the member may SET ROLE to it.
    pub set: bool,
}

/// Something that carries privileges.
pub struct Object {
    /// Its exact kind.
    pub kind: Kind,
    /// Its oid; 0 before it exists.
    pub oid: u32,
    /// Its schema, where it lies in one.
    pub schema: Option<Rc<str>>,
    /// Its name; a routine's without argument types.
    pub name: String,
    /// How SQL refers to it.
    pub reference: String,
    /// Its owner.
    pub owner: RoleId,
    /// Its privileges; none stands for what the kind has by default.
    pub acl: Option<Vec<AclItem>>,
    /// Columns that carry privileges of their own.
    pub columns: Vec<(String, Vec<AclItem>)>,
    /// Whether the plan is going to make it.
    pub planned: bool,
    /// Whose it is until the plan gives it to its owner.
    pub was_of: Option<RoleId>,
}

/// One row of default privileges.
pub struct DefaultAcl {
    /// Whose objects.
    pub creator: RoleId,
    /// The schema, or all of them.
    pub schema: Option<String>,
    /// Of what kind.
    pub kind: Kind,
    /// The privileges they get.
    pub acl: Vec<AclItem>,
}

impl Present {
    /// The number of a schema among the objects.
    pub fn schema(&self, name: &str) -> Option<usize> {
        // They come last, after what may be many thousands of tables.
        self.objects.iter().rposition(|object| object.kind == Kind::Schema && object.name == name)
    }

    /// The role with which large objects, parameters and the like were made when the cluster was.
    pub fn bootstrap_superuser(&self) -> RoleId {
        self.roles.iter().find(|(_, role)| role.oid == 10).map_or(RoleId::PUBLIC, |(id, _)| *id)
    }

    /// Whether a membership only says who made the role: from PostgreSQL 16 on its maker administers it, by grace of the
    /// bootstrap superuser.
    pub fn is_implicit(&self, edge: &PresentMembership) -> bool {
        self.session.version >= 160_000
            && edge.admin
            && !edge.inherit
            && !edge.set
            && edge.grantor == self.bootstrap_superuser()
    }
}

impl Object {
    /// What a change of owner does to privileges: all that was the old owner's becomes the new one's.
    pub fn change_owner(&mut self, owner: RoleId) {
        let old = std::mem::replace(&mut self.owner, owner);
        self.was_of.get_or_insert(old);
        let columns = self.columns.iter_mut().flat_map(|(_, acl)| acl);
        for item in self.acl.iter_mut().flatten().chain(columns) {
            if item.grantee == old {
                item.grantee = owner;
            }
            if item.grantor == old {
                item.grantor = owner;
            }
        }
    }

    /// What a person calls it.
    pub fn label(&self) -> String {
        match (&self.schema, self.kind) {
            (Some(schema), Kind::Routine(_)) => format!("{schema}.{}", self.signature()),
            (Some(schema), _) => format!("{schema}.{}", self.name),
            (None, _) => self.name.clone(),
        }
    }

    /// A routine's name with its argument types, everything else's name.
    pub fn signature(&self) -> String {
        match (self.kind, Pattern::literal(self.reference.as_str()).signature()) {
            (Kind::Routine(_), (_, Some(types))) => format!("{}({types})", self.name),
            _ => self.name.clone(),
        }
    }
}
