//! Whether whoever executes the plan may do it, so that it fails before anything is done.

use super::Request;
use crate::catalog::{Present, RoleId};
use crate::error::Error;
use crate::plan::{Operation, Requirement};
use policy::spec::Privileges;
use std::collections::HashSet;

/// Superusers may do everything; for others the catalogs tell.
pub(super) fn check(operations: &[Operation], request: &Request<'_>, present: &Present) -> Result<(), Error> {
    if present.session.superuser {
        return Ok(());
    }
    let mine = roles_of_executor(present);
    let executor = &present.session.executor;
    for requirement in operations.iter().filter(|done| done.needs.is_none()).flat_map(|done| &done.requires) {
        let (problem, hint) = match requirement {
            Requirement::CreateRole if !present.session.createrole => (
                format!("\"{executor}\" may not make or alter roles"),
                format!("ALTER ROLE {} CREATEROLE, or connect as a superuser", quoted(executor)),
            ),
            Requirement::ActAs(role) if !mine.contains(role) => {
                let name = present.names.name(*role);
                if request.desired.roles.contains_key(name) && !present.roles.contains_key(role) {
                    continue;
                }
                (
                    format!("\"{executor}\" cannot act as \"{name}\", whose default privileges the plan changes"),
                    format!("GRANT {} TO {}, or connect as a superuser", quoted(name), quoted(executor)),
                )
            }
            Requirement::GrantOn(number, privileges) => {
                let object = &present.objects[*number];
                let items = object.acl.iter().flatten().filter(|item| mine.contains(&item.grantee));
                let passable = items.fold(Privileges::NONE, |sum, item| sum | item.grant_options);
                if object.planned || mine.contains(&object.owner) || passable.contains(*privileges) {
                    continue;
                }
                let owner = present.names.name(object.owner);
                (
                    format!(
                        "\"{executor}\" may not grant {privileges} on {} {}, which \"{owner}\" owns",
                        object.kind.word(),
                        object.label()
                    ),
                    format!("GRANT {} TO {}, or connect as a superuser", quoted(owner), quoted(executor)),
                )
            }
            _ => continue,
        };
        return Err(Error::mismatch(problem, hint));
    }
    Ok(())
}

/// The roles whose privileges the executor has without asking.
fn roles_of_executor(present: &Present) -> HashSet<RoleId> {
    let mut mine = HashSet::new();
    let mut open: Vec<RoleId> = present.names.find(&present.session.executor).into_iter().collect();
    while let Some(role) = open.pop() {
        if mine.insert(role) {
            let groups = present.memberships.iter().filter(|edge| edge.member == role && edge.inherit);
            open.extend(groups.map(|edge| edge.role));
        }
    }
    mine
}

fn quoted(name: &str) -> String {
    policy::sql::identifier(name)
}
