//! Who is a member of what.

use super::{Request, managed_roles, role};
use crate::catalog::{Present, PresentMembership, RoleId};
use crate::error::Error;
use crate::plan::{Flag, Operation, Sign};
use policy::spec::Membership;
use std::collections::HashMap;

const SECTION: &str = "memberships";

pub(super) fn diff(request: &Request<'_>, present: &Present) -> Result<Vec<Operation>, Error> {
    let mut edges: HashMap<(RoleId, RoleId), Vec<&PresentMembership>> = HashMap::new();
    for edge in &present.memberships {
        edges.entry((edge.role, edge.member)).or_default().push(edge);
    }
    let mut missing: Vec<(String, RoleId, Vec<RoleId>)> = Vec::new();
    let mut operations = Vec::new();
    let mut declared = HashMap::new();
    for wanted in &request.desired.memberships {
        let pair = (role(request, present, &wanted.role)?, role(request, present, &wanted.member)?);
        check_version(wanted, present)?;
        declared.insert(pair, wanted);
        match edges.get(&pair) {
            None => {
                let options = new_options(wanted, present);
                match missing.iter_mut().find(|(other, role, _)| *other == options && *role == pair.0) {
                    Some((_, _, members)) => members.push(pair.1),
                    None => missing.push((options, pair.0, vec![pair.1])),
                }
            }
            Some(edges) => operations.extend(edges_options(request, present, wanted, edges)),
        }
    }
    let mut added: Vec<Operation> =
        missing.into_iter().map(|(options, role, members)| grant(present, role, &members, &options)).collect();
    added.extend(operations);
    added.extend(undeclared(request, present, &declared));
    Ok(added)
}

fn check_version(wanted: &Membership, present: &Present) -> Result<(), Error> {
    if present.session.version < 160_000 && (wanted.inherit == Some(false) || wanted.set == Some(false)) {
        let message = format!(
            "\"{}\" in \"{}\": memberships have INHERIT and SET options from PostgreSQL 16 on, this is {}",
            wanted.member, wanted.role, present.session.version_text
        );
        return Err(Error::mismatch(message, "give the member \"inherit: false\" as a role option instead"));
    }
    Ok(())
}

fn grant(present: &Present, role: RoleId, members: &[RoleId], options: &str) -> Operation {
    let names = &present.names;
    let to: Vec<String> = members.iter().map(|member| names.sql(*member)).collect();
    let who: Vec<String> = members.iter().map(|member| names.name(*member).to_owned()).collect();
    let sql = format!("GRANT {} TO {}{options}", names.sql(role), to.join(", "));
    let what = format!("member of {}{}", names.name(role), options.to_lowercase());
    super::operation(SECTION, Sign::Add, &super::listing(&who), what, sql)
}

/// What the spec does not say is left to the server: INHERIT then follows the member's own option.
fn new_options(wanted: &Membership, present: &Present) -> String {
    let mut options = Vec::new();
    if present.session.version >= 160_000 {
        let word = |value: bool| if value { "TRUE" } else { "FALSE" };
        if wanted.admin == Some(true) {
            options.push("ADMIN TRUE".to_owned());
        }
        if let Some(inherit) = wanted.inherit {
            options.push(format!("INHERIT {}", word(inherit)));
        }
        if let Some(set) = wanted.set {
            options.push(format!("SET {}", word(set)));
        }
    } else if wanted.admin == Some(true) {
        options.push("ADMIN OPTION".to_owned());
    }
    if options.is_empty() { String::new() } else { format!(" WITH {}", options.join(", ")) }
}

/// Options of a membership that exists, one grantor's edge after the other.
fn edges_options(
    request: &Request<'_>,
    present: &Present,
    wanted: &Membership,
    edges: &[&PresentMembership],
) -> Vec<Operation> {
    let names = &present.names;
    let mut operations = Vec::new();
    let change = |edge: &PresentMembership, sign, what: String, option: &str| {
        let (role, member) = (names.sql(edge.role), names.sql(edge.member));
        let sql = match option.strip_prefix("REVOKE ") {
            Some(option) => format!("REVOKE {option} OPTION FOR {role} FROM {member}{}", granted_by(present, edge)),
            None => format!("GRANT {role} TO {member} WITH {option}{}", granted_by(present, edge)),
        };
        super::operation(SECTION, sign, &wanted.member, what, sql)
    };
    if wanted.admin == Some(true) && !edges.iter().any(|edge| edge.admin) {
        let what = format!("may admit members to {}", wanted.role);
        operations.extend(edges.first().map(|edge| change(edge, Sign::Add, what, "ADMIN OPTION")));
    }
    for edge in edges.iter().filter(|edge| edge.admin && wanted.admin != Some(true)) {
        if is_implicit(present, edge) {
            continue;
        }
        let what = format!("may admit members to {}", wanted.role);
        let operation = change(edge, Sign::Remove, what, "REVOKE ADMIN");
        operations.push(match wanted.admin {
            Some(_) => operation.because("declared false"),
            None => operation.because("undeclared").unless(request.revoke, Flag::Revoke),
        });
    }
    if present.session.version >= 160_000 {
        for edge in edges.iter().filter(|edge| !is_implicit(present, edge)) {
            for (word, wanted_value, value) in
                [("INHERIT", wanted.inherit, edge.inherit), ("SET", wanted.set, edge.set)]
            {
                if let Some(wanted_value) = wanted_value.filter(|wanted_value| *wanted_value != value) {
                    let option = format!("{word} {}", if wanted_value { "TRUE" } else { "FALSE" });
                    let what = format!("member of {} with {}", wanted.role, option.to_lowercase());
                    operations.push(change(edge, Sign::Change, what, &option));
                }
            }
        }
    }
    operations
}

/// Memberships between managed roles that the spec does not know.
fn undeclared(
    request: &Request<'_>,
    present: &Present,
    declared: &HashMap<(RoleId, RoleId), &Membership>,
) -> Vec<Operation> {
    let managed = managed_roles(request, present);
    let names = &present.names;
    let mut operations = Vec::new();
    for edge in &present.memberships {
        let executor = names.name(edge.member) == present.session.executor;
        if declared.contains_key(&(edge.role, edge.member))
            || !managed.contains(&edge.role)
            || !managed.contains(&edge.member)
            || executor
            || is_implicit(present, edge)
        {
            continue;
        }
        let by = granted_by(present, edge);
        let sql = format!("REVOKE {} FROM {}{by}", names.sql(edge.role), names.sql(edge.member));
        let what = format!("member of {}", names.name(edge.role));
        let operation = super::operation(SECTION, Sign::Remove, names.name(edge.member), what, sql);
        operations.push(operation.because("undeclared").unless(request.revoke, Flag::Revoke));
    }
    operations.sort_by(|a, b| a.sql.cmp(&b.sql));
    operations
}

/// From PostgreSQL 16 on, whoever makes a role administers it by grace of the bootstrap superuser.
fn is_implicit(present: &Present, edge: &PresentMembership) -> bool {
    present.session.version >= 160_000
        && edge.admin
        && !edge.inherit
        && !edge.set
        && edge.grantor == present.bootstrap_superuser()
}

/// Before PostgreSQL 16 a membership has one edge, whoever granted it.
fn granted_by(present: &Present, edge: &PresentMembership) -> String {
    if present.session.version >= 160_000 {
        format!(" GRANTED BY {}", present.names.sql(edge.grantor))
    } else {
        String::new()
    }
}
