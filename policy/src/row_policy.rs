//! The one expression of a table's policy for a command, put together from what each role is allowed.
//!
//! Every role test is `has_role` of a constant, which the planner replaces by true or false: for a role with an owner
//! column what is left is `owner = user_id()`, one index scan, and for an administrator nothing at all.
//!
//! Where rows have access-control lists, whoever the list allows passes too, and nobody but administrators whom it denies.
//!
//! Where a role is limited to some columns, the rows depend on the columns that a statement touches. `touches` tells
//! the planner whether it does, and is likewise replaced by true or false.

use crate::sql::{literal, text_array};
use std::collections::{BTreeMap, BTreeSet};

/// A permission: what holders of `role` may do, as SQL over the row.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The role's name.
    pub role: String,
    /// The compiled filter.
    pub condition: String,
    /// The columns it is limited to; None: all, also those to come.
    pub columns: Option<Vec<String>>,
}

impl Branch {
    fn covers(&self, column: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.iter().any(|covered| covered == column))
    }
}

/// The roles whose holders pass everywhere.
const ADMINISTRATORS: &str = "admins";

/// The expression under which a row passes: for administrators always, for others when each of `permissions`, by their
/// action, has a branch that lets it pass, or the row's ACL does. (What one changes one must also be able to read, so
/// there may be several.) The last are those that limit the columns that may be touched. `acl` is the column with the
/// ACL, in SQL.
pub fn expression(acl: Option<&str>, permissions: &[(&str, &[Branch])]) -> String {
    let mut conditions: Vec<String> = Vec::new();
    for (action, branches) in permissions {
        let condition = passing(acl, action, union(*branches));
        if !conditions.contains(&condition) {
            conditions.push(condition);
        }
    }
    let administrator = has_role(ADMINISTRATORS);
    conditions.extend(permissions.last().into_iter().flat_map(|(action, branches)| limits(acl, action, branches)));
    match conditions.as_slice() {
        _ if conditions.iter().any(String::is_empty) => administrator,
        [one] => format!("{administrator} OR {one}"),
        several => format!("{administrator} OR (({}))", several.join(") AND (")),
    }
}

/// What passes by permissions under `permitted` or by the ACL.
fn passing(acl: Option<&str>, action: &str, permitted: String) -> String {
    match acl {
        None => permitted,
        Some(acl) if permitted.is_empty() => allowed(acl, action),
        Some(acl) => {
            let denied = format!("rolecall.acl_denies({acl}, '{}')", right(action));
            format!("{} OR (({permitted}) AND NOT {denied})", allowed(acl, action))
        }
    }
}

/// Whether the ACL allows the action. The list of a new row is its writer's own choice, so it lets only those make one
/// who can be held to it.
fn allowed(acl: &str, action: &str) -> String {
    let allows = format!("rolecall.acl_allows({acl}, '{}')", right(action));
    if action == "insert" { format!("(rolecall.user_id() IS NOT NULL AND {allows})") } else { allows }
}

/// The right of an ACL that an action takes.
fn right(action: &str) -> &str {
    match action {
        "select" => "read",
        "insert" => "create",
        other => other,
    }
}

/// The condition under which a row shows the column to whoever passes by one of the branches or the ACL; None where it
/// always does.
pub fn cell(acl: Option<&str>, branches: &[Branch], column: &str) -> Option<String> {
    let covering: Vec<_> = branches.iter().filter(|branch| branch.covers(column)).collect();
    if covering.len() == branches.len() {
        return None;
    }
    let administrator = has_role(ADMINISTRATORS);
    let shown = [administrator].into_iter().chain(acl.map(|acl| allowed(acl, "select"))).chain(some(union(covering)));
    Some(shown.collect::<Vec<_>>().join(" OR "))
}

/// For each class of columns, those that the same branches cover, unless all do: whoever touches one of them passes
/// only by such a branch, or by the ACL, which covers all. Columns that no branch names are covered by branches without a
/// list.
fn limits(acl: Option<&str>, action: &str, branches: &[Branch]) -> Vec<String> {
    if branches.iter().all(|branch| branch.columns.is_none()) {
        return Vec::new();
    }
    let named: BTreeSet<&str> =
        branches.iter().flat_map(|it| it.columns.iter().flatten()).map(String::as_str).collect();
    let mut classes: BTreeMap<Vec<usize>, Vec<&str>> = BTreeMap::new();
    for column in &named {
        let covering = (0..branches.len()).filter(|at| branches[*at].covers(column)).collect();
        classes.entry(covering).or_default().push(column);
    }
    let classes = classes.into_iter().filter(|(covering, _)| covering.len() < branches.len());
    let classes = classes.map(|(covering, columns)| {
        let covering: Vec<_> = covering.into_iter().map(|at| &branches[at]).collect();
        limit(acl, action, columns, false, &covering)
    });
    let unlimited: Vec<_> = branches.iter().filter(|branch| branch.columns.is_none()).collect();
    classes.chain([limit(acl, action, named.iter().copied().collect(), true, &unlimited)]).collect()
}

