//! What the present identity may do.
//!
//! Looked up when it is first needed, kept until a table it was read from changes, and checked once per statement:
//! whether it still stands, whether it has expired, whether somebody revoked it. A query goes on with what it found. A few identities are kept, so that
//! a pool that serves the same people reads nothing again.

use super::account::{self, User};
use super::acl::Names;
use super::catalog::{OneMoment, Table};
use super::variables::Variables;
use super::{caller, executor, fold, memory, setting};
use crate::error::{Error, Refusal};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use policy::identity::{Identity, Proof};
use policy::scope::Granted;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{CStr, c_int, c_void};
use std::hash::{BuildHasher, RandomState};
use std::ptr;
use std::rc::Rc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// Seconds between the epochs of Unix and of PostgreSQL.
const EPOCHS: i64 = 946_684_800;
/// How many identities a backend keeps.
const KEPT: usize = 64;

/// An identity with everything that was looked up about it.
pub struct Session {
    /// What was verified, where anything was.
    pub identity: Option<Identity>,
    /// The user; None for nobody, for an API token, and where the user is gone.
    pub user: Option<User>,
    /// Why the identity, or its absence, must not be used.
    refusal: Option<Refusal>,
    /// All roles, nesting resolved, in order.
    pub roles: BTreeSet<String>,
    /// The same for tests, which take as long whatever their number.
    held: HashSet<String, foldhash::fast::RandomState>,
    /// The scopes of the roles; sessions of the same roles at the same moment share them.
    pub scopes: Rc<Granted>,
    /// The moment at which it was read.
    moment: u64,
    /// The same for equal sets of roles with equal scopes, in this process.
    pub(super) fingerprint: u64,
    /// What ACLs call the identity, once one was asked about.
    pub(super) names: OnceCell<Names>,
    /// The dynamic variables as the executor wants them.
    pub(super) variables: Variables,
}

/// What a session depends on besides the tables.
type Id = (Option<Identity>, pg_sys::Oid);

thread_local! {
    static KNOWN: RefCell<HashMap<Id, Rc<Session>>> = RefCell::default();
    static CURRENT: RefCell<Option<Rc<Session>>> = const { RefCell::new(None) };
    /// Sessions that a running query may still point into; freed when the transaction ends.
    static RETIRED: RefCell<Vec<Rc<Session>>> = const { RefCell::new(Vec::new()) };
    /// Tables that sessions were read from.
    static WATCHED: RefCell<HashSet<pg_sys::Oid>> = RefCell::default();
    /// Counts the changes seen, so that a load notices one that happened meanwhile.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    /// Whether KNOWN is older than a change.
    static STALE: Cell<bool> = const { Cell::new(false) };
}
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The current session where this statement has checked it already, else NULL: the only thing read for every row.
static CHECKED: AtomicPtr<Session> = AtomicPtr::new(ptr::null_mut());

/// Asks PostgreSQL to tell about changes.
pub(super) fn watch() {
    // SAFETY: the callbacks are static, guarded, and only set flags.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(table_changed), pg_sys::Datum::from(0));
        for cache in [pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE, pg_sys::SysCacheIdentifier::AUTHOID] {
            pg_sys::CacheRegisterSyscacheCallback(cache as c_int, Some(membership_changed), pg_sys::Datum::from(0));
        }
        pg_sys::RegisterXactCallback(Some(transaction_ended), ptr::null_mut());
    }
}

/// The session that this statement has already checked.
#[inline]
pub(super) fn checked() -> Option<&'static Session> {
    // SAFETY: CHECKED points into CURRENT, and what leaves CURRENT stays in RETIRED until the transaction ends; callers
    // use the reference only while they run.
    unsafe { CHECKED.load(Relaxed).as_ref() }
}

/// The next use checks again: a statement starts.
#[inline]
pub(super) fn forget_check() {
    CHECKED.store(ptr::null_mut(), Relaxed);
}

