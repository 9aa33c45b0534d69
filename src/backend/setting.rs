//! The setting `rolecall.identity`: who acts.
//!
//! Carried by a setting, the identity has the scope PostgreSQL gives settings: it ends with the transaction or stays for
//! the session, comes back at `ROLLBACK TO`, is cleared by `RESET ALL` and `DISCARD ALL`, and reaches parallel workers.
//! Nobody can set it in SQL, not even a superuser: the check hook accepts what [`set`] writes and nothing else. Never
//! read it with `current_setting()`: before the library is loaded a placeholder of that name can hold anything.

use super::{memory, session};
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::prelude::*;
use policy::identity::Identity;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_void};

const NAME: &CStr = c"rolecall.identity";
/// What the value of an identity for the transaction begins with.
const FOR_TRANSACTION: &str = "transaction ";
static SETTING: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

thread_local! {
    static WE_ARE_SETTING: Cell<bool> = const { Cell::new(false) };
    static PRESENT: RefCell<Option<Identity>> = const { RefCell::new(None) };
    static ENDS_WITH_TRANSACTION: Cell<bool> = const { Cell::new(false) };
}

/// How long an identity lasts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Transaction,
    Session,
}

pub(super) fn define() {
    // SAFETY: called once from _PG_init; both hooks are guarded and have the signature of a string setting's hooks.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            NAME,
            c"The identity of the session, set by rolecall.authenticate().",
            c"Not to be set by hand.",
            &SETTING,
            GucContext::Suset,
            GucFlags::NO_SHOW_ALL
                | GucFlags::DISALLOW_IN_FILE
                | GucFlags::NOT_WHILE_SEC_REST
                | GucFlags::SUPERUSER_ONLY,
            Some(check),
            Some(assign),
            None,
        );
        pg_sys::MarkGUCPrefixReserved(c"rolecall".as_ptr());
    }
}

/// Who acts now, not yet checked against expiry or the tables.
pub fn present() -> Option<Identity> {
    PRESENT.with_borrow(Clone::clone)
}

/// Whether the present identity ends with the transaction.
pub fn ends_with_transaction() -> bool {
    ENDS_WITH_TRANSACTION.get()
}

/// Makes `identity` the present one. An error of PostgreSQL's leaves the former in place.
pub fn set(identity: Option<&Identity>, scope: Scope) {
    let (start, action) = match scope {
        Scope::Transaction => (FOR_TRANSACTION, pg_sys::GucAction::GUC_ACTION_LOCAL),
        Scope::Session => ("", pg_sys::GucAction::GUC_ACTION_SET),
    };
    let text = CString::new(start.to_owned() + &Identity::to_setting(identity)).expect("JSON escapes NUL");
    let _permit = Permit::new();
    // SAFETY: both strings live until the call returns; the setting was defined in _PG_init.
    unsafe {
        pg_sys::set_config_option(
            NAME.as_ptr(),
            text.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}

/// The check hook's permission, taken back also when an error passes.
struct Permit;

impl Permit {
    fn new() -> Self {
        WE_ARE_SETTING.set(true);
        Permit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        WE_ARE_SETTING.set(false);
    }
}

/// Refuses every value that does not come from [`set`] or from the leader of a parallel query.
#[pg_guard]
unsafe extern "C-unwind" fn check(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes a valid pointer to the new value, NULL or a NUL-terminated string.
    let identity = unsafe { read(*value) };
    // SAFETY: a plain flag of this process.
    let from_leader = unsafe { pg_sys::InitializingParallelWorker };
    match identity {
        Ok((None, _)) => true,
        Ok(_) => WE_ARE_SETTING.get() || from_leader,
        Err(_) => false,
    }
}

/// Takes the new identity over. Runs in aborting transactions too, so it must neither fail nor read a table.
#[pg_guard]
unsafe extern "C-unwind" fn assign(value: *const c_char, _extra: *mut c_void) {
    if memory::is_ending() {
        return;
    }
    // SAFETY: the value has passed `check` or is the boot value.
    let (identity, for_transaction) = unsafe { read(value) }.unwrap_or_default();
    PRESENT.set(identity);
    ENDS_WITH_TRANSACTION.set(for_transaction);
    session::identity_changed();
}

/// The identity that a value says, and whether it is for the transaction.
///
/// # Safety
/// `value` is NULL or a NUL-terminated string.
unsafe fn read(value: *const c_char) -> Result<(Option<Identity>, bool), ()> {
    if value.is_null() {
        return Ok((None, false));
    }
    // SAFETY: see above.
    let text = unsafe { CStr::from_ptr(value) }.to_str().map_err(|_| ())?;
    let identity = text.strip_prefix(FOR_TRANSACTION);
    Ok((Identity::from_setting(identity.unwrap_or(text)).map_err(|_| ())?, identity.is_some()))
}
