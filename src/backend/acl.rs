//! `acl_allows()` and `acl_denies()`: access-control lists of rows, judged for every row a query looks at.
//!
//! Like [`super::predicates`] against PostgreSQL's own calling convention: no guard, no copy, no allocation where the
//! list is stored with its row. For the planner, `acl_allows(acl, …)` is the condition that the list names one of the
//! identity's names as well, so that a GIN index of the column finds the candidates.

use super::account::{self, ADMINISTRATORS, User};
use super::fold;
use super::session::{self, Session};
use super::varlena::{bytes, version_1};
use crate::error::Error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use policy::acl::{Mine, Rights, Verdict, judge};
use std::collections::{BTreeSet, HashMap};

/// How many names are looked for in an index; whoever has more of them finds a great part of the table anyway.
const INDEXED_NAMES: usize = 64;

/// What ACLs call an identity.
pub(super) struct Names {
    /// Its names, and whether they could be somebody else's as well.
    names: HashMap<Box<[u8]>, Mine, foldhash::fast::RandomState>,
    administrator: bool,
}

impl Names {
    /// The roles, bare and as `role:NAME`; the user's id, where no role is called so; and the user name, where an
    /// administrator gave it and it is neither a role's name nor another user's id. The rest of these can deny, but not
    /// allow: who could choose an id or name that others are listed under would get what they were given.
    fn of(user: Option<&User>, roles: &BTreeSet<String>) -> Result<Self, Error> {
        let mut names: HashMap<Box<[u8]>, Mine, _> = HashMap::default();
        for role in roles {
            names.insert(role.as_bytes().into(), Mine::Yes);
            names.insert(format!("role:{role}").into_bytes().into(), Mine::Yes);
        }
        if let Some(user) = user {
            let is_free = |name: &str| Ok::<_, Error>(!name.starts_with("role:") && !account::is_role(name)?);
            let mut add = |name: &str, sure| {
                names.entry(name.as_bytes().into()).or_insert(if sure { Mine::Yes } else { Mine::Perhaps });
            };
            add(&user.id, is_free(&user.id)?);
            let is_given = !user.chose_username && is_free(&user.username)? && !account::is_user(&user.username)?;
            add(&user.username, is_given);
        }
        Ok(Self { names, administrator: roles.contains(ADMINISTRATORS) })
    }

    /// What the ACL says about the identity.
    fn judge(&self, acl: &[u8]) -> Verdict {
        judge(acl, |name| self.names.get(name).copied().unwrap_or(Mine::No))
    }

    fn sure(&self) -> impl Iterator<Item = &str> {
        let sure = self.names.iter().filter(|(_, mine)| **mine == Mine::Yes);
        sure.filter_map(|(name, _)| std::str::from_utf8(name).ok())
    }
}

impl Session {
    fn names(&self) -> Result<&Names, Error> {
        match self.names.get() {
            Some(names) => Ok(names),
            None => {
                let names = Names::of(self.user.as_ref(), &self.roles)?;
                Ok(self.names.get_or_init(|| names))
            }
        }
    }
}

/// What an ACL says about whoever acts now, be he an administrator or not.
pub fn verdict(acl: &pgrx::AnyElement) -> Result<Verdict, Error> {
    assert_eq!(acl.oid(), pg_sys::JSONBOID, "declared as jsonb in sql/");
    // SAFETY: a jsonb, as just checked, that lives as long as the call.
    Ok(session::current()?.names()?.judge(unsafe { bytes(acl.datum()) }))
}

/// What an ACL says about somebody, be he an administrator or not.
pub fn verdict_on(user: Option<&User>, roles: &BTreeSet<String>, acl: &pgrx::AnyElement) -> Result<Verdict, Error> {
    assert_eq!(acl.oid(), pg_sys::JSONBOID, "read as jsonb");
    // SAFETY: a jsonb, as just checked, that lives as long as the call.
    Ok(Names::of(user, roles)?.judge(unsafe { bytes(acl.datum()) }))
}

/// Checks the session and looks its names up, once per statement. An error leaves from here.
#[cold]
#[pg_guard]
extern "C-unwind" fn prepare() {
    let prepared = session::current().and_then(|session| session.names().map(|_| ()));
    if let Err(error) = prepared {
        ErrorReport::from(error).report(PgLogLevel::ERROR);
    }
}

