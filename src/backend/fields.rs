//! Which columns a statement touches, told to the planner.
//!
//! `touches(tableoid, 'select', '{body}', …)` in a policy is replaced by true or false when a query is planned: the
//! parser has noted for every table of a query which columns it reads and writes, for PostgreSQL's own privileges on
//! columns. So a query that touches only what everybody may touch has nothing of it in its plan.

use super::fold;
use crate::error::Error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::ffi::{CStr, c_int};

/// Whether the statement touches one of the columns. It never runs where the planner has answered; where that has not,
/// whatever is limited stays closed.
#[pg_extern(sql = false)]
fn touches(_row: pg_sys::Oid, _action: &str, _columns: Vec<String>, _beyond: bool, _roles: Vec<String>) -> bool {
    true
}

/// Folds `touches()` of constants, or refuses the statement.
#[unsafe(no_mangle)]
#[doc(hidden)]
#[pg_guard]
pub unsafe extern "C-unwind" fn touches_support(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL calls this as the planner support function of touches, with a valid request.
    unsafe {
        let Some(request) = fold::simplify_request(call) else { return pg_sys::Datum::from(0) };
        match answer(request) {
            Ok(Some(touched)) => pg_sys::Datum::from(pg_sys::makeBoolConst(touched, false)),
            Ok(None) => pg_sys::Datum::from(0),
            Err(error) => {
                ErrorReport::from(error).report(PgLogLevel::ERROR);
                pg_sys::Datum::from(0)
            }
        }
    }
}

#[unsafe(no_mangle)]
#[doc(hidden)]
pub extern "C" fn pg_finfo_touches_support() -> *const pg_sys::Pg_finfo_record {
    static INFO: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &INFO
}

/// What a call becomes; None where it cannot be told.
///
/// # Safety
/// `request` is about a call of touches.
unsafe fn answer(request: &pg_sys::SupportRequestSimplify) -> Result<Option<bool>, Error> {
    // SAFETY: touches has five arguments of these types; the table is looked up in the query that is being planned.
    unsafe {
        let arguments = (*request.fcall).args;
        let (Some(action), Some(columns), Some(beyond), Some(roles)) = (
            constant::<String>(arguments, 1),
            names_in(arguments, 2),
            constant::<bool>(arguments, 3),
            names_in(arguments, 4),
        ) else {
            return Ok(None);
        };
        let Some(table) = Touched::by((*request.root).parse, pg_sys::list_nth(arguments, 0).cast()) else {
            return Ok(None);
        };
        let session = fold::depend_on_roles(request)?;
        let set = match action.as_str() {
            "select" => table.read,
            "insert" => table.inserted,
            "update" => table.updated,
            _ => return Ok(None),
        };
        let limited = |name: &String| columns.contains(name) != beyond;
        let Some(column) = names(table.oid, set).into_iter().find(limited) else { return Ok(Some(false)) };
        // An empty name: an ACL may let anybody.
        if roles.iter().any(|role| role.is_empty() || session.has_role(role)) {
            return Ok(Some(true));
        }
        let verb = if action == "select" { "read" } else { "write" };
        Err(Error::ColumnNotCovered { verb, column, table: crate::tables::name_of(table.oid)? })
    }
}

/// The constant that an argument is.
///
/// # Safety
/// `arguments` has an argument of this number, of the type `T`.
unsafe fn constant<T: FromDatum>(arguments: *const pg_sys::List, number: c_int) -> Option<T> {
    // SAFETY: see above; a constant's datum is of its type.
    unsafe {
        let argument = pg_sys::list_nth(arguments, number).cast::<pg_sys::Node>();
        if (*argument).type_ != pg_sys::NodeTag::T_Const {
            return None;
        }
        let constant = argument.cast::<pg_sys::Const>();
        T::from_datum((*constant).constvalue, (*constant).constisnull)
    }
}