/// What a query that is running goes on with once a statement inside it has ended: whom and what it was started for. Else
/// a change of roles in its middle would mix what they were and what they are, and show rows that neither does.
pub(super) struct Outer {
    checked: *mut Session,
    current: Option<Rc<Session>>,
}

/// A statement starts, or goes on: the next use checks again, until what is returned is dropped.
pub(super) fn enter() -> Option<Outer> {
    let outer = executor::is_running()
        .then(|| Outer { checked: CHECKED.load(Relaxed), current: CURRENT.with_borrow(|current| current.clone()) });
    forget_check();
    outer
}

impl Drop for Outer {
    fn drop(&mut self) {
        become_current(self.current.take());
        CHECKED.store(self.checked, Relaxed);
    }
}

/// Replaces the current session, into which a running query may still point.
fn become_current(session: Option<Rc<Session>>) {
    let pointer = session.as_ref().map(Rc::as_ptr);
    if let Some(former) = CURRENT.replace(session)
        && Some(Rc::as_ptr(&former)) != pointer
    {
        RETIRED.with_borrow_mut(|retired| retired.push(former));
    }
}

/// The present identity's session, checked once per statement.
///
/// # Errors
/// The identity has expired or its user is gone.
pub fn current() -> Result<Rc<Session>, Error> {
    if checked().is_none() {
        // SAFETY: called inside a transaction. Without it, a transaction that takes no new lock would not notice changes.
        unsafe { pg_sys::AcceptInvalidationMessages() };
        let session = of(setting::present())?;
        session.check()?;
        let pointer = Rc::as_ptr(&session).cast_mut();
        become_current(Some(session));
        CHECKED.store(pointer, Relaxed);
    }
    Ok(CURRENT.with_borrow(|current| current.clone()).expect("checked implies a current session"))
}

/// The session that `identity` would have, not checked.
pub fn of(identity: Option<Identity>) -> Result<Rc<Session>, Error> {
    if STALE.replace(false) {
        forget_known();
    }
    let id = (identity, caller::session_user());
    if let Some(session) = KNOWN.with_borrow(|known| known.get(&id).cloned()) {
        return Ok(session);
    }
    let before = CHANGES.get();
    let session = Rc::new(load(id.0.clone())?);
    // What changed while it was read may have been missed: good for this statement, not to be kept. No second try, since
    // with debug_discard_caches that would never end.
    if CHANGES.get() == before {
        KNOWN.with_borrow_mut(|known| {
            if known.len() >= KEPT {
                known.clear();
            }
            known.insert(id, Rc::clone(&session));
        });
    }
    Ok(session)
}

/// The present identity's session where all that may be wrong with it is that the password is temporary.
pub fn of_temporary_password() -> Result<Rc<Session>, Error> {
    // SAFETY: as in `current`.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    let session = of(setting::present())?;
    session.check_for_login()?;
    Ok(session)
}

/// How many changes of the tables that sessions are read from this process has seen so far.
pub fn changes() -> u64 {
    // SAFETY: as in `current`.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    CHANGES.get()
}

/// The hash of who acts now: the user or API token and the database role, whatever the token.
pub fn actor() -> u64 {
    HASHER.hash_one((
        setting::present().map(|it| (it.proof == Proof::ApiToken, it.subject)),
        caller::session_user().to_u32(),
    ))
}

/// The fingerprint of the present identity's roles where that is known without reading anything.
pub(super) fn known_fingerprint() -> Option<u64> {
    let id = (setting::present(), caller::session_user());
    if STALE.get() { None } else { KNOWN.with_borrow(|known| known.get(&id).map(|session| session.fingerprint)) }
}

/// Gives up what is kept about identities.
pub(super) fn forget_known() {
    KNOWN.with_borrow_mut(HashMap::clear);
}

/// The setting changed. Runs in aborting transactions too.
pub(super) fn identity_changed() {
    forget_check();
    if fold::any() {
        fold::keep_plans_for(known_fingerprint());
    }
}

