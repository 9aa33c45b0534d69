//! The present state: what a server's catalogs say, read in one snapshot.

mod acl;
mod names;
mod read;
mod resolve;

pub use acl::AclItem;
pub use names::{Names, RoleId};
pub use read::{Reader, snapshot};
pub use resolve::{Resolved, resolve};

use policy::spec::Kind;
use std::collections::{BTreeMap, HashMap};
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
}

/// The server and who asks it.
pub struct Session {
    /// Its `server_version_num`.
    pub version: u32,
    /// Its version as people write it.
    pub version_text: String,
    /// The database.
    pub database: String,
    /// The role that asks.
    pub executor: String,
    /// Whether that is a superuser.
    pub superuser: bool,
    /// Whether it may make roles.
    pub createrole: bool,
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
    /// The role with which large objects, parameters and the like were made when the cluster was.
    pub fn bootstrap_superuser(&self) -> RoleId {
        self.roles.iter().find(|(_, role)| role.oid == 10).map_or(RoleId::PUBLIC, |(id, _)| *id)
    }
}

impl Object {
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
        match (self.kind, self.reference.rfind('(')) {
            (Kind::Routine(_), Some(open)) => format!("{}{}", self.name, &self.reference[open..]),
            _ => self.name.clone(),
        }
    }
}
