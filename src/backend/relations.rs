//! Which form of a relation a query takes.
//!
//! A policy has both forms of a relation over one column: `related(EXISTS (…), is_in(column, ids))`. They mean the same.
//! The first looks for one row's related rows, the second collects all keys beforehand and can use an index of the
//! column. When the query is planned, `related` is replaced by the first where the query asks for single rows by their
//! key, or writes new ones, and by the second everywhere else.

use super::varlena::version_1;
use pgrx::prelude::*;
use std::collections::HashSet;
use std::ffi::c_int;

/// `related(by_row boolean, by_set boolean) → boolean` where it was not replaced.
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn related(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL passes the frame of this call, of two arguments.
    unsafe {
        let by_row = (*call).args.as_slice(2)[0];
        (*call).isnull = by_row.isnull;
        by_row.value
    }
}

/// Replaces `related` by one of its arguments.
#[unsafe(no_mangle)]
#[doc(hidden)]
#[pg_guard]
pub unsafe extern "C-unwind" fn related_support(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL calls this as the planner support function of related, with a valid request, whose root is NULL
    // where no query is planned.
    unsafe {
        let node = (*call).args.as_slice(1)[0].value.cast_mut_ptr::<pg_sys::Node>();
        if (*node).type_ != pg_sys::NodeTag::T_SupportRequestSimplify {
            return pg_sys::Datum::from(0);
        }
        let request = &*node.cast::<pg_sys::SupportRequestSimplify>();
        if request.root.is_null() {
            return pg_sys::Datum::from(0);
        }
        let [by_row, by_set] = [0, 1].map(|at| pg_sys::list_nth((*request.fcall).args, at).cast::<pg_sys::Node>());
        let query = Query { root: request.root, parse: (*request.root).parse };
        let collects = (*query.parse).commandType != pg_sys::CmdType::CMD_INSERT
            && tested(by_set).is_some_and(|table| !query.is_by_key(table, &mut HashSet::new()));
        pg_sys::Datum::from(if collects { by_set } else { by_row })
    }
}

/// The number of the table whose column `is_in` tests, in the query's range table.
///
/// # Safety
/// `call` is a valid expression.
unsafe fn tested(call: *mut pg_sys::Node) -> Option<c_int> {
    // SAFETY: see above; is_in has two arguments.
    unsafe {
        let call = cast::<pg_sys::FuncExpr>(call, pg_sys::NodeTag::T_FuncExpr)?;
        column(pg_sys::list_nth((*call).args, 0).cast()).map(|(table, _)| table)
    }
}

/// A node of that kind.
///
/// # Safety
/// `node` is NULL or valid.
unsafe fn cast<T>(node: *mut pg_sys::Node, tag: pg_sys::NodeTag) -> Option<*mut T> {
    // SAFETY: see above; every node begins with its tag.
    (!node.is_null() && unsafe { (*node).type_ } == tag).then(|| node.cast())
}

/// A column of a table of this query: the table's number and the column's.
///
/// # Safety
/// `node` is NULL or a valid expression.
unsafe fn column(mut node: *mut pg_sys::Node) -> Option<(c_int, i16)> {
    // SAFETY: see above.
    unsafe {
        while let Some(relabel) = cast::<pg_sys::RelabelType>(node, pg_sys::NodeTag::T_RelabelType) {
            node = (*relabel).arg.cast();
        }
        let var = cast::<pg_sys::Var>(node, pg_sys::NodeTag::T_Var)?;
        ((*var).varlevelsup == 0).then_some(((*var).varno as c_int, (*var).varattno))
    }
}

/// # Safety
/// `list` is NULL or a list of nodes that outlives the iterator.
unsafe fn nodes(list: *mut pg_sys::List) -> impl Iterator<Item = *mut pg_sys::Node> {
    // SAFETY: see above.
    let length = if list.is_null() { 0 } else { unsafe { (*list).length } };
    (0..length).map(move |at| unsafe { pg_sys::list_nth(list, at).cast() })
}

/// A query that is being planned. Its pointers are valid as long as the planner's call.
#[derive(Clone, Copy)]
struct Query {
    root: *mut pg_sys::PlannerInfo,
    parse: *mut pg_sys::Query,
}

