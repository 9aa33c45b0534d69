//! Doing as the extension's owner what the caller has no privilege for.
//!
//! What `SECURITY DEFINER` does, for functions that cannot be that because they also set the identity, which PostgreSQL
//! refuses inside such a function.

use super::catalog::Table;
use crate::error::Error;
use pgrx::prelude::*;
use std::ffi::c_int;

/// Runs `action` with the owner's privileges and a `search_path` that the caller has no say in.
pub fn act<T>(action: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let owner = Table::open(c"users")?.owner();
    let _caller = Caller::leave_for(owner).with_path();
    action()
}

/// Who called, to go back to.
pub(super) struct Caller {
    user: pg_sys::Oid,
    context: c_int,
    /// The level of settings to go back to, where one was set.
    settings: Option<c_int>,
}

impl Caller {
    /// Makes `owner` the one who acts until this is dropped.
    pub(super) fn leave_for(owner: pg_sys::Oid) -> Self {
        let mut caller = Self { user: pg_sys::Oid::INVALID, context: 0, settings: None };
        // SAFETY: saves and sets variables of this process, as fmgr does for SECURITY DEFINER.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut caller.user, &mut caller.context);
            let context = caller.context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as c_int;
            pg_sys::SetUserIdAndSecContext(owner, context);
        }
        caller
    }

    fn with_path(mut self) -> Self {
        // SAFETY: sets a variable of this process, as fmgr does for a function's SET; the strings are static.
        unsafe {
            self.settings = Some(pg_sys::NewGUCNestLevel());
            pg_sys::set_config_option(
                c"search_path".as_ptr(),
                c"pg_catalog, rolecall, pg_temp".as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        self
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // While an error passes, PostgreSQL undoes both with the transaction or subtransaction.
        if !std::thread::panicking() {
            // SAFETY: what was saved when it was made, in this same call.
            unsafe {
                if let Some(settings) = self.settings {
                    pg_sys::AtEOXact_GUC(true, settings);
                }
                pg_sys::SetUserIdAndSecContext(self.user, self.context);
            }
        }
    }
}
