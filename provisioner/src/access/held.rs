//! What the extension holds, read from its own tables.

use crate::error::Error;
use policy::spec::TableName;
use policy::spec::access::{Action, Terms};
use postgres::Client;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What the extension holds.
#[derive(Default)]
pub struct Held {
    /// Other servers, by name.
    pub servers: BTreeMap<String, Server>,
    /// Roles, by name.
    pub roles: BTreeMap<String, Role>,
    /// Tables with rules.
    pub tables: BTreeMap<TableName, Table>,
    /// Queues of work, by name.
    pub work_queues: BTreeMap<String, WorkQueue>,
}

/// A server for which users get tokens.
#[derive(Deserialize)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Whom its tokens are for.
    pub audience: String,
    /// No token is good beyond this time.
    pub latest_expiry: Option<String>,
    /// No token is good for longer.
    pub longest_life: Option<String>,
    /// Its scopes.
    pub scopes: BTreeSet<String>,
}

/// A role of the extension.
#[derive(Clone, Default, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether rolecall itself has made it.
    pub built_in: bool,
    /// Whether every session holds it.
    pub everybody: bool,
    /// Whether its members consume a queue together.
    pub pool: bool,
    /// The server whose scopes it grants.
    pub server: Option<String>,
    /// The database role whose members hold it.
    pub database_role: Option<String>,
    /// No token made with it is good beyond this time.
    pub latest_expiry: Option<String>,
    /// No token made with it is good for longer.
    pub longest_life: Option<String>,
    /// Its scopes.
    pub scopes: BTreeSet<String>,
    /// The roles it is a member of.
    pub member_of: BTreeSet<String>,
    /// How many users were granted it.
    pub users: usize,
}

/// A queue of work.
#[derive(Deserialize)]
pub struct WorkQueue {
    /// Its name.
    pub name: String,
    /// The role whose members push and pop.
    pub pool: String,
    /// How many runs an item has.
    pub max_retries: i32,
    /// How long an item waits after a run that failed.
    pub retry_delay: String,
    /// How long a new item waits.
    pub initial_delay: String,
    /// Where successful items are copied to.
    pub success_queue: Option<String>,
    /// Where failed items are copied to.
    pub failed_queue: Option<String>,
    /// How many items it holds.
    pub items: usize,
    /// Whether it has an access-control list beside its pool.
    pub has_acl: bool,
}

/// A table with rules.
#[derive(Default)]
pub struct Table {
    /// Whether row-level security is rolecall's.
    pub protected: bool,
    /// The column with each row's access-control list.
    pub acl_column: Option<String>,
    /// The column with the users' ids.
    pub users_table: Option<String>,
    /// Whether it has a view with NULL in cells one may not read.
    pub exposed: bool,
    /// Relations that administrators have named.
    pub relations: BTreeMap<String, Relation>,
    /// What roles may do.
    pub permissions: BTreeMap<(String, Action), Terms>,
}

/// A relation that an administrator has named.
#[derive(Deserialize)]
pub struct Relation {
    /// What filters call it.
    pub name: String,
    other: (String, String),
    /// The columns that equal the others or, through a table, its `through_columns`.
    pub columns: Vec<String>,
    /// The other table's columns.
    pub other_columns: Vec<String>,
    through: Option<(String, String)>,
    /// Columns of the table between the two that equal `columns`.
    pub through_columns: Option<Vec<String>>,
    /// Columns of the table between the two that equal `other_columns`.
    pub through_other_columns: Option<Vec<String>>,
}

impl Relation {
    /// The table of the related rows.
    pub fn other(&self) -> TableName {
        table_name(self.other.clone())
    }

    /// The table between the two.
    pub fn through(&self) -> Option<TableName> {
        self.through.clone().map(table_name)
    }
}

#[derive(Deserialize)]
struct Answer {
    servers: Vec<Server>,
    roles: Vec<Role>,
    tables: Vec<TableAnswer>,
    work_queues: Vec<WorkQueue>,
}