/// Whoever touches one of `columns`, or one `beyond` them, passes only by one of the branches or by the ACL. The roles
/// are those that may touch them at all; an ACL may let anybody, which an empty name says.
fn limit(acl: Option<&str>, action: &str, columns: Vec<&str>, beyond: bool, covering: &[&Branch]) -> String {
    let roles = covering.iter().map(|branch| branch.role.as_str());
    let roles = if acl.is_some() { text_array([""]) } else { text_array(roles) };
    let columns = text_array(columns);
    let touches = format!("NOT rolecall.touches(tableoid, {}, {columns}, {beyond}, {roles})", literal(action));
    let passes = union(covering.iter().copied());
    let passes = [touches].into_iter().chain(acl.map(|acl| allowed(acl, action))).chain(some(passes));
    passes.collect::<Vec<_>>().join(" OR ")
}

/// A condition, unless nothing passes it.
fn some(condition: String) -> Option<String> {
    (!condition.is_empty()).then_some(condition)
}

/// The union of the branches; empty where nothing passes. Roles with the same condition share it.
fn union<'a>(branches: impl IntoIterator<Item = &'a Branch> + Clone) -> String {
    let mut conditions: Vec<&str> = Vec::new();
    for Branch { condition, .. } in branches.clone() {
        if condition != "false" && !conditions.contains(&condition.as_str()) {
            conditions.push(condition);
        }
    }
    let alternatives = conditions.into_iter().map(|condition| {
        let holders = branches.clone().into_iter().filter(|branch| branch.condition == condition);
        let roles = holders.map(|branch| has_role(&branch.role)).collect::<Vec<_>>();
        match (condition, roles.as_slice()) {
            ("true", _) => roles.join(" OR "),
            (_, [role]) => format!("({role} AND {condition})"),
            _ => format!("(({}) AND {condition})", roles.join(" OR ")),
        }
    });
    alternatives.collect::<Vec<_>>().join(" OR ")
}