/// Says that a right is none. An error leaves from here.
#[cold]
#[pg_guard]
extern "C-unwind" fn unknown_right(right: pg_sys::Datum) {
    // SAFETY: the caller passes a text.
    let value = String::from_utf8_lossy(unsafe { bytes(right) }).into_owned();
    let problem = "is none of create, read, update, delete, invoke, full_control";
    ErrorReport::from(Error::BadArgument { what: "right", value, problem }).report(PgLogLevel::ERROR);
}

/// Defines a function of an ACL and a right by PostgreSQL's version-1 calling convention. It has no guard of its own:
/// the three calls that can fail are guarded, their errors passing over a frame with nothing to drop.
macro_rules! test {
    ($name:ident, $info:ident, $administrator:expr, $test:expr) => {
        version_1!($info);

        #[unsafe(no_mangle)]
        #[doc(hidden)]
        pub unsafe extern "C-unwind" fn $name(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
            if session::checked().is_none_or(|session| session.names.get().is_none()) {
                prepare();
            }
            let names = session::checked().and_then(|session| session.names.get());
            // SAFETY: PostgreSQL passes the frame of this call: a jsonb and a text, which live as long as the call.
            unsafe {
                let [acl, right] = [0, 1].map(|at| (*call).args.as_slice(2)[at]);
                (*call).isnull = right.isnull;
                if right.isnull {
                    return pg_sys::Datum::from(false);
                }
                let Some(right) = std::str::from_utf8(bytes(right.value)).ok().and_then(Rights::named) else {
                    unknown_right(right.value);
                    return pg_sys::Datum::from(false);
                };
                let result = match names {
                    Some(names) if names.administrator => $administrator,
                    Some(names) if !acl.isnull => {
                        let test: fn(Verdict, Rights) -> bool = $test;
                        test(names.judge(bytes(acl.value)), right)
                    }
                    _ => false,
                };
                pg_sys::Datum::from(result)
            }
        }
    };
}
test!(acl_allows, pg_finfo_acl_allows, true, Verdict::allows);
test!(acl_denies, pg_finfo_acl_denies, false, Verdict::denies);

/// `acl_holders() → jsonpath`: whether an ACL has an entry of one of the identity's names, in either form.
#[unsafe(no_mangle)]
#[doc(hidden)]
#[pg_guard]
pub unsafe extern "C-unwind" fn acl_holders(_call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let path = session::current().and_then(|session| {
        let mut names: Vec<&str> = session.names()?.sure().collect();
        names.sort_unstable();
        let tests = names.into_iter().flat_map(|name| {
            let name = serde_json::Value::from(name);
            ["id", "_id"].map(|key| format!("$[*].{key} == {name}"))
        });
        Ok(tests.collect::<Vec<_>>().join(" || "))
    });
    match path {
        Ok(path) => {
            let path = std::ffi::CString::new(path).expect("no name has a zero byte");
            let argument = Some(pg_sys::Datum::from(path.as_ptr()));
            // SAFETY: jsonpath_in takes a NUL-terminated string and returns a copy.
            unsafe { pgrx::direct_function_call_as_datum(pg_sys::jsonpath_in, &[argument]) }
                .expect("jsonpath_in returns no NULL")
        }
        Err(error) => {
            ErrorReport::from(error).report(PgLogLevel::ERROR);
            pg_sys::Datum::from(0)
        }
    }
}

/// `jsonb @@ jsonpath`, and the operator families of GIN that know it (pg_operator.dat, pg_opfamily.dat).
const MATCHES: pg_sys::Oid = pg_sys::Oid::from_u32(4013);
const FAMILIES: [pg_sys::Oid; 2] = [pg_sys::Oid::from_u32(4036), pg_sys::Oid::from_u32(4037)];