#[derive(Deserialize)]
struct TableAnswer {
    schema: String,
    name: String,
    protected: bool,
    acl_column: Option<String>,
    users_table: Option<String>,
    exposed: bool,
    relations: Vec<Relation>,
    permissions: Vec<PermissionAnswer>,
}

#[derive(Deserialize)]
struct PermissionAnswer {
    role: String,
    action: String,
    filter: Value,
    columns: Option<Vec<String>>,
    new_row: Option<Value>,
    preset: Option<Value>,
}

/// One document, so that it is one round trip; what is text to the server is text in it, whatever its settings.
const QUERY: &str = "
SELECT pg_catalog.json_build_object(
  'servers', (
    SELECT coalesce(json_agg(json_build_object(
             'name', s.name, 'audience', s.audience, 'latest_expiry', s.latest_expiry, 'longest_life', s.longest_life,
             'scopes', ARRAY(SELECT scope FROM rolecall.server_scopes x WHERE x.server = s.name))), '[]')
      FROM rolecall.servers s),
  'roles', (
    SELECT coalesce(json_agg(json_build_object(
             'name', r.name, 'description', r.description, 'built_in', r.built_in, 'everybody', r.everybody,
             'pool', r.pool, 'server', r.server, 'database_role', d.rolname,
             'latest_expiry', r.latest_expiry, 'longest_life', r.longest_life,
             'scopes', ARRAY(SELECT scope FROM rolecall.role_scopes x WHERE x.role = r.name),
             'member_of', ARRAY(SELECT role FROM rolecall.role_members x WHERE x.member = r.name),
             'users', (SELECT count(*) FROM rolecall.user_roles x WHERE x.role = r.name))), '[]')
      FROM rolecall.roles r LEFT JOIN pg_catalog.pg_roles d ON d.oid = r.database_role),
  'work_queues', (
    SELECT coalesce(json_agg(json_build_object(
             'name', q.name, 'pool', q.pool, 'max_retries', q.max_retries, 'retry_delay', q.retry_delay,
             'initial_delay', q.initial_delay, 'success_queue', q.success_queue, 'failed_queue', q.failed_queue,
             'has_acl', q.acl <> '[]', 'items', (SELECT count(*) FROM rolecall.work_items x WHERE x.queue = q.name))), '[]')
      FROM rolecall.work_queues q),
  'tables', (
    SELECT coalesce(json_agg(json_build_object(
             'schema', n.nspname, 'name', c.relname,
             'protected', EXISTS (SELECT FROM rolecall.protected_tables x WHERE x.target = c.oid),
             'acl_column', (SELECT acl_column FROM rolecall.protected_tables x WHERE x.target = c.oid),
             'users_table', (SELECT id_column FROM rolecall.users_tables x WHERE x.target = c.oid),
             'exposed', EXISTS (SELECT FROM rolecall.exposed_views x WHERE x.target = c.oid),
             'relations', (
               SELECT coalesce(json_agg(json_build_object(
                        'name', x.name, 'other', json_build_array(o.nspname, o.relname), 'columns', x.columns,
                        'other_columns', x.other_columns,
                        'through', CASE WHEN t.oid IS NOT NULL THEN json_build_array(t.nspname, t.relname) END,
                        'through_columns', x.through_columns,
                        'through_other_columns', x.through_other_columns)), '[]')
                 FROM rolecall.relations x
                 JOIN named o ON o.oid = x.other
                 LEFT JOIN named t ON t.oid = x.through
                WHERE x.target = c.oid AND NOT x.found),
             'permissions', (
               SELECT coalesce(json_agg(json_build_object(
                        'role', x.role, 'action', x.action, 'filter', x.filter, 'columns', x.columns,
                        'new_row', x.new_row, 'preset', x.preset)), '[]')
                 FROM rolecall.permissions x WHERE x.target = c.oid))), '[]')
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid IN (SELECT target FROM rolecall.protected_tables
                      UNION SELECT target FROM rolecall.users_tables
                      UNION SELECT target FROM rolecall.relations WHERE NOT found))
)::text";

