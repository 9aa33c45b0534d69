//! Roles, their members, and who is an administrator.

use crate::administrators::{keep_one, require_administrator};
use crate::backend::{account, catalog, session};
use crate::error::{Error, Reported, required};
use crate::users::bad;
use crate::{acls, permissions, query, servers};
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use std::collections::BTreeSet;
use std::ffi::CStr;

/// How many characters a role's name may have.
const LONGEST_NAME: usize = 255;
/// What the role of everybody is called at first. No other one may be: CREATE EXTENSION makes it under this name, and a
/// dump that held a second one could not be restored.
pub const GUEST: &str = "guest";

/// Creates a role.
#[pg_extern(sql = false)]
fn create_role(
    name: Option<&str>,
    description: Option<&str>,
    pool: Option<bool>,
    server: Option<&str>,
    database_role: Option<&CStr>,
    latest_expiry: Option<TimestampWithTimeZone>,
    longest_life: Option<Interval>,
) -> Reported<()> {
    require_administrator("create_role()")?;
    let name = checked(required(name, "name")?)?;
    let pool = required(pool, "pool")?;
    let database_role = database_role.map(self::database_role).transpose()?;
    servers::must_allow(server, latest_expiry, longest_life.as_ref())?;
    let created = run(
        "INSERT INTO rolecall.roles (name, description, pool, server, database_role, latest_expiry, longest_life)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        &[
            name.into(),
            description.into(),
            pool.into(),
            server.into(),
            database_role.into(),
            latest_expiry.into(),
            longest_life.into(),
        ],
    )?;
    if created == 0 || name == GUEST {
        return Err(Error::Exists { kind: "role", name: name.into() }.into());
    }
    Ok(())
}

/// Gives a role another name.
#[pg_extern(sql = false)]
fn rename_role(name: Option<&str>, new_name: Option<&str>) -> Reported<()> {
    require_administrator("rename_role()")?;
    Ok(rename(required(name, "name")?, required(new_name, "new_name")?)?)
}

/// Removes a role.
#[pg_extern(sql = false)]
fn drop_role(name: Option<&str>) -> Reported<()> {
    require_administrator("drop_role()")?;
    Ok(remove(required(name, "name")?)?)
}

/// Removes a role without asking who calls: nobody else than rolecall's own functions can.
#[pg_extern(sql = false)]
fn remove_role(name: Option<&str>) -> Reported<()> {
    Ok(remove(required(name, "name")?)?)
}

fn remove(name: &str) -> Result<(), Error> {
    if lock(name)?.built_in {
        return Err(Error::BuiltIn(name.into(), "dropped"));
    }
    acls::must_not_name(name, "dropped")?;
    // What names it without a foreign key must not wait for another role of that name.
    for statement in [
        "UPDATE rolecall.settings SET registration_roles = pg_catalog.array_remove(registration_roles, $1)
          WHERE $1 = ANY (registration_roles)",
        "UPDATE rolecall.invitations SET roles = pg_catalog.array_remove(roles, $1) WHERE $1 = ANY (roles)",
        "UPDATE rolecall.server_tokens SET revoked_at = pg_catalog.clock_timestamp()
          WHERE server = (SELECT server FROM rolecall.roles WHERE name = $1) AND roles ? $1 AND revoked_at IS NULL",
    ] {
        run(statement, &[name.into()])?;
    }
    let drop = || run("DELETE FROM rolecall.roles WHERE name = $1", &[name.into()]);
    keep_one(name, || permissions::follow(name, drop))?;
    must_be_gone(name)
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

/// The roles of a user, nesting resolved.
#[pg_extern(sql = false)]
fn roles_of(username: Option<&str>) -> Reported<SetOfIterator<'static, String>> {
    let username = required(username, "username")?;
    let session = session::current()?;
    if session.user.as_ref().is_none_or(|user| user.username != username) {
        require_administrator("roles_of() another user")?;
    }
    let held = account::held_by(&crate::users::id_of(username)?)?;
    Ok(SetOfIterator::new(held.map(|held| held.roles).unwrap_or_default()))
}

