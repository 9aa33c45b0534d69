//! The one expression of a table's policy for a command, put together from what each role is allowed.
//!
//! Every role test is `has_role` of a constant, which the planner replaces by true or false: for a role with an owner
//! column what is left is `owner = user_id()`, one index scan, and for an administrator nothing at all.

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

/// The expression under which a row passes: for administrators always, for others when each of `permissions` has a
/// branch that lets it pass. (What one changes one must also be able to read, so there may be several.)
pub fn expression(permissions: &[&[Branch]]) -> String {
    let mut conditions: Vec<String> = Vec::new();
    for branches in permissions {
        let condition = union(branches);
        if !conditions.contains(&condition) {
            conditions.push(condition);
        }
    }
    let administrator = has_role(ADMINISTRATORS);
    match conditions.as_slice() {
        _ if conditions.iter().any(String::is_empty) => administrator,
        [one] => format!("{administrator} OR {one}"),
        several => format!("{administrator} OR (({}))", several.join(") AND (")),
    }
}

/// The union of the branches; empty where nothing passes. Roles with the same condition share it.
fn union(branches: &[Branch]) -> String {
    let mut conditions: Vec<&str> = Vec::new();
    for Branch { condition, .. } in branches {
        if condition != "false" && !conditions.contains(&condition.as_str()) {
            conditions.push(condition);
        }
    }
    let alternatives = conditions.into_iter().map(|condition| {
        let holders = branches.iter().filter(|branch| branch.condition == condition);
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
        Branch { role: role.into(), condition: condition.into() }
    }

    #[test]
    fn nobody_but_administrators_passes_by_default() {
        assert_eq!(expression(&[&[]]), ADMIN);
        assert_eq!(expression(&[&[branch("a", "false")]]), ADMIN);
        assert_eq!(expression(&[&[branch("a", "true")], &[]]), ADMIN);
    }

    #[test]
    fn rows_are_the_union_of_the_roles() {
        let branches = [branch("editor", "true"), branch("o'brien", "(x)"), branch("b", "(x)"), branch("c", "(y)")];
        assert_eq!(
            expression(&[&branches]),
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
            expression(&[&read, &update]),
            format!("{ADMIN} OR (((rolecall.has_role('a') AND (x))) AND ((rolecall.has_role('b') AND (y))))")
        );
        assert_eq!(expression(&[&read, &read]), expression(&[&read]));
    }
}