fn has_role(role: &str) -> String {
    format!("rolecall.has_role({})", literal(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMIN: &str = "rolecall.has_role('admins')";

    fn branch(role: &str, condition: &str) -> Branch {
        Branch { role: role.into(), condition: condition.into(), columns: None }
    }

    fn limited(role: &str, condition: &str, columns: &[&str]) -> Branch {
        Branch { columns: Some(columns.iter().map(|it| it.to_string()).collect()), ..branch(role, condition) }
    }

    #[test]
    fn nobody_but_administrators_passes_by_default() {
        assert_eq!(expression(None, &[("select", &[])]), ADMIN);
        assert_eq!(expression(None, &[("select", &[branch("a", "false")])]), ADMIN);
        assert_eq!(expression(None, &[("select", &[branch("a", "true")]), ("update", &[])]), ADMIN);
    }

    #[test]
    fn rows_are_the_union_of_the_roles() {
        let branches = [branch("editor", "true"), branch("o'brien", "(x)"), branch("b", "(x)"), branch("c", "(y)")];
        assert_eq!(
            expression(None, &[("select", &branches)]),
            format!(
                "{ADMIN} OR rolecall.has_role('editor') OR \
                 ((rolecall.has_role('o''brien') OR rolecall.has_role('b')) AND (x)) OR (rolecall.has_role('c') AND (y))"
            )
        );
    }

    #[test]
    fn what_is_changed_must_be_readable() {
        let (read, update) = ([branch("a", "(x)")], [branch("b", "(y)")]);
        assert_eq!(
            expression(None, &[("select", &read), ("update", &update)]),
            format!("{ADMIN} OR (((rolecall.has_role('a') AND (x))) AND ((rolecall.has_role('b') AND (y))))")
        );
        assert_eq!(expression(None, &[("select", &read), ("update", &read)]), expression(None, &[("select", &read)]));
    }

    #[test]
    fn touching_a_column_takes_a_branch_that_covers_it() {
        let branches = [
            branch("author", "(own)"),
            limited("b", "true", &["id", "ti\"tle"]),
            limited("c", "(x)", &["id", "note"]),
            limited("d", "false", &["id", "note", "ti\"tle"]),
        ];
        let touches = |columns: &str, beyond: bool, roles: &str| {
            let (columns, roles) = (format!("{columns}::pg_catalog.text[]"), format!("{roles}::pg_catalog.text[]"));
            format!("NOT rolecall.touches(tableoid, 'insert', {columns}, {beyond}, {roles})")
        };
        let (author, b, c) =
            ("(rolecall.has_role('author') AND (own))", "rolecall.has_role('b')", "(rolecall.has_role('c') AND (x))");
        assert_eq!(
            expression(None, &[("insert", &branches)]),
            format!(
                "{ADMIN} OR (({author} OR {b} OR {c}) AND ({title} OR {author} OR {b}) AND ({note} OR {author} OR {c}) \
                 AND ({rest} OR {author}))",
                title = touches("E'{\"ti\\\\\"tle\"}'", false, "'{\"author\",\"b\",\"d\"}'"),
                note = touches("'{\"note\"}'", false, "'{\"author\",\"c\",\"d\"}'"),
                rest = touches("E'{\"id\",\"note\",\"ti\\\\\"tle\"}'", true, "'{\"author\"}'"),
            ),
            "id, which all cover, needs nothing"
        );
    }

    #[test]
    fn a_cell_is_shown_where_a_branch_covers_it() {
        let branches = [branch("a", "(x)"), limited("b", "true", &["id"])];
        assert_eq!(cell(None, &branches, "id"), None);
        assert_eq!(cell(None, &branches, "body"), Some(format!("{ADMIN} OR (rolecall.has_role('a') AND (x))")));
        assert_eq!(cell(None, &branches[1..], "body"), Some(ADMIN.into()));
    }

    #[test]
    fn a_column_that_nobody_covers_is_closed() {
        let expression = expression(None, &[("select", &[limited("a", "true", &[])])]);
        let closed = "NOT rolecall.touches(tableoid, 'select', '{}'::pg_catalog.text[], true, '{}'::pg_catalog.text[])";
        assert_eq!(expression, format!("{ADMIN} OR ((rolecall.has_role('a')) AND ({closed}))"));
    }

    /// Only the last permissions are about the columns: what one changes must be readable, as a row.
    #[test]
    fn the_columns_are_those_of_the_action() {
        let (read, update) = ([limited("a", "true", &["x"])], [branch("b", "true")]);
        let both = format!("{ADMIN} OR ((rolecall.has_role('a')) AND (rolecall.has_role('b')))");
        assert_eq!(expression(None, &[("select", &read), ("update", &update)]), both);
    }

    #[test]
    fn an_acl_lets_pass_and_its_deny_keeps_out() {
        let (allows, denies) = ("rolecall.acl_allows(t.acl, 'read')", "rolecall.acl_denies(t.acl, 'read')");
        let acl = Some("t.acl");
        assert_eq!(expression(acl, &[("select", &[])]), format!("{ADMIN} OR {allows}"));
        let branches = [branch("a", "(x)")];
        assert_eq!(
            expression(acl, &[("select", &branches)]),
            format!("{ADMIN} OR {allows} OR (((rolecall.has_role('a') AND (x))) AND NOT {denies})")
        );
        assert_eq!(
            expression(acl, &[("insert", &[])]),
            format!("{ADMIN} OR (rolecall.user_id() IS NOT NULL AND rolecall.acl_allows(t.acl, 'create'))")
        );
        let both = expression(acl, &[("select", &[]), ("delete", &[])]);
        assert_eq!(both, format!("{ADMIN} OR (({allows}) AND (rolecall.acl_allows(t.acl, 'delete')))"));
    }

    #[test]
    fn an_acl_covers_all_columns() {
        let acl = Some("t.acl");
        let branches = [limited("a", "true", &["x"])];
        let closed =
            "NOT rolecall.touches(tableoid, 'select', '{\"x\"}'::pg_catalog.text[], true, '{\"\"}'::pg_catalog.text[])";
        let expression = expression(acl, &[("select", &branches)]);
        assert!(
            expression.ends_with(&format!("AND ({closed} OR rolecall.acl_allows(t.acl, 'read')))")),
            "{expression}"
        );
        assert_eq!(cell(acl, &branches, "y"), Some(format!("{ADMIN} OR rolecall.acl_allows(t.acl, 'read')")));
    }
}
