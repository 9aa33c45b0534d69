//! Roles that shall be gone: those the spec retires, and managed ones that it does not declare.

use super::{Request, Stage};
use crate::catalog::{Present, RoleId};
use crate::error::Error;
use crate::plan::{Flag, Operation, Requirement, Sign};
use policy::spec::{Kind, Retirement};
use policy::sql::{identifier, literal};

const SECTION: &str = "roles";

/// A role that shall be gone.
struct Going<'a> {
    role: RoleId,
    name: &'a str,
    how: Option<&'a Retirement>,
}

fn going<'a>(request: &'a Request<'_>, present: &'a Present) -> Vec<Going<'a>> {
    let stays =
        |role: RoleId| role == present.bootstrap_superuser() || present.names.name(role) == present.session.executor;
    let leaving = present.roles.keys().copied().filter(|role| !stays(*role));
    let named = leaving.map(|role| (role, present.names.name(role)));
    let mut going: Vec<Going> = named
        .filter(|(_, name)| request.desired.wants_gone(name))
        .map(|(role, name)| Going { role, name, how: request.desired.retire.get(name) })
        .collect();
    going.sort_by_key(|going| going.name);
    going
}

/// What goes before the roles themselves can: what they own goes to their heirs, what they hold is taken away. Also
/// enters that into `present`.
pub(super) fn belongings(request: &Request<'_>, present: &mut Present) -> Result<Vec<Operation>, Error> {
    let mut operations = Vec::new();
    let mut passed: Vec<(RoleId, Option<RoleId>)> = Vec::new();
    for role in going(request, present) {
        let Going { role, name, how } = role;
        let found = present.dependents.get(&role).cloned().unwrap_or_default();
        let heir = how.and_then(|how| how.reassign_to.as_ref());
        let add = |what: String, sql: String, may: Vec<Requirement>| {
            super::operation(SECTION, Sign::Remove, name, what, sql)
                .because(reason(how))
                .unless(request.allowed.drop_roles, Flag::Drop)
                .requiring(may)
        };
        if request.stage != Stage::Further && how.is_some_and(|how| how.terminate_sessions) {
            let of = literal(name);
            let sql = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {of} AND pid <> pg_backend_pid()"
            );
            operations.push(add("its sessions, if any".to_owned(), sql, Vec::new()));
        }
        let may_act = vec![Requirement::ActAs(role)];
        let mut heir_id = None;
        if found.owned > 0 {
            let more = if found.owned > 1 { format!(" and {} more objects", found.owned - 1) } else { String::new() };
            let database = &present.session.database;
            let Some(heir) = heir else {
                if !request.allowed.drop_roles {
                    continue;
                }
                return Err(Error::mismatch(
                    format!("\"{name}\" shall go, but owns {}{more} in database \"{database}\"", found.example),
                    format!("name an heir: retire: {{{}: {{reassign_to: ROLE}}}}", identifier(name)),
                ));
            };
            let id = super::role(request, present, heir)?;
            heir_id = Some(id);
            let what = format!("what it owns ({}{more}) goes to {heir}", found.example);
            let sql = format!("REASSIGN OWNED BY {} TO {}", identifier(name), identifier(heir));
            let mut may = vec![Requirement::ActAs(role), Requirement::ActAs(id)];
            may.extend(present.objects.iter().filter(|object| object.owner == role).filter_map(|object| {
                match (object.kind, &object.schema) {
                    (Kind::Schema, _) => Some(Requirement::CreateSchema),
                    (Kind::Routine(_), Some(schema)) => {
                        present.schema(schema).map(|schema| Requirement::CreatorIn(id, schema))
                    }
                    _ => None,
                }
            }));
            operations.push(add(what, sql, may));
        }
        if found.owned > 0 || found.held > 0 {
            let sql = format!("DROP OWNED BY {}", identifier(name));
            operations.push(add("its privileges and default privileges".to_owned(), sql, may_act));
        }
        passed.push((role, heir_id));
    }
    if request.allowed.drop_roles {
        for (role, heir) in passed {
            enter(present, role, heir);
        }
    }
    Ok(operations)
}

/// The roles themselves, last of all.
pub(super) fn roles(request: &Request<'_>, present: &Present) -> Vec<Operation> {
    let mut operations = Vec::new();
    for Going { role, name, how } in going(request, present) {
        let sql = format!("DROP ROLE {}", identifier(name));
        let operation = super::operation(SECTION, Sign::Remove, name, "the role", sql).because(reason(how));
        let may = [Requirement::CreateRole, Requirement::Administer(role)];
        operations.push(operation.unless(request.allowed.drop_roles, Flag::Drop).requiring(may));
    }
    operations
}

fn reason(how: Option<&Retirement>) -> &'static str {
    if how.is_some() { "retired" } else { "undeclared" }
}

/// What the statements of [`belongings`] and the end of the role come to.
fn enter(present: &mut Present, role: RoleId, heir: Option<RoleId>) {
    for object in &mut present.objects {
        if let Some(heir) = heir.filter(|_| object.owner == role) {
            object.change_owner(heir);
        }
        let columns = object.columns.iter_mut().map(|(_, acl)| acl);
        for acl in object.acl.iter_mut().chain(columns) {
            acl.retain(|item| item.grantee != role && item.grantor != role);
        }
    }
    present.defaults.retain(|default| default.creator != role);
    for default in &mut present.defaults {
        default.acl.retain(|item| item.grantee != role);
    }
}
