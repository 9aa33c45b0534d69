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

/// Whether the role the session connected as is a superuser or a member of `owner`, whatever `SET ROLE` says.
pub(super) fn session_has_powers_of(owner: pg_sys::Oid) -> bool {
    // SAFETY: lookups in the system caches, inside a transaction.
    unsafe { pg_sys::superuser_arg(session_user()) || pg_sys::is_member_of_role_nosuper(session_user(), owner) }
}

/// The name of the role the session connected as.
pub fn session_user_name() -> String {
    // SAFETY: a lookup in the system caches; the name is a NUL-terminated string in the current memory context.
    unsafe { std::ffi::CStr::from_ptr(pg_sys::GetUserNameFromId(session_user(), false)) }.to_string_lossy().into_owned()
}

/// Whether this transaction may write: the server is no standby, the transaction not read-only.
pub fn may_write() -> bool {
    // SAFETY: reads variables of this process and of shared memory.
    unsafe { !pg_sys::RecoveryInProgress() && !pg_sys::XactReadOnly }
}

/// Whether this transaction may write what can wait as well: besides, it must not fail where another one writes the same.
pub fn may_write_in_passing() -> bool {
    may_write() && sees_what_is()
}

/// Whether each statement sees what is committed when it starts.
pub fn sees_what_is() -> bool {
    // SAFETY: reads a variable of this process.
    unsafe { pg_sys::XactIsoLevel < pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// The database's number.
pub fn database() -> u32 {
    // SAFETY: reads a variable of this process.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// Whether the session's role is a member of the role called `name`; superusers only where they are members.
pub fn session_is_member_of_named(name: &str) -> bool {
    let Ok(name) = std::ffi::CString::new(name) else { return false };
    // SAFETY: a lookup of a NUL-terminated name in the system caches.
    let role = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
    role != pg_sys::InvalidOid && session_is_member_of(role)
}

/// Whether the session's role is a member of `role`, directly or not.
pub(super) fn session_is_member_of(role: pg_sys::Oid) -> bool {
    is_member_of(session_user(), role)
}

/// Whether `member` is a member of `role`, directly or not.
pub(super) fn is_member_of(member: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: lookups in the system caches, inside a transaction. Superusers count only where they are members, as in
    // pg_hba.conf: else every superuser would hold every linked role.
    unsafe { pg_sys::is_member_of_role_nosuper(member, role) }
}

/// Whether cursors are open beside the running query.
pub fn has_open_cursors() -> bool {
    // SAFETY: walks this process's table of portals. The running query's own portal is active, not ready.
    unsafe { !pg_sys::ThereAreNoReadyPortals() }
}
