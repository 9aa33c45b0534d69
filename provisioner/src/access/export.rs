//! What the extension holds, as the part of a spec that declares it.

use super::held::{self, Held, Role, Table};
use super::json::{is_exact, same, same_option};
use crate::error::Error;
use policy::kits;
use policy::spec::TableName;
use policy::spec::access::{Action, Terms};
use postgres::Client;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// The part of a spec under `rolecall`.
#[derive(Serialize)]
pub struct Exported {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    default_roles: Vec<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    servers: BTreeMap<String, ExportedServer>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    roles: BTreeMap<String, ExportedRole>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tables: BTreeMap<String, ExportedTable>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    work_queues: BTreeMap<String, ExportedWorkQueue>,
}

#[derive(Serialize)]
struct ExportedServer {
    audience: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_expiry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_life: Option<String>,
    scopes: Vec<String>,
}

#[derive(Default, Serialize)]
struct ExportedRole {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pool: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_expiry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_life: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_of: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
}

#[derive(Serialize)]
struct ExportedWorkQueue {
    pool: String,
    max_retries: i32,
    retry_delay: String,
    initial_delay: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    success_queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_queue: Option<String>,
}

#[derive(Serialize)]
struct ExportedTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    users_table: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    relations: BTreeMap<String, ExportedRelation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Vec<ExportedPermission>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl_column: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    exposed: bool,
}

#[derive(Serialize)]
struct ExportedRelation {
    other: String,
    columns: Vec<String>,
    other_columns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    through: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    through_columns: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    through_other_columns: Option<Vec<String>>,
}

