//! Who is an administrator, and that one always remains.

use crate::backend::{account, caller, session};
use crate::error::{Error, Reported};
use pgrx::prelude::*;

/// Whether the caller is an administrator.
#[pg_extern(sql = false)]
fn is_administrator() -> Reported<bool> {
    Ok(is_one()?)
}

/// Raises an error unless the caller is an administrator: a logged-in user in `admins` or, without a login, a superuser
/// or a member of the database role that owns the extension.
pub fn require_administrator(action: &'static str) -> Result<(), Error> {
    if is_one()? { Ok(()) } else { Err(Error::NotAdministrator { action }) }
}

/// Raises an error unless the caller has the database's own powers: a superuser or a member of the role that owns the
/// extension, without a login.
pub fn require_owner(action: &'static str) -> Result<(), Error> {
    let allowed = session::current()?.identity.is_none() && caller::has_powers_of(extension_owner()?);
    if allowed { Ok(()) } else { Err(Error::NotAdministrator { action }) }
}

/// Whether the caller is an administrator.
pub fn is_one() -> Result<bool, Error> {
    let session = session::current()?;
    let has_role = session.has_role(account::ADMINISTRATORS);
    Ok(has_role || (session.identity.is_none() && caller::has_powers_of(extension_owner()?)))
}

fn extension_owner() -> Result<pg_sys::Oid, Error> {
    Ok(crate::backend::catalog::Table::open(c"users")?.owner())
}

/// Does what may take administrators away, unless it takes the last one. Such changes wait for each other; what the one
/// left is then read fresh, whatever the isolation level.
pub fn keep_one<T>(name: &str, change: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    Spi::run("LOCK TABLE rolecall.user_roles IN SHARE ROW EXCLUSIVE MODE")?;
    let before = account::has_administrator()?;
    let result = change()?;
    if before && !account::has_administrator()? {
        return Err(Error::LastAdministrator(name.into()));
    }
    Ok(result)
}