/// Tells the planner about `acl_allows` and `acl_denies`: administrators pass without a look at any row, and an index
/// finds the rows that name whoever asks.
#[unsafe(no_mangle)]
#[doc(hidden)]
#[pg_guard]
pub unsafe extern "C-unwind" fn acl_support(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL calls this as the planner support function, with a request that tells its kind.
    unsafe {
        let result = if let Some(request) = fold::simplify_request(call) {
            simplify(request)
        } else {
            let node = (*call).args.as_slice(1)[0].value.cast_mut_ptr::<pg_sys::Node>();
            if (*node).type_ != pg_sys::NodeTag::T_SupportRequestIndexCondition {
                return pg_sys::Datum::from(0);
            }
            candidates(&mut *node.cast::<pg_sys::SupportRequestIndexCondition>())
        };
        match result {
            Ok(node) => node,
            Err(error) => {
                ErrorReport::from(error).report(PgLogLevel::ERROR);
                pg_sys::Datum::from(0)
            }
        }
    }
}

/// # Safety
/// `request` is about a call of one of the two functions.
unsafe fn simplify(request: &pg_sys::SupportRequestSimplify) -> Result<pg_sys::Datum, Error> {
    // SAFETY: see above.
    unsafe {
        let session = fold::depend_on_roles(request)?;
        let right = pg_sys::list_nth((*request.fcall).args, 1).cast::<pg_sys::Node>();
        // A right that is none is an error for administrators too.
        let is_constant = (*right).type_ == pg_sys::NodeTag::T_Const && !(*right.cast::<pg_sys::Const>()).constisnull;
        if !session.has_role(ADMINISTRATORS) || !is_constant {
            return Ok(pg_sys::Datum::from(0));
        }
        let name = bytes((*right.cast::<pg_sys::Const>()).constvalue);
        if std::str::from_utf8(name).ok().and_then(Rights::named).is_none() {
            return Ok(pg_sys::Datum::from(0));
        }
        let allows = (*request.fcall).funcid == function(c"acl_allows", &[pg_sys::JSONBOID, pg_sys::TEXTOID]);
        Ok(pg_sys::Datum::from(pg_sys::makeBoolConst(allows, false)))
    }
}

/// The condition that an index of the ACL can answer: not all rows that it finds will do.
///
/// # Safety
/// `request` is PostgreSQL's.
unsafe fn candidates(request: &mut pg_sys::SupportRequestIndexCondition) -> Result<pg_sys::Datum, Error> {
    let none = Ok(pg_sys::Datum::from(0));
    // SAFETY: see above; the node is the call that the index may serve.
    unsafe {
        let call = request.node.cast::<pg_sys::FuncExpr>();
        let is_call = (*request.node).type_ == pg_sys::NodeTag::T_FuncExpr && request.indexarg == 0;
        if !is_call || !FAMILIES.contains(&request.opfamily) {
            return none;
        }
        // A list without one's names can deny nothing, but not to be denied is not to be allowed.
        let session = session::current()?;
        if (*call).funcid != function(c"acl_allows", &[pg_sys::JSONBOID, pg_sys::TEXTOID])
            || session.names()?.sure().count() > INDEXED_NAMES
        {
            return none;
        }
        let holders = pg_sys::makeFuncExpr(
            function(c"acl_holders", &[]),
            pg_sys::JSONPATHOID,
            std::ptr::null_mut(),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        );
        let acl = pg_sys::list_nth((*call).args, 0).cast();
        let matches = pg_sys::make_opclause(
            MATCHES,
            pg_sys::BOOLOID,
            false,
            acl,
            holders.cast(),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
        );
        request.lossy = true;
        Ok(pg_sys::Datum::from(pg_sys::lappend(std::ptr::null_mut(), matches.cast())))
    }
}

/// A function of rolecall's own.
fn function(name: &std::ffi::CStr, arguments: &[pg_sys::Oid]) -> pg_sys::Oid {
    // SAFETY: looks a function up by a list of two strings, which are copied, and as many types as there are.
    unsafe {
        let mut list = std::ptr::null_mut();
        for part in [c"rolecall", name] {
            list = pg_sys::lappend(list, pg_sys::makeString(pg_sys::pstrdup(part.as_ptr())).cast());
        }
        pg_sys::LookupFuncName(list, arguments.len() as i32, arguments.as_ptr(), false)
    }
}

version_1!(pg_finfo_acl_holders, pg_finfo_acl_support);
