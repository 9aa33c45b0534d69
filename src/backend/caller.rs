//! The database role that calls, seen through SECURITY DEFINER functions.

use pgrx::prelude::*;

/// The role the session connected as.
pub fn session_user() -> pg_sys::Oid {
    // SAFETY: reads a variable of this process.
    unsafe { pg_sys::GetSessionUserId() }
}

/// Whether the caller, after `SET ROLE`, is a superuser or a member of `owner`.
pub fn has_powers_of(owner: pg_sys::Oid) -> bool {
    // SAFETY: lookups in the system caches, inside a transaction.
    unsafe {
        let caller = pg_sys::GetOuterUserId();
        pg_sys::superuser_arg(caller) || pg_sys::is_member_of_role_nosuper(caller, owner)
    }
}

/// Whether the session's role is a member of `role`, directly or not.
pub(super) fn session_is_member_of(role: pg_sys::Oid) -> bool {
    // SAFETY: lookups in the system caches, inside a transaction. Superusers count only where they are members, as in
    // pg_hba.conf: else every superuser would hold every linked role.
    unsafe { pg_sys::is_member_of_role_nosuper(pg_sys::GetSessionUserId(), role) }
}

/// Whether cursors are open beside the running query.
pub fn has_open_cursors() -> bool {
    // SAFETY: walks this process's table of portals. The running query's own portal is active, not ready.
    unsafe { !pg_sys::ThereAreNoReadyPortals() }
}