impl Query {
    /// Whether the query asks for the rows of a table by its primary key, directly or from another table that it reads
    /// by key. `tables` are those that are being asked about.
    ///
    /// # Safety
    /// The query is being planned.
    unsafe fn is_by_key(self, table: c_int, tables: &mut HashSet<c_int>) -> bool {
        if !tables.insert(table) {
            return false;
        }
        // SAFETY: see above; the parser has locked the table.
        unsafe {
            let mut equalities = Vec::new();
            self.equalities((*self.parse).jointree.cast(), table, &mut equalities);
            let entry = pg_sys::list_nth((*self.parse).rtable, table - 1).cast::<pg_sys::RangeTblEntry>();
            if equalities.is_empty() || (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION {
                return false;
            }
            let relation = pg_sys::relation_open((*entry).relid, pg_sys::NoLock as c_int);
            let kind = pg_sys::IndexAttrBitmapKind::INDEX_ATTR_BITMAP_PRIMARY_KEY;
            let key = pg_sys::RelationGetIndexAttrBitmap(relation, kind);
            pg_sys::relation_close(relation, pg_sys::NoLock as c_int);
            let mut member = -1;
            let mut columns = Vec::new();
            loop {
                member = pg_sys::bms_next_member(key, member);
                if member < 0 {
                    break;
                }
                columns.push((member + pg_sys::FirstLowInvalidHeapAttributeNumber) as i16);
            }
            let mut is_known = |(_, value): &(i16, *mut pg_sys::Node)| {
                let others = pg_sys::pull_varnos(self.root, *value);
                let mut other = -1;
                loop {
                    other = pg_sys::bms_next_member(others, other);
                    if other < 0 {
                        return true;
                    }
                    if !self.is_by_key(other, tables) {
                        return false;
                    }
                }
            };
            !columns.is_empty()
                && columns.iter().all(|column| equalities.iter().filter(|(of, _)| of == column).any(&mut is_known))
        }
    }

    /// The columns of a table that have to equal something, and what.
    ///
    /// # Safety
    /// `node` is NULL or part of the query's condition.
    unsafe fn equalities(self, node: *mut pg_sys::Node, table: c_int, found: &mut Vec<(i16, *mut pg_sys::Node)>) {
        if node.is_null() {
            return;
        }
        let mut all = |list| {
            // SAFETY: the lists of valid nodes are valid.
            unsafe { nodes(list).for_each(|part| self.equalities(part, table, found)) }
        };
        // SAFETY: see above; the tag says what the node is.
        unsafe {
            match (*node).type_ {
                pg_sys::NodeTag::T_List => all(node.cast()),
                pg_sys::NodeTag::T_FromExpr => {
                    let from = node.cast::<pg_sys::FromExpr>();
                    all((*from).fromlist);
                    self.equalities((*from).quals, table, found);
                }
                pg_sys::NodeTag::T_JoinExpr => {
                    let join = node.cast::<pg_sys::JoinExpr>();
                    for part in [(*join).larg, (*join).rarg, (*join).quals] {
                        self.equalities(part, table, found);
                    }
                }
                pg_sys::NodeTag::T_BoolExpr => {
                    let part = node.cast::<pg_sys::BoolExpr>();
                    if (*part).boolop == pg_sys::BoolExprType::AND_EXPR {
                        all((*part).args);
                    }
                }
                pg_sys::NodeTag::T_OpExpr => {
                    let operation = node.cast::<pg_sys::OpExpr>();
                    self.equality((*operation).opno, (*operation).args, table, found);
                }
                pg_sys::NodeTag::T_ScalarArrayOpExpr => {
                    let operation = node.cast::<pg_sys::ScalarArrayOpExpr>();
                    if (*operation).useOr {
                        self.equality((*operation).opno, (*operation).args, table, found);
                    }
                }
                _ => {}
            }
        }
    }

    /// # Safety
    /// `arguments` are those of the operator.
    unsafe fn equality(
        self,
        operator: pg_sys::Oid,
        arguments: *mut pg_sys::List,
        table: c_int,
        found: &mut Vec<(i16, *mut pg_sys::Node)>,
    ) {
        // SAFETY: see above.
        unsafe {
            let sides: Vec<_> = nodes(arguments).collect();
            let [left, right] = sides.as_slice() else { return };
            for (one, other) in [(*left, *right), (*right, *left)] {
                if let Some((of, number)) = column(one)
                    && of == table
                    && pg_sys::op_mergejoinable(operator, pg_sys::exprType(one))
                {
                    found.push((number, other));
                }
            }
        }
    }
}

/// Above this part of a table an index is no help: the planner takes a set for ten ids, however many there are.
const SELECTIVE: f64 = 0.1;
/// The part that is assumed where nothing is known.
const UNKNOWN: f64 = 0.05;

/// Tells how many rows `is_in` leaves, and gives an index condition that means the same.
#[unsafe(no_mangle)]
#[doc(hidden)]
#[pg_guard]
pub unsafe extern "C-unwind" fn is_in_support(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL calls this as the planner support function of is_in, with a valid request.
    unsafe {
        let node = (*call).args.as_slice(1)[0].value.cast_mut_ptr::<pg_sys::Node>();
        match (*node).type_ {
            pg_sys::NodeTag::T_SupportRequestSelectivity => {
                let request = &mut *node.cast::<pg_sys::SupportRequestSelectivity>();
                let test = Test { root: request.root, args: request.args, collation: request.inputcollid };
                request.selectivity = test.selectivity(request.varRelid).unwrap_or(UNKNOWN);
                pg_sys::Datum::from(node)
            }
            pg_sys::NodeTag::T_SupportRequestIndexCondition => {
                let request = &mut *node.cast::<pg_sys::SupportRequestIndexCondition>();
                let condition = index_condition(request);
                request.lossy = condition.is_none();
                condition.map_or(pg_sys::Datum::from(0), |condition| {
                    pg_sys::Datum::from(pg_sys::lappend(std::ptr::null_mut(), condition.cast()))
                })
            }
            _ => pg_sys::Datum::from(0),
        }
    }
}

/// `column = ANY (ids_of(ids))`, where a B-tree serves and few enough rows are expected.
///
/// # Safety
/// The request is valid.
unsafe fn index_condition(request: &pg_sys::SupportRequestIndexCondition) -> Option<*mut pg_sys::ScalarArrayOpExpr> {
    // SAFETY: see above; the condition's nodes are allocated where the plan is.
    unsafe {
        let is_usable = request.indexarg == 0 && (*request.index).amsearcharray && (*request.index).relam == BTREE;
        let test = cast::<pg_sys::FuncExpr>(request.node, pg_sys::NodeTag::T_FuncExpr).filter(|_| is_usable)?;
        let test = Test { root: request.root, args: (*test).args, collation: request.indexcollation };
        test.selectivity(0).filter(|selectivity| *selectivity <= SELECTIVE)?;
        let (value, kind) = test.value();
        let array = Some(pg_sys::get_array_type(kind)).filter(|array| *array != pg_sys::InvalidOid)?;
        let operator = pg_sys::get_opfamily_member(request.opfamily, kind, kind, EQUAL);
        if operator == pg_sys::InvalidOid {
            return None;
        }
        let like = pg_sys::makeNullConst(kind, -1, test.collation);
        let arguments =
            pg_sys::lappend(pg_sys::list_make1_impl(pg_sys::NodeTag::T_List, cell(test.ids())), like.cast());
        let none = pg_sys::InvalidOid;
        let form = pg_sys::CoercionForm::COERCE_EXPLICIT_CALL;
        let ids = pg_sys::makeFuncExpr(ids_of(request.funcid)?, array, arguments, none, test.collation, form);
        let mut condition = PgBox::<pg_sys::ScalarArrayOpExpr>::alloc_node(pg_sys::NodeTag::T_ScalarArrayOpExpr);
        condition.opno = operator;
        condition.opfuncid = pg_sys::get_opcode(operator);
        condition.useOr = true;
        condition.inputcollid = test.collation;
        condition.args = pg_sys::lappend(pg_sys::list_make1_impl(pg_sys::NodeTag::T_List, cell(value)), ids.cast());
        condition.location = -1;
        Some(condition.into_pg())
    }
}

/// The access method of B-trees, and their strategy for equality.
const BTREE: pg_sys::Oid = pg_sys::BTREE_AM_OID;
const EQUAL: i16 = pg_sys::BTEqualStrategyNumber as i16;

fn cell(node: *mut pg_sys::Node) -> pg_sys::ListCell {
    pg_sys::ListCell { ptr_value: node.cast() }
}

/// The function that makes a set an array, in the schema of `is_in`. By the system cache: who asks may not look there.
fn ids_of(is_in: pg_sys::Oid) -> Option<pg_sys::Oid> {
    let arguments = [pg_sys::BYTEAOID, pg_sys::ANYELEMENTOID];
    let cache = pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as c_int;
    let column = pg_sys::Anum_pg_proc_oid as i16;
    // SAFETY: looks up a name, arguments and a schema, as this cache's keys are.
    unsafe {
        let arguments = pg_sys::buildoidvector(arguments.as_ptr(), 2);
        let schema = pg_sys::get_func_namespace(is_in);
        let nothing = pg_sys::Datum::from(0);
        let name = pg_sys::Datum::from(c"ids_of".as_ptr());
        let oid = pg_sys::GetSysCacheOid(cache, column, name, arguments.into(), schema.into(), nothing);
        Some(oid).filter(|oid| *oid != pg_sys::InvalidOid)
    }
}

/// A call of `is_in` in a query that is being planned.
struct Test {
    root: *mut pg_sys::PlannerInfo,
    args: *mut pg_sys::List,
    collation: pg_sys::Oid,
}

impl Test {
    /// # Safety
    /// The call is valid, here and below.
    unsafe fn value(&self) -> (*mut pg_sys::Node, pg_sys::Oid) {
        // SAFETY: is_in has two arguments.
        unsafe {
            let value = pg_sys::list_nth(self.args, 0).cast();
            (value, pg_sys::exprType(value))
        }
    }

