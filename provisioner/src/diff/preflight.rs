//! Whether whoever executes the plan may do it, so that it fails before anything is done.

use super::Request;
use crate::catalog::{AclItem, Object, Present, PresentMembership, RoleId};
use crate::error::Error;
use crate::plan::{Attribute, Operation, Requirement};
use policy::spec::{Kind, Privileges};
use std::collections::HashSet;

/// Superusers may do everything; for others the catalogs tell.
///
/// # Errors
/// The first thing the executor may not do, with the statement that a superuser must run once.
pub(super) fn check(operations: &[Operation], request: &Request<'_>, present: &Present) -> Result<(), Error> {
    if present.session.superuser {
        return Ok(());
    }
    let powers = Powers::of_executor(request, present);
    for requirement in operations.iter().filter(|done| done.needs.is_none()).flat_map(|done| &done.requires) {
        if let Some((problem, hint)) = powers.lacks(*requirement) {
            return Err(Error::mismatch(problem, hint));
        }
    }
    Ok(())
}

/// What the executor is and may become.
struct Powers<'a> {
    request: &'a Request<'a>,
    present: &'a Present,
    executor: &'a str,
    /// Whose privileges it has without asking.
    has: HashSet<RoleId>,
    /// What it can SET ROLE to.
    becomes: HashSet<RoleId>,
    /// What it may alter, drop and give out.
    administers: HashSet<RoleId>,
}

impl<'a> Powers<'a> {
    fn of_executor(request: &'a Request<'a>, present: &'a Present) -> Self {
        let old = present.session.version < 160_000;
        let executor = present.session.executor.as_str();
        let me: Vec<RoleId> = present.names.find(executor).into_iter().collect();
        let has = reach(present, &me, |edge| edge.inherit);
        let becomes = reach(present, &me, |edge| old || edge.set);
        let by_admin = present.memberships.iter().filter(|edge| edge.admin && (has.contains(&edge.member)));
        let administers = by_admin.map(|edge| edge.role).collect();
        Self { request, present, executor, has, becomes, administers }
    }

    /// A role that the plan itself makes.
    fn is_new(&self, role: RoleId) -> bool {
        !self.present.roles.contains_key(&role)
            && self.request.desired.roles.contains_key(self.present.names.name(role))
    }

    fn lacks(&self, requirement: Requirement) -> Option<(String, String)> {
        match requirement {
            Requirement::CreateRole => self.lacks_createrole(),
            Requirement::Administer(role) => self.lacks_admin(role),
            Requirement::Hold(attribute) => self.lacks_attribute(attribute),
            Requirement::ActAs(role) => self.cannot_act_as(role),
            Requirement::Become(role) => self.cannot_become(role),
            Requirement::GrantOn(number, privileges) => self.cannot_grant(number, privileges),
            Requirement::Own(number) => self.does_not_own(number),
            Requirement::CreateDatabase => self.lacks_createdb(),
            Requirement::CreateSchema => self.cannot_create_schema(),
            Requirement::CreatorIn(role, schema) => self.cannot_own_in(role, schema),
        }
    }

    fn lacks_createrole(&self) -> Option<(String, String)> {
        let me = self.executor;
        (!self.present.session.createrole).then(|| {
            (
                format!("\"{me}\" may not make or alter roles"),
                format!("ALTER ROLE {} CREATEROLE, or connect as a superuser", quoted(me)),
            )
        })
    }

    /// Before PostgreSQL 16 CREATEROLE is enough, except for superusers' roles.
    fn lacks_admin(&self, role: RoleId) -> Option<(String, String)> {
        let found = self.present.roles.get(&role)?;
        let (me, name) = (self.executor, self.present.names.name(role));
        if found.superuser {
            return Some((
                format!("\"{name}\" is a superuser, which only superusers may change or give out"),
                "connect as a superuser, or leave that role out".to_owned(),
            ));
        }
        let old = self.present.session.version < 160_000;
        if self.administers.contains(&role) || (old && self.present.session.createrole) {
            return None;
        }
        Some((
            format!("\"{me}\" may not administer the role \"{name}\""),
            format!("GRANT {} TO {} WITH ADMIN OPTION, or connect as a superuser", quoted(name), quoted(me)),
        ))
    }

    fn lacks_attribute(&self, attribute: Attribute) -> Option<(String, String)> {
        let me = self.executor;
        let mine = self.present.names.find(me).and_then(|id| self.present.roles.get(&id))?;
        let old = self.present.session.version < 160_000;
        let (word, held) = match attribute {
            Attribute::Superuser => ("SUPERUSER", false),
            Attribute::Replication => ("REPLICATION", !old && mine.replication),
            Attribute::BypassRls => ("BYPASSRLS", !old && mine.bypassrls),
            Attribute::CreateDb => ("CREATEDB", old || mine.createdb),
        };
        (!held).then(|| {
            let hint = match attribute {
                Attribute::Superuser => "connect as a superuser".to_owned(),
                _ if old => "connect as a superuser".to_owned(),
                _ => format!("ALTER ROLE {} {word}, or connect as a superuser", quoted(me)),
            };
            (format!("\"{me}\" may not give or take {word}"), hint)
        })
    }

    fn lacks_createdb(&self) -> Option<(String, String)> {
        let me = self.executor;
        let mine = self.present.names.find(me).and_then(|id| self.present.roles.get(&id))?;
        (!mine.createdb).then(|| {
            (
                format!("\"{me}\" may not give databases away"),
                format!("ALTER ROLE {} CREATEDB, or connect as a superuser", quoted(me)),
            )
        })
    }