impl Session {
    /// Whether the identity may be used now.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(refusal) = self.refusal {
            return Err(refusal.into());
        }
        match &self.identity {
            Some(identity) if unix_time() >= identity.expires_at => Err(Refusal::Expired.into()),
            _ => Ok(()),
        }
    }

    /// Whether the identity may be taken on: with a temporary password too, to change that.
    pub fn check_for_login(&self) -> Result<(), Error> {
        match self.check() {
            Err(Error::Refused(Refusal::TemporaryPassword)) => Ok(()),
            result => result,
        }
    }

    /// The id of the API token that acts.
    pub fn api_token(&self) -> Option<&str> {
        let identity = self.identity.as_ref().filter(|identity| identity.proof == Proof::ApiToken);
        identity.map(|identity| identity.subject.as_str())
    }

    /// Whether one of the roles is `role`.
    pub fn has_role(&self, role: &str) -> bool {
        self.held.contains(role)
    }

    /// Whether one of the roles covers `scope`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.covers(scope)
    }
}

/// The time in seconds since the epoch; a clock that is wrong beyond all measure makes every login expire.
pub fn unix_time() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(i64::MAX)
}

/// A time of PostgreSQL's in whole seconds since the epoch; infinity is the same as no end.
pub fn to_unix_time(time: TimestampWithTimeZone) -> i64 {
    match i64::from(time) {
        i64::MAX => i64::MAX,
        microseconds => microseconds.div_euclid(1_000_000).saturating_add(EPOCHS),
    }
}

fn load(identity: Option<Identity>) -> Result<Session, Error> {
    let held_moment = OneMoment::hold()?;
    let moment = held_moment.number;
    let account = account::load(identity.as_ref())?;
    let known = KNOWN.with_borrow(|known| {
        // Changes are told a little later than they can be seen.
        let same = known.values().find(|session| session.moment == moment && session.roles == account.roles);
        same.filter(|_| !STALE.get()).map(|session| (Rc::clone(&session.scopes), session.fingerprint))
    });
    let (scopes, fingerprint) = match known {
        Some(known) => known,
        None => {
            let scopes = Rc::new(account::scopes(&account.roles)?);
            let fingerprint = HASHER.hash_one((&account.roles, &*scopes));
            (scopes, fingerprint)
        }
    };
    let api_token = identity.as_ref().filter(|identity| identity.proof == Proof::ApiToken);
    let variables = Variables::of(account.user.as_ref(), api_token.map(|identity| identity.subject.as_str()));
    let account::Account { user, roles, refusal } = account;
    let held = roles.iter().cloned().collect();
    Ok(Session { identity, user, refusal, roles, held, names: OnceCell::new(), scopes, moment, fingerprint, variables })
}

/// Makes changes of a table of rolecall's count among [`changes`].
pub fn watch_table(name: &CStr) -> Result<(), Error> {
    watched(name).map(drop)
}

/// Opens a table of rolecall's whose changes make every session look again.
pub(super) fn watched(name: &CStr) -> Result<Table, Error> {
    let table = Table::open(name)?;
    WATCHED.with_borrow_mut(|watched| watched.insert(table.oid()));
    Ok(table)
}

/// Sets flags only: it may run while a load is under way.
#[pg_guard]
unsafe extern "C-unwind" fn table_changed(_argument: pg_sys::Datum, table: pg_sys::Oid) {
    if memory::is_ending() {
        return;
    }
    if table == pg_sys::InvalidOid || WATCHED.with_borrow(|watched| watched.contains(&table)) {
        something_changed();
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn membership_changed(_argument: pg_sys::Datum, _cache: c_int, _hash: u32) {
    something_changed();
}

fn something_changed() {
    CHANGES.set(CHANGES.get().wrapping_add(1));
    STALE.set(true);
    // A query that is running goes on as whom it was started for.
    if !executor::is_running() {
        forget_check();
    }
    fold::keep_plans_for(None);
}

#[pg_guard]
unsafe extern "C-unwind" fn transaction_ended(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    if [XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE].contains(&event) && !memory::is_ending() {
        forget_check();
        RETIRED.with_borrow_mut(Vec::clear);
        super::executor::forget_queries();
    }
}
