//! Role and scope tests replaced by true or false when a query is planned.
//!
//! `has_role('editor') OR owner_id = user_id()` then plans as one index scan, where the usual `(SELECT f())` plans a
//! sequential scan. It is right only together with all of these:
//!
//! * Nothing is folded where `root` is NULL: such expressions (domain checks) are kept without any dependency.
//! * The plan depends on the folded function, also where the call came out of an inlined SQL function.
//! * When the set of roles changes, the plans that folded are invalidated, and only those. A pool that serves users with
//!   the same roles plans nothing again.
//! * A plan carries the fingerprint of the roles it was made for, and the executor compares it ([`super::executor`]).

use super::session::{self, Session};
use super::varlena::version_1;
use crate::error::Error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::rc::Rc;

/// What a plan says of the identity it depends on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Its rows depend on who asks.
    pub personal: bool,
    /// The fingerprint of the roles that were folded into it.
    pub roles: Option<u64>,
}

/// Marks in a plan's list of invalidation items. No system cache has these numbers, so PostgreSQL passes them over.
const PERSONAL: c_int = -0x7c01;
const ROLES_LOW: c_int = -0x7c02;
const ROLES_HIGH: c_int = -0x7c03;

thread_local! {
    /// The roles that the folded plans of this backend were made for; None where there are no such plans.
    static FOLDED_FOR: Cell<Option<u64>> = const { Cell::new(None) };
    /// The system cache's hash values of the functions that were folded: the key that invalidates plans.
    static FUNCTIONS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Whether there may be plans that folded roles.
pub fn any() -> bool {
    FOLDED_FOR.get().is_some()
}

/// Invalidates the plans that folded roles, unless they were made for `roles`. Reads no table: it runs in callbacks and
/// aborting transactions.
pub fn keep_plans_for(roles: Option<u64>) {
    if FOLDED_FOR.get().is_none() || FOLDED_FOR.get() == roles {
        return;
    }
    FOLDED_FOR.set(None);
    FUNCTIONS.with_borrow(|functions| {
        for hash in functions {
            // SAFETY: runs the callbacks that a change of the function would run; plancache marks plans as invalid.
            unsafe { pg_sys::CallSyscacheCallbacks(pg_sys::SysCacheIdentifier::PROCOID as c_int, *hash) };
        }
    });
}

/// The stamp of a plan.
///
/// # Safety
/// `plan` is a valid plan.
pub unsafe fn stamp_of(plan: *const pg_sys::PlannedStmt) -> Stamp {
    let mut stamp = Stamp::default();
    let (mut low, mut high) = (None, None);
    // SAFETY: the list holds PlanInvalItems, of which ours are told by their cache number.
    for item in unsafe { items((*plan).invalItems) } {
        match item.cacheId {
            PERSONAL => stamp.personal = true,
            ROLES_LOW => low = Some(u64::from(item.hashValue)),
            ROLES_HIGH => high = Some(u64::from(item.hashValue) << 32),
            _ => {}
        }
    }
    stamp.roles = low.zip(high).map(|(low, high)| low | high);
    stamp
}

/// # Safety
/// `list` is NULL or a list of plan invalidation items that outlives the iterator.
unsafe fn items<'a>(list: *mut pg_sys::List) -> impl Iterator<Item = &'a pg_sys::PlanInvalItem> {
    // SAFETY: see above; a list's elements are as many as its length.
    let cells = if list.is_null() {
        &[]
    } else {
        unsafe { std::slice::from_raw_parts((*list).elements, (*list).length as usize) }
    };
    // SAFETY: see above.
    cells.iter().map(|cell| unsafe { &*cell.ptr_value.cast::<pg_sys::PlanInvalItem>() })
}

/// Adds a mark to the plan under way, unless it has one of that number.
///
/// # Safety
/// `root` is the planner's state.
unsafe fn mark(root: *mut pg_sys::PlannerInfo, number: c_int, value: u32) {
    // SAFETY: see above; the new item is allocated where the plan is.
    unsafe {
        let plan = (*root).glob;
        if items((*plan).invalItems).any(|item| item.cacheId == number) {
            return;
        }
        let item = PgBox::<pg_sys::PlanInvalItem>::alloc_node(pg_sys::NodeTag::T_PlanInvalItem).into_pg();
        (*item).cacheId = number;
        (*item).hashValue = value;
        (*plan).invalItems = pg_sys::lappend((*plan).invalItems, item.cast());
    }
}

/// The request, where it is to simplify a call inside a query's plan.
///
/// # Safety
/// `call` is the frame of a planner support function.
pub(super) unsafe fn simplify_request<'a>(
    call: pg_sys::FunctionCallInfo,
) -> Option<&'a pg_sys::SupportRequestSimplify> {
    // SAFETY: a support function gets one argument, a node that tells its kind.
    unsafe {
        let node = (*call).args.as_slice(1)[0].value.cast_mut_ptr::<pg_sys::Node>();
        if (*node).type_ != pg_sys::NodeTag::T_SupportRequestSimplify {
            return None;
        }
        let request = &*node.cast::<pg_sys::SupportRequestSimplify>();
        (!request.root.is_null()).then_some(request)
    }
}

