//! Sets of roles to start from.

use crate::administrators::require_administrator;
use crate::backend::account;
use crate::error::{Error, Reported, required};
use crate::query;
use crate::roles::{self, GUEST, run};
use crate::scopes;
use pgrx::prelude::*;
use policy::kits::{ALL, CALL_API, Kit, Role};

/// Adds a kit's roles. Those that are there already stay as they are.
#[pg_extern(sql = false)]
fn add_default_roles(kit: Option<&str>) -> Reported<()> {
    require_administrator("add_default_roles()")?;
    let kit = find(required(kit, "kit")?)?;
    Spi::run("LOCK TABLE rolecall.roles IN SHARE ROW EXCLUSIVE MODE").map_err(Error::from)?;
    for role in kit.roles {
        let is_ours = query::one::<bool>("SELECT built_in FROM rolecall.roles WHERE name = $1", &[role.name.into()])?;
        match is_ours {
            None => create(role)?,
            Some(true) => {}
            // Whoever holds it was not meant to get what the kit gives.
            Some(false) => return Err(Error::Exists { kind: "role", name: role.name.into() }.into()),
        }
    }
    match kit.guest {
        // A name that an administrator has given it stays.
        Some(name) if everybody()? == GUEST => Ok(roles::rename(GUEST, name)?),
        _ => Ok(()),
    }
}

/// Says whether everybody may call what Node-RED instances publish.
#[pg_extern(sql = false)]
fn set_api_allow_anonymous(allowed: Option<bool>) -> Reported<()> {
    require_administrator("set_api_allow_anonymous()")?;
    let (everybody, scope) = (everybody()?, CALL_API.to_owned());
    if required(allowed, "allowed")? {
        run(
            "INSERT INTO rolecall.role_scopes (role, scope) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &[everybody.into(), scope.into()],
        )?;
    } else {
        scopes::revoke(&everybody, &[scope])?;
    }
    Ok(())
}

/// The kit of that name.
pub fn find(name: &str) -> Result<&'static Kit, Error> {
    ALL.iter().find(|kit| kit.name == name).ok_or_else(|| Error::BadArgument {
        what: "kit",
        value: name.into(),
        problem: "is none of core, openflow, graphistry, floating-server, 8base",
    })
}

/// Creates a role of a kit, unless there is one of that name.
pub fn create(role: &Role) -> Result<(), Error> {
    let created = run(
        "INSERT INTO rolecall.roles (name, description, built_in) VALUES ($1, $2, true) ON CONFLICT DO NOTHING",
        &[role.name.into(), role.description.into()],
    )?;
    if created == 0 {
        return Ok(());
    }
    for scope in role.scopes {
        run("INSERT INTO rolecall.role_scopes (role, scope) VALUES ($1, $2)", &[role.name.into(), (*scope).into()])?;
    }
    for group in role.member_of {
        roles::grant(group, &format!("role:{}", role.name))?;
    }
    Ok(())
}

/// What the role of everybody is called.
fn everybody() -> Result<String, Error> {
    account::held_by_everybody()?.pop_first().ok_or(Error::Missing { kind: "role", name: GUEST.into() })
}
