//! Privileges on objects to come.

use super::cells::for_version;
use super::statements::{labels, plural, roles};
use super::{Request, grantee, managed_roles, members, role};
use crate::catalog::{Object, Present, RoleId};
use crate::error::Error;
use crate::plan::{Flag, Operation, Requirement, Sign};
use policy::spec::{Creator, DefaultScope, Ensure, Kind, Privileges};
use policy::sql::identifier;
use std::collections::{BTreeMap, HashMap};

/// Whose objects, in which schema (none for all), of which kind.
type Row = (RoleId, Option<String>, Kind);

/// What the spec says about one row and one grantee.
#[derive(Clone, Copy, Default)]
struct Said {
    given: Privileges,
    grant_option: Privileges,
    absent: Privileges,
}

/// All that the spec declares.
#[derive(Default)]
pub(super) struct Declared {
    rows: BTreeMap<Row, BTreeMap<RoleId, Said>>,
}

impl Declared {
    /// What `grantee` may hold on `object` because declared default privileges gave it when the object was made.
    pub fn on(&self, object: &Object, grantee: RoleId) -> (Privileges, Privileges) {
        let kind = object.kind.broad();
        let mut scopes = vec![None];
        scopes.extend(object.schema.as_deref().map(|schema| Some(schema.to_owned())));
        let mut sum = (Privileges::NONE, Privileges::NONE);
        for scope in scopes {
            if let Some(said) = self.rows.get(&(object.owner, scope, kind)).and_then(|row| row.get(&grantee)) {
                sum = (sum.0 | said.given, sum.1 | said.grant_option);
            }
        }
        sum
    }
}

/// Writes out creators and grantees.
pub(super) fn declared(request: &Request<'_>, present: &Present) -> Result<Declared, Error> {
    let mut declared = Declared::default();
    for entry in &request.contents.default_privileges {
        let privileges = for_version(entry.privileges, entry.all, entry.kind, present)?;
        if entry.kind == Kind::LargeObject && present.session.version < 180_000 {
            let message = "large objects have default privileges from PostgreSQL 18 on".to_owned();
            return Err(Error::mismatch(message, "take the entry out"));
        }
        let creators = match &entry.creator {
            Creator::Role(name) => vec![role(request, present, name)?],
            Creator::MembersOf(name) => members(request, present, role(request, present, name)?).into_iter().collect(),
        };
        let schema = match &entry.scope {
            DefaultScope::Global => None,
            DefaultScope::Schema(name) => Some(name.clone()),
        };
        if let Some(name) = schema.as_ref().filter(|name| present.schema(name).is_none()) {
            let message = format!("schema \"{name}\" does not exist");
            return Err(Error::mismatch(message, "declare it under \"schemas\" to have it made"));
        }
        for creator in creators {
            for to in &entry.to {
                let to = grantee(request, present, to)?;
                if to == creator && schema.is_none() {
                    continue;
                }
                let row = declared.rows.entry((creator, schema.clone(), entry.kind)).or_default();
                let said = row.entry(to).or_default();
                match entry.ensure {
                    Ensure::Present => said.given |= privileges,
                    Ensure::Absent => said.absent |= privileges,
                }
                if entry.grant_option && entry.ensure == Ensure::Present {
                    said.grant_option |= privileges;
                }
            }
        }
    }
    Ok(declared)
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    schema: Option<String>,
    kind: Kind,
    sign: bool,
    privileges: Privileges,
    option: bool,
    declared: bool,
    roles: Vec<RoleId>,
}