    unsafe fn ids(&self) -> *mut pg_sys::Node {
        // SAFETY: see above.
        unsafe { pg_sys::list_nth(self.args, 1).cast() }
    }

    /// The part of the rows whose value is in the set: as many ids as the plan that collects them expects, each as
    /// frequent as any value is on average.
    unsafe fn selectivity(&self, relation: c_int) -> Option<f64> {
        // SAFETY: see above; the node made here lives until the planner is done.
        unsafe {
            let ids = self.expected_ids()?;
            let (value, kind) = self.value();
            let entry = pg_sys::lookup_type_cache(kind, pg_sys::TYPECACHE_EQ_OPR as c_int);
            let mut unknown = PgBox::<pg_sys::Param>::alloc_node(pg_sys::NodeTag::T_Param);
            unknown.paramkind = pg_sys::ParamKind::PARAM_EXEC;
            unknown.paramid = -1;
            unknown.paramtype = kind;
            unknown.paramtypmod = -1;
            unknown.paramcollid = self.collation;
            let (boolean, none) = (pg_sys::BOOLOID, pg_sys::InvalidOid);
            let right = unknown.into_pg().cast();
            let equals =
                pg_sys::make_opclause((*entry).eq_opr, boolean, false, value.cast(), right, none, self.collation);
            let inner = pg_sys::JoinType::JOIN_INNER;
            let one = pg_sys::clause_selectivity(self.root, equals.cast(), relation, inner, std::ptr::null_mut());
            Some((one * ids).clamp(0.0, 1.0))
        }
    }

    /// How many ids the planner expects: the rows of the array that the set's own plan is made of.
    unsafe fn expected_ids(&self) -> Option<f64> {
        // SAFETY: see above; the planner has planned the sub-selects of an expression before it asks about it.
        unsafe {
            let parameter = cast::<pg_sys::Param>(self.ids(), pg_sys::NodeTag::T_Param)?;
            let set = nodes((*self.root).init_plans)
                .map(|plan| plan.cast::<pg_sys::SubPlan>())
                .find(|plan| pg_sys::list_member_int((**plan).setParam, (*parameter).paramid))?;
            let subplans = (*(*self.root).glob).subplans;
            let plan = |subplan: *mut pg_sys::SubPlan| {
                pg_sys::list_nth(subplans, (*subplan).plan_id - 1).cast::<pg_sys::Plan>()
            };
            let array = nodes((*plan(set)).initPlan).next()?.cast::<pg_sys::SubPlan>();
            Some((*plan(array)).plan_rows)
        }
    }
}

version_1!(pg_finfo_related, pg_finfo_related_support, pg_finfo_is_in_support);