/// The names that an argument lists; None where one is NULL, as somebody who calls touches() himself may write.
///
/// # Safety
/// `arguments` has an argument of this number, an array of text.
unsafe fn names_in(arguments: *const pg_sys::List, number: c_int) -> Option<Vec<String>> {
    // SAFETY: see above.
    unsafe { constant::<Vec<Option<String>>>(arguments, number)?.into_iter().collect() }
}

/// A table of a query and what the query touches of it.
struct Touched {
    oid: pg_sys::Oid,
    read: *const pg_sys::Bitmapset,
    inserted: *const pg_sys::Bitmapset,
    updated: *const pg_sys::Bitmapset,
}

impl Touched {
    /// The table whose `tableoid` the argument is.
    ///
    /// # Safety
    /// `argument` is an expression of `query`.
    unsafe fn by(query: *const pg_sys::Query, argument: *const pg_sys::Node) -> Option<Self> {
        // SAFETY: see above; a Var of the query itself is of one of its tables.
        unsafe {
            if (*argument).type_ != pg_sys::NodeTag::T_Var {
                return None;
            }
            let variable = &*argument.cast::<pg_sys::Var>();
            let number = variable.varno as c_int;
            let is_table = variable.varlevelsup == 0
                && c_int::from(variable.varattno) == pg_sys::TableOidAttributeNumber
                && (1..=(*(*query).rtable).length).contains(&number);
            if !is_table {
                return None;
            }
            let entry = &*pg_sys::list_nth((*query).rtable, number - 1).cast::<pg_sys::RangeTblEntry>();
            if entry.rtekind == pg_sys::RTEKind::RTE_RELATION { Self::of(query, entry) } else { None }
        }
    }

    #[cfg(feature = "pg15")]
    unsafe fn of(_query: *const pg_sys::Query, entry: &pg_sys::RangeTblEntry) -> Option<Self> {
        let (read, inserted, updated) = (entry.selectedCols, entry.insertedCols, entry.updatedCols);
        Some(Self { oid: entry.relid, read, inserted, updated })
    }

    #[cfg(not(feature = "pg15"))]
    unsafe fn of(query: *const pg_sys::Query, entry: &pg_sys::RangeTblEntry) -> Option<Self> {
        let number = entry.perminfoindex as c_int;
        if number == 0 {
            return None;
        }
        // SAFETY: an entry's number is one of the query's list, counted from 1.
        let noted =
            unsafe { &*pg_sys::list_nth((*query).rteperminfos, number - 1).cast::<pg_sys::RTEPermissionInfo>() };
        let (read, inserted, updated) = (noted.selectedCols, noted.insertedCols, noted.updatedCols);
        Some(Self { oid: entry.relid, read, inserted, updated })
    }
}

/// The names of the columns in a set of the parser's. A row as a whole is every column; system columns are none.
///
/// # Safety
/// `set` is NULL or a set of column numbers of the table.
unsafe fn names(table: pg_sys::Oid, set: *const pg_sys::Bitmapset) -> Vec<String> {
    let mut numbers = Vec::new();
    let mut member = -1;
    loop {
        // SAFETY: see above.
        member = unsafe { pg_sys::bms_next_member(set, member) };
        if member < 0 {
            break;
        }
        match member + pg_sys::FirstLowInvalidHeapAttributeNumber {
            0 => {
                // SAFETY: the query holds a lock on the table.
                let table = unsafe { pgrx::PgRelation::open(table) };
                let columns = table.tuple_desc();
                let columns = columns.iter().filter(|column| !column.is_dropped());
                return columns.map(|column| column.name().to_owned()).collect();
            }
            number if number > 0 => numbers.push(number),
            _ => {}
        }
    }
    let name = |number| {
        // SAFETY: looks the column up; the name is a copy, or NULL where there is none.
        let name = unsafe { pg_sys::get_attname(table, number as pg_sys::AttrNumber, true) };
        // SAFETY: see above; PostgreSQL's strings end with a zero byte.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
    };
    numbers.into_iter().filter_map(name).collect()
}
