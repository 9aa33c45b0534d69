//! Schemas and their owners.

use super::{Request, role};
use crate::catalog::{DefaultAcl, Object, Present};
use crate::error::Error;
use crate::plan::{Flag, Operation, Requirement, Sign};
use policy::spec::Kind;
use policy::sql::identifier;

/// Also enters what is going to be into `present`: new schemas, and owners that change.
pub(super) fn diff(request: &Request<'_>, present: &mut Present) -> Result<Vec<Operation>, Error> {
    let mut operations = Vec::new();
    for (name, wanted) in &request.contents.schemas {
        let owner = match &wanted.owner {
            Some(owner) => Some(role(request, present, owner)?),
            None => None,
        };
        let reference = identifier(name);
        let found = present.schema(name);
        let Some(number) = found else {
            let owner = owner.unwrap_or_else(|| present.names.id(&present.session.executor));
            let authorization =
                wanted.owner.as_ref().map_or(String::new(), |owner| format!(" AUTHORIZATION {}", identifier(owner)));
            let what = format!("new schema of {}", present.names.name(owner));
            let sql = vec![format!("CREATE SCHEMA {reference}{authorization}")];
            let mut may = vec![Requirement::CreateSchema];
            may.extend(wanted.owner.as_ref().map(|_| Requirement::Become(owner)));
            operations.push(Operation::new(name, Sign::Add, name.as_str(), what, sql).requiring(may));
            // Its owner's default privileges for schemas are what it starts with.
            let is_its = |row: &&DefaultAcl| row.creator == owner && row.kind == Kind::Schema && row.schema.is_none();
            let acl = present.defaults.iter().find(is_its).map(|row| row.acl.clone());
            present.objects.push(Object {
                kind: Kind::Schema,
                oid: 0,
                schema: None,
                name: name.clone(),
                reference,
                owner,
                acl,
                columns: Vec::new(),
                planned: true,
                was_of: None,
            });
            continue;
        };
        let found = &mut present.objects[number];
        let Some(owner) = owner.filter(|owner| *owner != found.owner) else { continue };
        let (was, will) = (present.names.name(found.owner), present.names.name(owner));
        let sql = vec![format!("ALTER SCHEMA {reference} OWNER TO {}", present.names.sql(owner))];
        let operation = Operation::new(name, Sign::Change, name.as_str(), format!("owner {will}, was {was}"), sql);
        let operation =
            operation.requiring([Requirement::Own(number), Requirement::Become(owner), Requirement::CreateSchema]);
        operations.push(operation.unless(request.allowed.change_owners, Flag::Owner));
        if request.allowed.change_owners {
            found.change_owner(owner);
        }
    }
    Ok(operations)
}