/// The constant text that is the only argument of a call.
///
/// # Safety
/// `call` is a function call of the parse tree.
unsafe fn constant_argument(call: *const pg_sys::FuncExpr) -> Option<String> {
    // SAFETY: has_role and has_scope have one argument; a constant's datum is of the type it says.
    unsafe {
        let argument = pg_sys::list_nth((*call).args, 0).cast::<pg_sys::Node>();
        if (*argument).type_ != pg_sys::NodeTag::T_Const {
            return None;
        }
        let constant = argument.cast::<pg_sys::Const>();
        if (*constant).constisnull || (*constant).consttype != pg_sys::TEXTOID {
            return None;
        }
        String::from_datum((*constant).constvalue, false)
    }
}

/// Folds `has_role('constant')`. Anything else stays a call.
#[unsafe(no_mangle)]
#[doc(hidden)]
#[pg_guard]
pub unsafe extern "C-unwind" fn has_role_support(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL calls this as the planner support function of has_role, with a valid request.
    unsafe { fold(call, Session::has_role) }
}

/// Folds `has_scope('constant')`.
#[unsafe(no_mangle)]
#[doc(hidden)]
#[pg_guard]
pub unsafe extern "C-unwind" fn has_scope_support(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL calls this as the planner support function of has_scope, with a valid request.
    unsafe { fold(call, Session::has_scope) }
}

/// Replaces a call whose only argument is a constant by what `test` says of it.
///
/// # Safety
/// `call` is the frame of a planner support function of a function of one argument that returns boolean.
unsafe fn fold(call: pg_sys::FunctionCallInfo, test: fn(&Session, &str) -> bool) -> pg_sys::Datum {
    let no_change = pg_sys::Datum::from(0);
    // SAFETY: see above.
    unsafe {
        let Some(request) = simplify_request(call) else { return no_change };
        let Some(argument) = constant_argument(request.fcall) else {
            mark(request.root, PERSONAL, 0);
            return no_change;
        };
        let session = match depend_on_roles(request) {
            Ok(session) => session,
            Err(error) => {
                ErrorReport::from(error).report(PgLogLevel::ERROR);
                return no_change;
            }
        };
        pg_sys::Datum::from(pg_sys::makeBoolConst(test(&session, &argument), false))
    }
}

/// The session whose roles the plan depends on from now on.
///
/// # Safety
/// `request` is one to simplify a call inside a query's plan.
pub(super) unsafe fn depend_on_roles(request: &pg_sys::SupportRequestSimplify) -> Result<Rc<Session>, Error> {
    // SAFETY: see above.
    unsafe {
        mark(request.root, PERSONAL, 0);
        let session = session::current()?;
        let function = (*request.fcall).funcid;
        pg_sys::record_plan_function_dependency(request.root, function);
        remember(function);
        keep_plans_for(Some(session.fingerprint));
        FOLDED_FOR.set(Some(session.fingerprint));
        mark(request.root, ROLES_LOW, session.fingerprint as u32);
        mark(request.root, ROLES_HIGH, (session.fingerprint >> 32) as u32);
        Ok(session)
    }
}

/// Marks the plan as depending on who asks and leaves the call as it is.
#[unsafe(no_mangle)]
#[doc(hidden)]
#[pg_guard]
pub unsafe extern "C-unwind" fn identity_support(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL calls this as a planner support function, with a valid request.
    unsafe {
        if let Some(request) = simplify_request(call) {
            mark(request.root, PERSONAL, 0);
        }
    }
    pg_sys::Datum::from(0)
}

fn remember(function: pg_sys::Oid) {
    let nothing = pg_sys::Datum::from(0);
    let cache = pg_sys::SysCacheIdentifier::PROCOID as c_int;
    // SAFETY: computes a hash of the key.
    let hash = unsafe { pg_sys::GetSysCacheHashValue(cache, pg_sys::Datum::from(function), nothing, nothing, nothing) };
    FUNCTIONS.with_borrow_mut(|functions| {
        if !functions.contains(&hash) {
            functions.push(hash);
        }
    });
}

version_1!(pg_finfo_has_role_support, pg_finfo_has_scope_support, pg_finfo_identity_support);