#[derive(Serialize)]
struct ExportedPermission {
    role: String,
    action: Actions,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_row: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<Json>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Actions {
    One(&'static str),
    Several(Vec<&'static str>),
}

/// JSON in any format: `serde_json`'s own numbers are such only in JSON.
struct Json(Value);

/// What the extension holds beyond what it is installed with; nothing, where it is not installed either.
///
/// # Errors
/// Who asks may not read it, and filters with numbers that a spec cannot hold.
pub fn export(client: &mut Client) -> Result<Option<Exported>, Error> {
    if !held::is_installed(client)? {
        return Ok(None);
    }
    held::must_administer(client)?;
    let held = held::read(client)?;
    let kits = kits::ALL.iter().filter(|kit| {
        let is_there = |name: &str| held.roles.get(name).is_some_and(|role| role.built_in);
        !kit.roles.is_empty() && kit.roles.iter().all(|role| is_there(role.name))
    });
    let exported = Exported {
        default_roles: kits.map(|kit| kit.name).collect(),
        servers: held.servers.values().map(|server| (server.name.clone(), exported_server(server))).collect(),
        roles: held.roles.values().filter_map(|role| Some((role.name.clone(), exported_role(role)?))).collect(),
        tables: tables(&held)?,
        work_queues: held.work_queues.values().map(|queue| (queue.name.clone(), exported_work_queue(queue))).collect(),
    };
    // Work queues come with a role that is their pool, which is told of.
    let is_empty = exported.default_roles.is_empty() && exported.servers.is_empty() && exported.roles.is_empty();
    Ok((!is_empty || !exported.tables.is_empty()).then_some(exported))
}

fn exported_server(server: &held::Server) -> ExportedServer {
    ExportedServer {
        audience: server.audience.clone(),
        latest_expiry: server.latest_expiry.clone(),
        longest_life: server.longest_life.clone(),
        scopes: server.scopes.iter().cloned().collect(),
    }
}

fn exported_work_queue(queue: &held::WorkQueue) -> ExportedWorkQueue {
    ExportedWorkQueue {
        pool: queue.pool.clone(),
        max_retries: queue.max_retries,
        retry_delay: queue.retry_delay.clone(),
        initial_delay: queue.initial_delay.clone(),
        success_queue: queue.success_queue.clone(),
        failed_queue: queue.failed_queue.clone(),
    }
}

/// A built-in role is told of where it is not as it was built.
fn exported_role(role: &Role) -> Option<ExportedRole> {
    let scopes: Vec<String> = role.scopes.iter().cloned().collect();
    let member_of: Vec<String> = role.member_of.iter().cloned().collect();
    if role.built_in {
        let built = kits::ALL.iter().flat_map(|kit| kit.roles).find(|built| built.name == role.name);
        let differs = |found: &[String], built: Option<&[&str]>| {
            let mut built = built.unwrap_or_default().to_vec();
            built.sort_unstable();
            found != built
        };
        let exported = ExportedRole {
            pool: role.pool,
            member_of: differs(&member_of, built.map(|built| built.member_of)).then_some(member_of),
            scopes: differs(&scopes, built.map(|built| built.scopes)).then_some(scopes),
            ..ExportedRole::default()
        };
        return (exported.pool || exported.member_of.is_some() || exported.scopes.is_some()).then_some(exported);
    }
    let some = |names: Vec<String>| (!names.is_empty()).then_some(names);
    Some(ExportedRole {
        description: role.description.clone().filter(|text| !text.is_empty()),
        pool: role.pool,
        database_role: role.database_role.clone(),
        server: role.server.clone(),
        latest_expiry: role.latest_expiry.clone(),
        longest_life: role.longest_life.clone(),
        member_of: some(member_of),
        scopes: some(scopes),
    })
}

fn tables(held: &Held) -> Result<BTreeMap<String, ExportedTable>, Error> {
    let tables = held.tables.iter().map(|(name, table)| {
        let permissions = table.protected.then(|| permissions(name, table)).transpose()?;
        let relations = table.relations.values().map(|relation| {
            let exported = ExportedRelation {
                other: relation.other().to_string(),
                columns: relation.columns.clone(),
                other_columns: relation.other_columns.clone(),
                through: relation.through().map(|table| table.to_string()),
                through_columns: relation.through_columns.clone(),
                through_other_columns: relation.through_other_columns.clone(),
            };
            (relation.name.clone(), exported)
        });
        let exported = ExportedTable {
            users_table: table.users_table.clone(),
            relations: relations.collect(),
            permissions,
            acl_column: table.acl_column.clone(),
            exposed: table.exposed,
        };
        Ok((name.to_string(), exported))
    });
    tables.collect()
}

/// The permissions of a table, those of a role that have the same terms in one.
pub fn grouped(table: &Table) -> Vec<(&String, Vec<Action>, Terms)> {
    let mut groups: Vec<(&String, Vec<Action>, Terms)> = Vec::new();
    for ((role, action), terms) in &table.permissions {
        let group =
            groups.iter_mut().find(|(other, actions, common)| *other == role && fits(*action, terms, actions, common));
        match group {
            Some((_, actions, common)) => {
                if !actions.iter().any(|action| action.writes()) {
                    (common.new_row, common.preset) = (terms.new_row.clone(), terms.preset.clone());
                }
                actions.push(*action);
            }
            None => groups.push((role, vec![*action], terms.clone())),
        }
    }
    groups
}

fn permissions(name: &TableName, table: &Table) -> Result<Vec<ExportedPermission>, Error> {
    let exported = grouped(table).into_iter().map(|(role, actions, terms)| {
        let values = [Some(&terms.filter), terms.new_row.as_ref(), terms.preset.as_ref()];
        if !values.into_iter().flatten().all(is_exact) {
            let message = format!("what \"{role}\" may do with {name} holds a number that a spec cannot hold exactly");
            return Err(Error::mismatch(message, "use a number of fewer digits there"));
        }
        let action = match actions.as_slice() {
            [one] => Actions::One(one.word()),
            all if all.len() == Action::ALL.len() => Actions::One("all"),
            several => Actions::Several(several.iter().map(|action| action.word()).collect()),
        };
        let is_everything = terms.filter.as_object().is_some_and(serde_json::Map::is_empty);
        Ok(ExportedPermission {
            role: role.clone(),
            action,
            filter: (!is_everything).then_some(Json(terms.filter)),
            columns: terms.columns,
            new_row: terms.new_row.map(Json),
            preset: terms.preset.map(Json),
        })
    });
    exported.collect()
}

/// Whether an action can join others: what does not concern it may be anything. Deleting comes last.
fn fits(action: Action, terms: &Terms, actions: &[Action], common: &Terms) -> bool {
    let both_write = action.writes() && actions.iter().any(|action| action.writes());
    same(&terms.filter, &common.filter)
        && (action == Action::Delete || terms.columns == common.columns)
        && (!both_write || same_option(&terms.new_row, &common.new_row) && same_option(&terms.preset, &common.preset))
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Borrowed(&self.0).serialize(serializer)
    }
}

struct Borrowed<'a>(&'a Value);

impl Serialize for Borrowed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Borrowed)),
            Value::Object(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, Borrowed(value)))),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => serializer.serialize_i64(whole),
                (None, Some(whole)) => serializer.serialize_u64(whole),
                (None, None) => serializer.serialize_f64(number.as_f64().unwrap_or_default()),
            },
        }
    }
}
