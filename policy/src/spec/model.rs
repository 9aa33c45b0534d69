//! A spec after reading: every key understood, nothing looked up in a server.

use super::access::Access;
use super::error::At;
use super::kind::Kind;
use super::pattern::Pattern;
use super::privilege::Privileges;
use std::collections::BTreeMap;

/// A whole spec.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Roles that shall exist.
    pub roles: BTreeMap<String, Role>,
    /// Who is a member of what, beside the roles' own `member_of`.
    pub memberships: Vec<Membership>,
    /// What schemas can be given.
    pub templates: BTreeMap<String, Template>,
    /// How the role of a template in a schema is called.
    pub role_name: Option<String>,
    /// What concerns the database one is connected to.
    pub here: Contents,
    /// What concerns databases by name.
    pub databases: BTreeMap<String, Contents>,
    /// Roles that shall be gone, and what becomes of what they own.
    pub retire: BTreeMap<String, Retirement>,
    /// What may be judged undeclared.
    pub manage: Manage,
}

/// What becomes of a role that shall be gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retirement {
    /// Where it is declared.
    pub at: At,
    /// Who gets what it owns. Without an heir it may own nothing.
    pub reassign_to: Option<String>,
    /// Whether its sessions are ended first.
    pub terminate_sessions: bool,
}

/// What concerns one database.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Schemas that shall exist.
    pub schemas: BTreeMap<String, Schema>,
    /// Privileges on objects.
    pub grants: Vec<Grant>,
    /// Privileges on objects to come.
    pub default_privileges: Vec<DefaultPrivilege>,
    /// Who owns what.
    pub owners: Vec<Ownership>,
    /// What the extension shall hold, if that is looked at.
    pub access: Option<Access>,
}

/// Objects belonging to a role.
#[derive(Clone, Debug)]
pub struct Ownership {
    /// Where it is written.
    pub at: At,
    /// Whose they shall be.
    pub owner: String,
    /// Which.
    pub on: Target,
    /// Names left out.
    pub except: Vec<Pattern>,
}

/// A role that shall exist.
#[derive(Clone, Debug, Default)]
pub struct Role {
    /// Where it is declared.
    pub at: At,
    /// Its options.
    pub options: RoleOptions,
    /// The roles it is a member of.
    pub member_of: Vec<Membership>,
    /// What it may do in the database one is connected to.
    pub grants: Vec<Grant>,
}

/// Options of a role; one that is not set is left as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoleOptions {
    /// LOGIN.
    pub login: Option<bool>,
    /// SUPERUSER.
    pub superuser: Option<bool>,
    /// CREATEDB.
    pub createdb: Option<bool>,
    /// CREATEROLE.
    pub createrole: Option<bool>,
    /// INHERIT.
    pub inherit: Option<bool>,
    /// REPLICATION.
    pub replication: Option<bool>,
    /// BYPASSRLS.
    pub bypassrls: Option<bool>,
    /// CONNECTION LIMIT, -1 being none.
    pub connection_limit: Option<i32>,
    /// VALID UNTIL.
    pub valid_until: Option<ValidUntil>,
    /// The comment; empty for none.
    pub comment: Option<String>,
    /// Where the password comes from.
    pub password: Option<PasswordSource>,
    /// Settings in all databases.
    pub config: Settings,
    /// Settings by database.
    pub config_in_database: BTreeMap<String, Settings>,
}

/// Values of settings: a list where the setting is one, nothing where there shall be no setting.
pub type Settings = BTreeMap<String, Option<Vec<String>>>;

/// How long a role's password counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValidUntil {
    /// For ever.
    Infinity,
    /// Until a time, as the server reads it.
    Time(String),
}

/// Where a password is found when it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// In an environment variable.
    Environment(String),
    /// In a file, without its last line break.
    File(String),
    /// Nowhere: it is asked for when a role has none yet.
    Prompt,
}

/// A role being a member of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Where it is declared.
    pub at: At,
    /// The group.
    pub role: String,
    /// Who is in it.
    pub member: String,
    /// ADMIN OPTION; not set is off.
    pub admin: Option<bool>,
    /// INHERIT OPTION, from PostgreSQL 16 on.
    pub inherit: Option<bool>,
    /// SET OPTION, from PostgreSQL 16 on.
    pub set: Option<bool>,
    /// Who grants it, from PostgreSQL 16 on; whoever applies the spec, if not set.
    pub grantor: Option<String>,
    /// Whether it must or must not be.
    pub ensure: Ensure,
}