const NAMED: &str = "
WITH named AS NOT MATERIALIZED (
  SELECT c.oid, n.nspname, c.relname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace)";

/// Whether the extension is installed here.
///
/// # Errors
/// Whatever the server says.
pub fn is_installed(client: &mut Client) -> Result<bool, Error> {
    let found = client.query_opt("SELECT FROM pg_catalog.pg_extension WHERE extname = 'rolecall'", &[])?;
    Ok(found.is_some())
}

/// Whether who asks may read all that the extension, which is installed, holds.
///
/// # Errors
/// Whatever the server says.
pub fn is_readable(client: &mut Client) -> Result<bool, Error> {
    let row = client.query_one(
        "SELECT pg_catalog.bool_and(pg_catalog.has_table_privilege(c.oid, 'SELECT')
                                    AND NOT pg_catalog.row_security_active(c.oid))
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = 'rolecall' AND c.relkind = 'r'",
        &[],
    )?;
    Ok(row.get::<_, Option<bool>>(0).unwrap_or_default())
}

/// Raises an error unless who asks may read and change what the extension, which is installed, holds.
///
/// # Errors
/// He may not.
pub fn must_administer(client: &mut Client) -> Result<(), Error> {
    // Administrators who are such by login alone may call its functions, but nobody else may read its tables.
    let row = client.query_one(
        "SELECT rolecall.is_administrator()
                AND pg_catalog.has_table_privilege('rolecall.roles', 'SELECT')
                AND NOT pg_catalog.row_security_active('rolecall.roles'),
                current_user::text, pg_catalog.current_database()::text, pg_catalog.pg_get_userbyid(relowner)::text
           FROM pg_catalog.pg_class WHERE oid = 'rolecall.roles'::pg_catalog.regclass",
        &[],
    )?;
    if row.get(0) {
        return Ok(());
    }
    let (executor, database, owner): (&str, &str, &str) = (row.get(1), row.get(2), row.get(3));
    Err(Error::mismatch(
        format!("\"{executor}\" may not administer rolecall in database \"{database}\""),
        format!("connect as a superuser or as a member of \"{owner}\", which owns the extension"),
    ))
}

/// Reads what the extension holds.
///
/// # Errors
/// Whatever the server says.
pub fn read(client: &mut Client) -> Result<Held, Error> {
    let text: String = client.query_one(&format!("{NAMED}{QUERY}"), &[])?.get(0);
    let answer: Answer = serde_json::from_str(&text).map_err(|error| Error::Unexpected(error.to_string()))?;
    let mut held = Held::default();
    held.servers.extend(answer.servers.into_iter().map(|server| (server.name.clone(), server)));
    held.roles.extend(answer.roles.into_iter().map(|role| (role.name.clone(), role)));
    held.work_queues.extend(answer.work_queues.into_iter().map(|queue| (queue.name.clone(), queue)));
    for table in answer.tables {
        let name = TableName { schema: table.schema, name: table.name };
        let mut permissions = BTreeMap::new();
        for permission in table.permissions {
            let action = Action::ALL.into_iter().find(|action| action.word() == permission.action);
            let action = action.ok_or_else(|| Error::Unexpected(format!("action {}", permission.action)))?;
            let PermissionAnswer { role, filter, columns, new_row, preset, .. } = permission;
            permissions.insert((role, action), Terms { filter, columns, new_row, preset });
        }
        held.tables.insert(
            name,
            Table {
                protected: table.protected,
                acl_column: table.acl_column,
                users_table: table.users_table,
                exposed: table.exposed,
                relations: table.relations.into_iter().map(|it| (it.name.clone(), it)).collect(),
                permissions,
            },
        );
    }
    Ok(held)
}

fn table_name((schema, name): (String, String)) -> TableName {
    TableName { schema, name }
}
