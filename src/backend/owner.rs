//! Doing as the extension's owner what the caller has no privilege for.
//!
//! What `SECURITY DEFINER` does, for functions that cannot be that because they also set the identity, which PostgreSQL
//! refuses inside such a function.

use super::catalog::Table;
use crate::error::Error;
use pgrx::prelude::*;
use std::ffi::{CStr, c_int};

/// Runs `action` with the owner's privileges and a `search_path` that the caller has no say in.
pub fn act<T>(action: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let owner = Table::open(c"users")?.owner();
    let _caller = Caller::leave_for(owner, c"search_path", c"pg_catalog, rolecall, pg_temp");
    action()
}

/// Runs a statement in which every name is qualified, with the owner's privileges. Plans made meanwhile use indexes: the
/// table may be empty now and full when such a plan is used again. A path of its own would cost what a short statement
/// does, since the plan is looked through again for every other path.
pub fn run_qualified<T>(action: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let owner = Table::open(c"users")?.owner();
    let _caller = Caller::leave_for(owner, c"enable_seqscan", c"off");
    action()
}

/// Who called, to go back to.
struct Caller {
    user: pg_sys::Oid,
    context: c_int,
    settings: c_int,
}

impl Caller {
    fn leave_for(owner: pg_sys::Oid, setting: &'static CStr, value: &'static CStr) -> Self {
        let mut caller = Self { user: pg_sys::Oid::INVALID, context: 0, settings: 0 };
        // SAFETY: saves and sets variables of this process, as fmgr does for SECURITY DEFINER; the strings are static.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut caller.user, &mut caller.context);
            caller.settings = pg_sys::NewGUCNestLevel();
            pg_sys::set_config_option(
                setting.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
            let context = caller.context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as c_int;
            pg_sys::SetUserIdAndSecContext(owner, context);
        }
        caller
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // While an error passes, PostgreSQL undoes both with the transaction or subtransaction.
        if !std::thread::panicking() {
            // SAFETY: what `leave_for` has saved, in this same call.
            unsafe {
                pg_sys::AtEOXact_GUC(true, self.settings);
                pg_sys::SetUserIdAndSecContext(self.user, self.context);
            }
        }
    }
}