impl Membership {
    /// A membership about which nothing else is said.
    pub(super) fn plain(at: At, role: &str, member: &str) -> Self {
        let (role, member) = (role.to_owned(), member.to_owned());
        Self { at, role, member, admin: None, inherit: None, set: None, grantor: None, ensure: Ensure::Present }
    }
}

/// What a schema can be given under one name.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// Where it is declared.
    pub at: At,
    /// Templates it includes.
    pub inherits: Vec<String>,
    /// Privileges on the schema and on all there is in it.
    pub grants: Vec<TemplateGrant>,
    /// Privileges on what creators make in it later.
    pub default_privileges: Vec<TemplateGrant>,
}

/// Privileges on a kind of object, wherever the template is used.
#[derive(Clone, Debug)]
pub struct TemplateGrant {
    /// What is granted.
    pub privileges: Privileges,
    /// Whether all privileges were meant, of which an old server may have fewer.
    pub all: bool,
    /// On what.
    pub kind: Kind,
    /// Names left out.
    pub except: Vec<Pattern>,
}

/// A schema that shall exist.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Where it is declared.
    pub at: At,
    /// Its owner, if that matters.
    pub owner: Option<String>,
    /// Whose future objects the templates' default privileges are for; none stands for whoever may create there by
    /// this spec.
    pub creators: Vec<Creator>,
    /// The templates it is given.
    pub templates: Vec<TemplateUse>,
}

/// A template given to a schema.
#[derive(Clone, Debug)]
pub struct TemplateUse {
    /// Where it is written.
    pub at: At,
    /// The template.
    pub template: String,
    /// The roles that get it; without any, a role is made for it and named by `role_name`.
    pub roles: Option<Vec<String>>,
}

/// Whose future objects are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Creator {
    /// One role.
    Role(String),
    /// Whoever is a member of a role, at whatever remove, when the spec is compared; not the role itself.
    MembersOf(String),
}

/// Who holds a privilege.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grantee {
    /// Everybody.
    Public,
    /// A role.
    Role(String),
}

/// Whether something must or must not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ensure {
    /// It must be held.
    #[default]
    Present,
    /// It must not be held.
    Absent,
}

/// Objects that privileges are on.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Their kind.
    pub kind: Kind,
    /// Their schemas; empty where they lie in none.
    pub schemas: Vec<Pattern>,
    /// Their names; for a routine with or without its argument types. Empty for the database one is connected to.
    pub names: Vec<Pattern>,
    /// Columns, if it is about those.
    pub columns: Vec<String>,
}

/// Privileges on objects.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Where it is written.
    pub at: At,
    /// Who holds them.
    pub to: Vec<Grantee>,
    /// Which.
    pub privileges: Privileges,
    /// Whether all privileges were meant, of which an old server may have fewer.
    pub all: bool,
    /// On what.
    pub on: Target,
    /// Names left out.
    pub except: Vec<Pattern>,
    /// WITH GRANT OPTION.
    pub grant_option: bool,
    /// Whether they must or must not be held.
    pub ensure: Ensure,
}

/// Where default privileges apply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DefaultScope {
    /// In every schema.
    Global,
    /// In one.
    Schema(String),
}

/// Privileges on objects to come.
#[derive(Clone, Debug)]
pub struct DefaultPrivilege {
    /// Where it is written.
    pub at: At,
    /// Whose objects.
    pub creator: Creator,
    /// Where.
    pub scope: DefaultScope,
    /// Of what kind.
    pub kind: Kind,
    /// Who gets the privileges.
    pub to: Vec<Grantee>,
    /// Which.
    pub privileges: Privileges,
    /// Whether all privileges were meant, of which an old server may have fewer.
    pub all: bool,
    /// WITH GRANT OPTION.
    pub grant_option: bool,
    /// Whether they must or must not be given.
    pub ensure: Ensure,
}

/// What may be judged undeclared, and what happens then.
#[derive(Clone, Debug, Default)]
pub struct Manage {
    /// Roles whose privileges are looked at; those declared, if not set.
    pub roles: Option<Vec<Pattern>>,
    /// Schemas that are looked at; all but the system's, if not set.
    pub schemas: Option<Vec<Pattern>>,
    /// Roles that are never looked at.
    pub ignore: Vec<Pattern>,
    /// What happens to what is undeclared.
    pub undeclared: Undeclared,
}

/// What happens, without a flag, to what the spec does not declare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undeclared {
    /// Privileges are taken away.
    pub revoke_privileges: bool,
    /// Memberships are ended.
    pub revoke_members: bool,
    /// Roles are dropped.
    pub drop_roles: bool,
    /// Owners are changed.
    pub change_owners: bool,
}
