//! Whether a policy says what it was made to say: the text is read again, as CREATE POLICY reads it, and compared.

use pgrx::pg_sys::ParseExprKind::EXPR_KIND_POLICY;
use pgrx::prelude::*;
use std::ffi::{CStr, CString};
use std::ptr;

/// How often a rule may have been dumped and restored: each time it is read from what it is shown as.
const RESTORED: usize = 3;

/// Whether these clauses are what a policy of the table has in `pg_policy`: `polqual` and `polwithcheck`.
#[pg_extern(sql = false)]
fn policy_says(
    target: Option<pg_sys::Oid>,
    clauses: Option<&str>,
    using: Option<pgrx::AnyElement>,
    check: Option<pgrx::AnyElement>,
) -> bool {
    // SAFETY: called inside a transaction; the relation is open while it is read. Errors of PostgreSQL's pass through.
    unsafe {
        let (Some(target), Some(clauses)) = (target, clauses) else { return false };
        let Some(wanted) = parsed(clauses) else { return false };
        let relation = pg_sys::table_open(target, pg_sys::AccessShareLock as _);
        let says = wanted.into_iter().zip([using, check]).all(|(wanted, stored)| match (wanted.is_null(), stored) {
            (true, stored) => stored.is_none(),
            (false, None) => false,
            (false, Some(stored)) => same(relation, wanted, stored),
        });
        pg_sys::table_close(relation, pg_sys::AccessShareLock as _);
        says
    }
}

/// The expressions of clauses, NULL where there is none.
fn parsed(clauses: &str) -> Option<[*mut pg_sys::Node; 2]> {
    let statement = CString::new(format!("ALTER POLICY one ON any_table {clauses}")).expect("text holds no NUL");
    // SAFETY: the text lives until it is parsed, and the tree in the current memory context.
    unsafe {
        let tree = pg_sys::raw_parser(statement.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let statements = pgrx::PgList::<pg_sys::RawStmt>::from_pg(tree);
        let (1, Some(statement)) = (statements.len(), statements.head()) else { return None };
        if !pgrx::is_a((*statement).stmt, pg_sys::NodeTag::T_AlterPolicyStmt) {
            return None;
        }
        let policy = (*statement).stmt.cast::<pg_sys::AlterPolicyStmt>();
        Some([(*policy).qual, (*policy).with_check])
    }
}

/// # Safety
/// `relation` is open, `wanted` comes from the parser, and `stored` is of the type `pg_node_tree`, which nobody but
/// PostgreSQL makes values of.
unsafe fn same(relation: pg_sys::Relation, wanted: *mut pg_sys::Node, stored: pgrx::AnyElement) -> bool {
    assert_eq!(stored.oid(), pg_sys::PG_NODE_TREEOID, "declared as pg_node_tree in sql/");
    // SAFETY: see above; texts and trees live in the current memory context.
    unsafe {
        let stored = pg_sys::stringToNode(pg_sys::text_to_cstring(stored.datum().cast_mut_ptr()));
        let stored_text = shown(relation, stored.cast());
        let mut wanted = analyzed(relation, wanted);
        for _ in 0..=RESTORED {
            let text = shown(relation, wanted);
            if pg_sys::equal(wanted.cast(), stored) || text == stored_text {
                return true;
            }
            match parsed(&format!("USING ({})", text.to_string_lossy())) {
                Some([again, _]) => wanted = analyzed(relation, again),
                None => return false,
            }
        }
        false
    }
}

/// # Safety
/// `relation` is open, `expression` comes from the parser.
unsafe fn analyzed(relation: pg_sys::Relation, expression: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: see above; a state of its own for each expression, as CREATE POLICY has.
    unsafe {
        let state = pg_sys::make_parsestate(ptr::null_mut());
        let lock = pg_sys::AccessShareLock as i32;
        let item = pg_sys::addRangeTableEntryForRelation(state, relation, lock, ptr::null_mut(), false, false);
        pg_sys::addNSItemToQuery(state, item, false, true, true);
        let expression = pg_sys::transformExpr(state, expression, EXPR_KIND_POLICY);
        let expression = pg_sys::coerce_to_boolean(state, expression, c"POLICY".as_ptr());
        pg_sys::assign_expr_collations(state, expression);
        pg_sys::free_parsestate(state);
        expression
    }
}

/// # Safety
/// `relation` is open, `expression` analyzed over it.
unsafe fn shown<'a>(relation: pg_sys::Relation, expression: *mut pg_sys::Node) -> &'a CStr {
    // SAFETY: see above; the text lives in the current memory context.
    unsafe {
        let context = pg_sys::deparse_context_for((*(*relation).rd_rel).relname.data.as_ptr(), (*relation).rd_id);
        CStr::from_ptr(pg_sys::deparse_expression(expression, context, false, false))
    }
}
