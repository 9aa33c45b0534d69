//! The one expression of a table's policy for a command, put together from what each role is allowed.

use crate::sql::literal;

/// A permission: what holders of `role` may do, as SQL over the row.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The role's name.
    pub role: String,
    /// The compiled filter.
    pub condition: String,
}

/// The roles whose holders pass everywhere.
const ADMINISTRATORS: &str = "admins";

/// The expression under which a row passes: the union of `branches`, and everything for administrators.
///
/// Every role test is `has_role` of a constant, which the planner replaces by true or false, so that a role with one
/// owner column plans as one index scan. Roles with the same condition share it.
pub fn expression(branches: &[Branch]) -> String {
    let mut alternatives = vec![has_role(ADMINISTRATORS)];
    let mut conditions: Vec<&str> = Vec::new();
    for branch in branches {
        if !conditions.contains(&branch.condition.as_str()) {
            conditions.push(&branch.condition);
        }
    }
    for condition in conditions {
        let roles: Vec<_> = branches.iter().filter(|b| b.condition == condition).map(|b| has_role(&b.role)).collect();
        alternatives.push(match condition {
            "true" => roles.join(" OR "),
            "false" => continue,
            _ => format!("(({}) AND {condition})", roles.join(" OR ")),
        });
    }
    alternatives.join(" OR ")
}

/// Both conditions; one alone where they are the same.
pub fn both(one: &str, other: &str) -> String {
    if one == other { one.to_owned() } else { format!("({one}) AND ({other})") }
}

fn has_role(role: &str) -> String {
    format!("rolecall.has_role({})", literal(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(role: &str, condition: &str) -> Branch {
        Branch { role: role.into(), condition: condition.into() }
    }

    #[test]
    fn nobody_but_administrators_passes_by_default() {
        assert_eq!(expression(&[]), "rolecall.has_role('admins')");
        assert_eq!(expression(&[branch("a", "false")]), "rolecall.has_role('admins')");
    }

    #[test]
    fn rows_are_the_union_of_the_roles() {
        let sql = expression(&[branch("editor", "true"), branch("o'brien", "(\"x\" = 1)"), branch("b", "(\"x\" = 1)")]);
        assert_eq!(
            sql,
            "rolecall.has_role('admins') OR rolecall.has_role('editor') OR \
             ((rolecall.has_role('o''brien') OR rolecall.has_role('b')) AND (\"x\" = 1))"
        );
    }

    #[test]
    fn an_equal_condition_is_asked_once() {
        assert_eq!(both("a OR b", "a OR b"), "a OR b");
        assert_eq!(both("a OR b", "c"), "(a OR b) AND (c)");
    }
}
