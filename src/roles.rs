//! Roles, their members, and who is an administrator.

use crate::administrators::{keep_one, require_administrator};
use crate::backend::{account, session};
use crate::error::{Error, Reported, required};
use crate::query;
use pgrx::prelude::*;
use std::collections::BTreeSet;
use std::ffi::CStr;

/// Creates a role.
#[pg_extern(sql = false)]
fn create_role(name: Option<&str>, description: Option<&str>, database_role: Option<&CStr>) -> Reported<()> {
    require_administrator("create_role()")?;
    let name = required(name, "name")?;
    if name.is_empty() {
        return Err(Error::BadArgument { what: "role name", value: name.into(), problem: "must not be empty" }.into());
    }
    let database_role = database_role.map(self::database_role).transpose()?;
    let created = run(
        "INSERT INTO rolecall.roles (name, description, database_role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        &[name.into(), description.into(), database_role.into()],
    )?;
    if created == 0 {
        return Err(Error::Exists { kind: "role", name: name.into() }.into());
    }
    Ok(())
}

/// Gives a role to a user or to a role.
#[pg_extern(sql = false)]
fn grant_role(role: Option<&str>, member: Option<&str>) -> Reported<()> {
    require_administrator("grant_role()")?;
    Ok(grant(required(role, "role")?, required(member, "member")?)?)
}

/// Takes a role from a user or from a role.
#[pg_extern(sql = false)]
fn revoke_role(role: Option<&str>, member: Option<&str>) -> Reported<()> {
    require_administrator("revoke_role()")?;
    let (role, member) = (required(role, "role")?, required(member, "member")?);
    must_exist(role)?;
    let found = Member::find(member)?;
    keep_one(member, || match found {
        Member::Role(name) => {
            run("DELETE FROM rolecall.role_members WHERE role = $1 AND member = $2", &[role.into(), name.into()])
        }
        Member::User(id) => {
            run("DELETE FROM rolecall.user_roles WHERE role = $1 AND user_id = $2", &[role.into(), id.into()])
        }
    })?;
    Ok(())
}

/// Whether the present identity holds `role`.
#[pg_extern(sql = false)]
fn has_role(role: &str) -> Reported<bool> {
    Ok(session::current()?.has_role(role))
}

/// Grants without asking who calls.
pub fn grant(role: &str, member: &str) -> Result<(), Error> {
    must_exist(role)?;
    match Member::find(member)? {
        Member::Role(name) => grant_to_role(role, &name),
        Member::User(id) => {
            run(
                "INSERT INTO rolecall.user_roles (role, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                &[role.into(), id.into()],
            )?;
            Ok(())
        }
    }
}

/// The database role of that name.
pub fn database_role(name: &CStr) -> Result<pg_sys::Oid, Error> {
    let name = name.to_string_lossy();
    let oid = query::one("SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1", &[name.as_ref().into()])?;
    oid.ok_or_else(|| Error::Missing { kind: "database role", name: name.into_owned() })
}

/// Raises an error unless the role exists.
pub fn must_exist(role: &str) -> Result<(), Error> {
    let found = query::one::<bool>("SELECT EXISTS (SELECT FROM rolecall.roles WHERE name = $1)", &[role.into()])?;
    if found == Some(true) { Ok(()) } else { Err(Error::Missing { kind: "role", name: role.into() }) }
}

/// What a role can be granted to.
enum Member {
    /// A role, by name.
    Role(String),
    /// A user, by id.
    User(String),
}

impl Member {
    /// Reads `NAME` or `role:NAME`.
    fn find(member: &str) -> Result<Self, Error> {
        if let Some(role) = member.strip_prefix("role:") {
            must_exist(role)?;
            return Ok(Self::Role(role.into()));
        }
        crate::users::id_of(member).map(Self::User)
    }
}

fn grant_to_role(role: &str, member: &str) -> Result<(), Error> {
    // Two sessions that each grant one half of a cycle must see each other. The members are then read with a fresh
    // snapshot, whatever the isolation level.
    Spi::run("LOCK TABLE rolecall.role_members IN SHARE ROW EXCLUSIVE MODE")?;
    if account::containing(BTreeSet::from([role.to_owned()]))?.contains(member) {
        return Err(Error::RoleCycle { role: role.into(), member: member.into() });
    }
    run(
        "INSERT INTO rolecall.role_members (role, member) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        &[role.into(), member.into()],
    )?;
    Ok(())
}

/// Runs a statement and returns how many rows it changed.
fn run(statement: &str, arguments: &[pgrx::datum::DatumWithOid]) -> Result<usize, Error> {
    Ok(Spi::connect_mut(|client| client.update(statement, None, arguments).map(|rows| rows.len()))?)
}