    /// A new role is administered by its maker, who from PostgreSQL 16 on has what `createrole_self_grant` says besides.
    fn self_grant(&self, role: RoleId, word: &str, what: String) -> Option<(String, String)> {
        let session = &self.present.session;
        if !self.is_new(role) {
            return None;
        }
        if session.version < 160_000 {
            let name = self.present.names.name(role);
            let hint = format!(
                "CREATE ROLE {0}; GRANT {0} TO {1}, or connect as a superuser",
                quoted(name),
                quoted(self.executor)
            );
            return Some((what, hint));
        }
        let given = session.self_grant.split(',').any(|item| item.trim().eq_ignore_ascii_case(word));
        (!given).then(|| {
            let hint = format!("ALTER ROLE {} SET createrole_self_grant = 'set, inherit'", quoted(self.executor));
            (what, format!("{hint}, or connect as a superuser"))
        })
    }

    fn cannot_act_as(&self, role: RoleId) -> Option<(String, String)> {
        let reached = if self.present.session.version < 160_000 { &self.becomes } else { &self.has };
        let (me, name) = (self.executor, self.present.names.name(role));
        let problem =
            format!("\"{me}\" cannot act as \"{name}\", whose objects or default privileges the plan changes");
        if reached.contains(&role) {
            return None;
        }
        if self.is_new(role) {
            return self.self_grant(role, "inherit", problem);
        }
        Some((problem, format!("GRANT {} TO {}, or connect as a superuser", quoted(name), quoted(me))))
    }

    fn cannot_become(&self, role: RoleId) -> Option<(String, String)> {
        let (me, name) = (self.executor, self.present.names.name(role));
        let problem = format!("\"{me}\" cannot SET ROLE to \"{name}\", as the plan needs");
        if self.becomes.contains(&role) {
            return None;
        }
        if self.is_new(role) {
            return self.self_grant(role, "set", problem);
        }
        Some((problem, format!("GRANT {} TO {}, or connect as a superuser", quoted(name), quoted(me))))
    }

    fn cannot_grant(&self, number: usize, privileges: Privileges) -> Option<(String, String)> {
        let object = &self.present.objects[number];
        let items = object.acl.iter().flatten().filter(|item| self.has.contains(&item.grantee));
        let passable = items.fold(Privileges::NONE, |sum, item| sum | item.grant_options);
        if object.planned || self.has.contains(&object.owner) || passable.contains(privileges) {
            return None;
        }
        let me = self.executor;
        let what = format!("\"{me}\" may not grant {privileges} on {} {}", object.kind.word(), object.label());
        if object.kind == Kind::Parameter {
            let hint =
                format!("GRANT {privileges} ON PARAMETER {} TO {} WITH GRANT OPTION", object.reference, quoted(me));
            return Some((what, format!("{hint}, or connect as a superuser")));
        }
        let owner = self.present.names.name(object.owner);
        Some((
            format!("{what}, which \"{owner}\" owns"),
            format!("GRANT {} TO {}, or connect as a superuser", quoted(owner), quoted(me)),
        ))
    }

    fn does_not_own(&self, number: usize) -> Option<(String, String)> {
        let object = &self.present.objects[number];
        let owner = object.was_of.unwrap_or(object.owner);
        if object.planned || self.has.contains(&owner) {
            return None;
        }
        let (me, owner) = (self.executor, self.present.names.name(owner));
        Some((
            format!("\"{me}\" may not change {} {}, which \"{owner}\" owns", object.kind.word(), object.label()),
            format!("GRANT {} TO {}, or connect as a superuser", quoted(owner), quoted(me)),
        ))
    }

    fn cannot_create_schema(&self) -> Option<(String, String)> {
        let name = &self.present.session.database;
        let is_it = |object: &&Object| object.kind == Kind::Database && object.name == *name;
        let database = self.present.objects.iter().find(is_it)?;
        let me = self.executor;
        (!may_create(database, &self.has)).then(|| {
            (
                format!("\"{me}\" may not create schemas in database \"{name}\""),
                format!("GRANT CREATE ON DATABASE {} TO {}, or connect as a superuser", quoted(name), quoted(me)),
            )
        })
    }

    /// Whoever gets an object must be able to have made it, unless a superuser gives it.
    fn cannot_own_in(&self, role: RoleId, schema: usize) -> Option<(String, String)> {
        let schema = &self.present.objects[schema];
        let has = reach(self.present, &[role], |edge| edge.inherit);
        let name = self.present.names.name(role);
        (!may_create(schema, &has)).then(|| {
            (
                format!("\"{name}\" shall own objects in schema \"{}\", but may not create there", schema.name),
                format!("GRANT CREATE ON SCHEMA {} TO {}, or connect as a superuser", schema.reference, quoted(name)),
            )
        })
    }
}

/// Roles that are reached along memberships, the first ones included.
fn reach(present: &Present, from: &[RoleId], follow: impl Fn(&PresentMembership) -> bool) -> HashSet<RoleId> {
    let mut found = HashSet::new();
    let mut open = from.to_vec();
    while let Some(role) = open.pop() {
        if found.insert(role) {
            let groups = present.memberships.iter().filter(|edge| edge.member == role && follow(edge));
            open.extend(groups.map(|edge| edge.role));
        }
    }
    found
}

fn may_create(object: &Object, has: &HashSet<RoleId>) -> bool {
    let holds = |item: &AclItem| {
        (item.grantee == RoleId::PUBLIC || has.contains(&item.grantee)) && item.privileges.contains(Privileges::CREATE)
    };
    has.contains(&object.owner) || object.acl.iter().flatten().any(holds)
}

fn quoted(name: &str) -> String {
    policy::sql::identifier(name)
}