pub(super) fn diff(request: &Request<'_>, present: &Present) -> Result<Vec<Operation>, Error> {
    let declared = declared(request, present)?;
    let mut found: HashMap<Row, HashMap<RoleId, (Privileges, Privileges)>> = HashMap::new();
    for default in &present.defaults {
        let row = found.entry((default.creator, default.schema.clone(), default.kind)).or_default();
        for item in &default.acl {
            let held = row.entry(item.grantee).or_default();
            *held = (held.0 | item.privileges, held.1 | item.grant_options);
        }
    }
    // Without a row of its own a role's global default privileges are the built-in ones.
    for (creator, schema, kind) in declared.rows.keys().filter(|(_, schema, _)| schema.is_none()) {
        let public = HashMap::from([(RoleId::PUBLIC, (kind.public_default(), Privileges::NONE))]);
        found.entry((*creator, schema.clone(), *kind)).or_insert(public);
    }
    let mut changes: BTreeMap<Change, Vec<RoleId>> = BTreeMap::new();
    let mut rows: Vec<&Row> = declared.rows.keys().chain(found.keys()).collect();
    rows.sort();
    rows.dedup();
    let managed = managed_roles(request, present);
    for row in rows {
        let (creator, schema, kind) = row;
        let mut by_change: BTreeMap<(bool, Privileges, bool, bool), Vec<RoleId>> = BTreeMap::new();
        let nothing = (BTreeMap::new(), HashMap::new());
        let said = declared.rows.get(row).unwrap_or(&nothing.0);
        let held = found.get(row).unwrap_or(&nothing.1);
        let mut grantees: Vec<RoleId> = said.keys().chain(held.keys()).copied().collect();
        grantees.sort_unstable();
        grantees.dedup();
        for to in grantees {
            let said = said.get(&to).copied().unwrap_or_default();
            let both = said.given & said.absent;
            if !both.is_empty() {
                let message = format!(
                    "{both} on future {} is both given to \"{}\" and declared absent",
                    plural(*kind),
                    present.names.name(to)
                );
                return Err(Error::mismatch(message, "take one of the two entries out"));
            }
            let (has, has_option) = held.get(&to).copied().unwrap_or_default();
            let with_option = said.grant_option - has_option;
            let mut add = |sign, privileges: Privileges, option, declared| {
                if !privileges.is_empty() {
                    by_change.entry((sign, privileges, option, declared)).or_default().push(to);
                }
            };
            add(true, said.given - has - with_option, false, true);
            add(true, with_option, true, true);
            add(false, has & said.absent, false, true);
            if managed.contains(&to) && to != *creator && request.desired.manages_schema(schema.as_deref()) {
                let undeclared = has - said.given - said.absent;
                add(false, undeclared, false, false);
                add(false, has_option - said.grant_option - said.absent - undeclared, true, false);
            }
        }
        for ((sign, privileges, option, declared), roles) in by_change {
            let change = Change { schema: schema.clone(), kind: *kind, sign, privileges, option, declared, roles };
            changes.entry(change).or_default().push(*creator);
        }
    }
    Ok(changes.iter().map(|(change, creators)| operation(request, present, change, creators)).collect())
}

fn operation(request: &Request<'_>, present: &Present, change: &Change, creators: &[RoleId]) -> Operation {
    let names = &present.names;
    let Change { kind, privileges, option, .. } = change;
    let place = change.schema.as_ref().map_or(String::new(), |schema| format!(" IN SCHEMA {}", identifier(schema)));
    let to = roles(names, &change.roles);
    let on = plural(*kind).to_uppercase();
    let action = match (change.sign, option) {
        (true, false) => format!("GRANT {privileges} ON {on} TO {to}"),
        (true, true) => format!("GRANT {privileges} ON {on} TO {to} WITH GRANT OPTION"),
        (false, false) => format!("REVOKE {privileges} ON {on} FROM {to}"),
        (false, true) => format!("REVOKE GRANT OPTION FOR {privileges} ON {on} FROM {to}"),
    };
    let sql = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {}{place} {action}", roles(names, creators));
    let section = change.schema.clone().unwrap_or_else(|| "all schemas".to_owned());
    let suffix = if *option { " (grant option)" } else { "" };
    let what = format!("{privileges} on future {} of {}{suffix}", plural(*kind), labels(names, creators));
    let sign = if change.sign { Sign::Add } else { Sign::Remove };
    let operation = Operation::new(&section, sign, labels(names, &change.roles), what, vec![sql])
        .requiring(creators.iter().map(|creator| Requirement::ActAs(*creator)));
    match (change.sign, change.declared) {
        (true, _) => operation,
        (false, true) => operation.because("declared absent"),
        (false, false) => operation.because("undeclared").unless(request.allowed.revoke_privileges, Flag::Revoke),
    }
}