/// Gives a role another name, without asking who calls.
pub fn rename(name: &str, new_name: &str) -> Result<(), Error> {
    checked(new_name)?;
    Spi::run("LOCK TABLE rolecall.roles IN SHARE ROW EXCLUSIVE MODE")?;
    let role = lock(name)?;
    if role.built_in && !role.everybody {
        return Err(Error::BuiltIn(name.into(), "renamed"));
    }
    let is_taken = catalog::finds(c"SELECT FROM rolecall.roles WHERE name = $1", new_name);
    if is_taken || (new_name == GUEST && !role.everybody) {
        return Err(Error::Exists { kind: "role", name: new_name.into() });
    }
    acls::must_not_name(name, "renamed")?;
    for statement in [
        "UPDATE rolecall.settings SET registration_roles = pg_catalog.array_replace(registration_roles, $1, $2)
          WHERE $1 = ANY (registration_roles)",
        "UPDATE rolecall.invitations SET roles = pg_catalog.array_replace(roles, $1, $2) WHERE $1 = ANY (roles)",
        "UPDATE rolecall.server_tokens SET roles = roles - $1 || pg_catalog.jsonb_build_object($2, roles -> $1)
          WHERE server = (SELECT server FROM rolecall.roles WHERE name = $1) AND roles ? $1",
    ] {
        run(statement, &[name.into(), new_name.into()])?;
    }
    let rename = || run("UPDATE rolecall.roles SET name = $2 WHERE name = $1", &[name.into(), new_name.into()]);
    permissions::follow(name, rename)?;
    must_be_gone(name)
}

/// Raises an error if the name still stands where no foreign key leads: a transaction whose snapshot is older than
/// another's commit has not seen it there.
fn must_be_gone(name: &str) -> Result<(), Error> {
    let query = c"SELECT FROM rolecall.settings WHERE $1 = ANY (registration_roles)
                   UNION ALL SELECT FROM rolecall.invitations WHERE $1 = ANY (roles)";
    if catalog::finds(query, name) { Err(Error::Overtaken(name.into())) } else { Ok(()) }
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

/// Raises an error unless the role exists, and keeps it from being dropped or renamed until the transaction ends.
pub fn must_exist(role: &str) -> Result<(), Error> {
    let found = run("SELECT FROM rolecall.roles WHERE name = $1 FOR KEY SHARE", &[role.into()])?;
    if found > 0 { Ok(()) } else { Err(missing(role)) }
}

fn missing(role: &str) -> Error {
    Error::Missing { kind: "role", name: role.into() }
}

/// What decides whether a role may be dropped or renamed.
struct Kind {
    built_in: bool,
    everybody: bool,
}

/// Keeps everybody else from using the role until the transaction ends.
fn lock(role: &str) -> Result<Kind, Error> {
    Spi::connect_mut(|client| {
        let query = "SELECT built_in, everybody FROM rolecall.roles WHERE name = $1 FOR UPDATE";
        let rows = client.update(query, Some(1), &[role.into()])?;
        if rows.is_empty() {
            return Err(missing(role));
        }
        let (built_in, everybody) = rows.first().get_two::<bool, bool>()?;
        Ok(Kind { built_in: built_in.unwrap_or(true), everybody: everybody.unwrap_or(false) })
    })
}

/// The name, where it may be a role's.
fn checked(name: &str) -> Result<&str, Error> {
    if name.is_empty() {
        Err(bad("role name", name, "must not be empty"))
    } else if name.chars().count() > LONGEST_NAME {
        Err(bad("role name", name, "is longer than 255 characters"))
    } else {
        Ok(name)
    }
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

/// Runs a statement and returns how many rows it changed or found.
pub fn run(statement: &str, arguments: &[pgrx::datum::DatumWithOid]) -> Result<usize, Error> {
    Ok(Spi::connect_mut(|client| client.update(statement, None, arguments).map(|rows| rows.len()))?)
}
