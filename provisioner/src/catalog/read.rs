//! Reading the catalogs: a handful of bulk queries whatever the number of roles and objects.

use super::acl::{elements, parse};
use super::names::{Names, RoleId};
use super::session::session;
use super::{AclItem, DefaultAcl, Object, Present, PresentMembership, PresentRole, Session};
use crate::error::Error;
use policy::spec::{Desired, Kind, RelationKind, RoutineKind};
use policy::sql::{identifier, literal};
use postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// What of the catalogs a comparison needs.
#[derive(Default)]
pub struct Reader<'a> {
    /// System schemas the spec names nevertheless.
    pub system_schemas: Vec<String>,
    /// Whether routines and types without privileges of their own matter.
    pub plain_routines: bool,
    /// Like it, for types.
    pub plain_types: bool,
    /// Large objects the spec names.
    pub large_objects: Vec<u32>,
    /// Whether it matters which sequence follows which table.
    pub links: bool,
    /// The desired state, whose roles get their numbers by name together with those that exist, and some of which may be
    /// wanted gone.
    pub desired: Option<&'a Desired>,
    /// Whether, of what hangs on the latter, that which belongs to no database counts.
    pub shared: bool,
}

/// Reads the present state. The client must be in a REPEATABLE READ transaction with `search_path` set to `pg_catalog`.
///
/// # Errors
/// Whatever the server says.
pub fn snapshot(client: &mut Client, reader: &Reader<'_>) -> Result<Present, Error> {
    let session = session(client)?;
    let mut catalog = Catalog { client, version: session.version, names: Names::default(), by_oid: HashMap::new() };
    let roles = catalog.roles(&session, reader)?;
    let memberships = catalog.memberships()?;
    let schemas = catalog.schemas(reader)?;
    let mut objects = catalog.relations(&schemas)?;
    catalog.columns(&mut objects)?;
    objects.extend(catalog.routines(&schemas, reader.plain_routines)?);
    objects.extend(catalog.types(&schemas, reader.plain_types)?);
    objects.extend(catalog.others(reader)?);
    let defaults = catalog.defaults()?;
    let links = if reader.links { catalog.links()? } else { HashMap::new() };
    let followers = if session.knows_followers { catalog.followers()? } else { HashSet::new() };
    let dependents = catalog.dependents(reader)?;
    let names = catalog.names;
    objects.extend(schemas.into_values().map(|schema| schema.object));
    // The server's own order changes with every change to a row.
    objects.sort_by(|a, b| (a.kind, &a.reference).cmp(&(b.kind, &b.reference)));
    Ok(Present { session, names, roles, memberships, objects, defaults, links, followers, dependents })
}

pub(super) struct Catalog<'a> {
    pub client: &'a mut Client,
    version: u32,
    pub names: Names,
    pub by_oid: HashMap<u32, RoleId>,
}

struct PresentSchema {
    name: Rc<str>,
    object: Object,
}

type Schemas = HashMap<u32, PresentSchema>;

impl Catalog<'_> {
    fn roles(&mut self, session: &Session, reader: &Reader<'_>) -> Result<HashMap<RoleId, PresentRole>, Error> {
        // Only a superuser may read the verifiers.
        let (catalog, verifier) = if session.superuser { ("pg_authid", "rolpassword") } else { ("pg_roles", "NULL") };
        let sql = format!(
            "SELECT r.oid, rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolinherit, rolreplication, \
             rolbypassrls, rolconnlimit, CASE WHEN rolvaliduntil < 'infinity' THEN extract(epoch FROM rolvaliduntil) END, \
             d.description, {verifier} \
             FROM {catalog} r LEFT JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass"
        );
        let mut roles = HashMap::new();
        let rows_of_roles = rows(self.client, &sql)?;
        // Numbered by name, so that a plan is written in the same order before and after its roles exist.
        let declared = reader.desired.iter().flat_map(|desired| desired.roles.keys().map(String::as_str));
        let mut all: Vec<&str> = rows_of_roles.iter().filter_map(|row| row.get(1)).chain(declared).collect();
        all.sort_unstable();
        for name in all {
            self.names.id(name);
        }
        for row in rows_of_roles {
            let oid = number(&row, 0)?;
            let id = self.names.id(&text(&row, 1)?);
            self.by_oid.insert(oid, id);
            let role = PresentRole {
                oid,
                login: flag(&row, 2),
                superuser: flag(&row, 3),
                createdb: flag(&row, 4),
                createrole: flag(&row, 5),
                inherit: flag(&row, 6),
                replication: flag(&row, 7),
                bypassrls: flag(&row, 8),
                connection_limit: number(&row, 9)?,
                valid_until: row.get(10).map(str::to_owned),
                comment: row.get(11).unwrap_or_default().to_owned(),
                verifier: row.get(12).map(str::to_owned),
                config: Default::default(),
            };
            roles.insert(id, role);
        }
        let sql = "SELECT s.setrole, d.datname, s.setconfig::text FROM pg_db_role_setting s \
                   LEFT JOIN pg_database d ON d.oid = s.setdatabase WHERE s.setrole <> 0";
        for row in rows(self.client, sql)? {
            let Some(role) = self.by_oid.get(&number(&row, 0)?).and_then(|id| roles.get_mut(id)) else { continue };
            let settings = elements(row.get(2).unwrap_or("{}")).unwrap_or_default();
            let settings = settings.iter().filter_map(|entry| entry.split_once('='));
            let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            role.config.insert(row.get(1).map(str::to_owned), settings);
        }
        Ok(roles)
    }

    fn memberships(&mut self) -> Result<Vec<PresentMembership>, Error> {
        let options = if self.version >= 160_000 { "m.inherit_option, m.set_option" } else { "r.rolinherit, true" };
        let sql = format!(
            "SELECT m.roleid, m.member, m.grantor, m.admin_option, {options} \
             FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member"
        );
        let mut memberships = Vec::new();
        for row in rows(self.client, &sql)? {
            memberships.push(PresentMembership {
                role: self.role(&row, 0)?,
                member: self.role(&row, 1)?,
                grantor: self.role(&row, 2)?,
                admin: flag(&row, 3),
                inherit: flag(&row, 4),
                set: flag(&row, 5),
            });
        }
        Ok(memberships)
    }

    fn schemas(&mut self, reader: &Reader<'_>) -> Result<Schemas, Error> {
        let named: Vec<String> = reader.system_schemas.iter().map(|name| literal(name)).collect();
        let named = if named.is_empty() { "''".to_owned() } else { named.join(", ") };
        let sql = format!(
            "SELECT oid, nspname, nspowner, nspacl FROM pg_namespace \
             WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' OR nspname IN ({named})"
        );
        let mut schemas = HashMap::new();
        for row in rows(self.client, &sql)? {
            let object = self.object(&row, Kind::Schema, None, 1, 2, 3)?;
            schemas.insert(object.oid, PresentSchema { name: object.name.as_str().into(), object });
        }
        Ok(schemas)
    }

    /// Privileges are mostly the same all over a schema, so relations that differ in nothing but their names come as one
    /// row: writing privileges out and reading them is what takes longest.
    fn relations(&mut self, schemas: &Schemas) -> Result<Vec<Object>, Error> {
        let sql = format!(
            "SELECT relnamespace, relkind, relowner, relacl, array_agg(oid), array_agg(relname) FROM pg_class \
             WHERE relkind IN ('r','p','v','m','f','S') AND relnamespace IN ({}) GROUP BY 1, 2, 3, 4",
            oids(schemas)
        );
        let mut objects = Vec::new();
        for row in rows(self.client, &sql)? {
            let kind = match row.get(1).unwrap_or_default() {
                "v" => Kind::Relation(RelationKind::View),
                "m" => Kind::Relation(RelationKind::MaterializedView),
                "f" => Kind::Relation(RelationKind::ForeignTable),
                "S" => Kind::Sequence,
                _ => Kind::Relation(RelationKind::Table),
            };
            let Some(schema) = schemas.get(&number(&row, 0)?) else { continue };
            let (owner, acl) = (self.role(&row, 2)?, self.acl(&row, 3)?);
            for (oid, name) in array(&row, 4)?.iter().zip(array(&row, 5)?) {
                objects.push(Object {
                    kind,
                    oid: parsed(oid)?,
                    schema: Some(schema.name.clone()),
                    reference: reference(Some(&schema.name), &name),
                    name,
                    owner,
                    acl: acl.clone(),
                    columns: Vec::new(),
                    planned: false,
                    was_of: None,
                });
            }
        }
        Ok(objects)
    }

    fn columns(&mut self, objects: &mut [Object]) -> Result<(), Error> {
        let sql = "SELECT attrelid, attname, attacl FROM pg_attribute WHERE attacl IS NOT NULL AND NOT attisdropped \
                   ORDER BY attrelid, attnum";
        let rows = rows(self.client, sql)?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut by_oid: HashMap<u32, &mut Object> = objects.iter_mut().map(|object| (object.oid, object)).collect();
        for row in rows {
            if let Some(object) = by_oid.get_mut(&number(&row, 0)?) {
                let acl = self.acl(&row, 2)?.unwrap_or_default();
                object.columns.push((text(&row, 1)?, acl));
            }
        }
        Ok(())
    }

    fn routines(&mut self, schemas: &Schemas, plain: bool) -> Result<Vec<Object>, Error> {
        let only = if plain { "" } else { "AND proacl IS NOT NULL" };
        let sql = format!(
            "SELECT oid, pronamespace, proname, proowner, proacl, prokind, oid::regprocedure FROM pg_proc \
             WHERE pronamespace IN ({}) {only}",
            oids(schemas)
        );
        let mut objects = Vec::new();
        for row in rows(self.client, &sql)? {
            let kind = if row.get(5) == Some("p") { RoutineKind::Procedure } else { RoutineKind::Function };
            let Some(schema) = schemas.get(&number(&row, 1)?) else { continue };
            let mut object = self.object(&row, Kind::Routine(kind), Some(&schema.name), 2, 3, 4)?;
            object.reference = text(&row, 6)?;
            // With search_path set to pg_catalog only what lies there is printed without its schema.
            if &*schema.name == "pg_catalog" {
                object.reference = format!("pg_catalog.{}", object.reference);
            }
            objects.push(object);
        }
        Ok(objects)
    }

    fn types(&mut self, schemas: &Schemas, plain: bool) -> Result<Vec<Object>, Error> {
        let only = if plain { "" } else { "AND typacl IS NOT NULL" };
        // From PostgreSQL 17 on a multirange's privileges are those of its range.
        let own = if self.version >= 170_000 { "AND typtype <> 'm'" } else { "" };
        let sql = format!(
            "SELECT oid, typnamespace, typname, typowner, typacl FROM pg_type \
             WHERE typnamespace IN ({}) AND typcategory <> 'A' {own} {only} \
             AND (typtype <> 'c' OR (SELECT relkind = 'c' FROM pg_class c WHERE c.oid = typrelid))",
            oids(schemas)
        );
        let mut objects = Vec::new();
        for row in rows(self.client, &sql)? {
            let Some(schema) = schemas.get(&number(&row, 1)?) else { continue };
            objects.push(self.object(&row, Kind::Type, Some(&schema.name), 2, 3, 4)?);
        }
        Ok(objects)
    }

    fn others(&mut self, reader: &Reader<'_>) -> Result<Vec<Object>, Error> {
        let mut sql = "SELECT oid, 'd', datname, datdba, datacl FROM pg_database \
                       UNION ALL SELECT oid, 'l', lanname, lanowner, lanacl FROM pg_language \
                       UNION ALL SELECT oid, 'w', fdwname, fdwowner, fdwacl FROM pg_foreign_data_wrapper \
                       UNION ALL SELECT oid, 's', srvname, srvowner, srvacl FROM pg_foreign_server \
                       UNION ALL SELECT oid, 't', spcname, spcowner, spcacl FROM pg_tablespace"
            .to_owned();
        if self.version >= 150_000 {
            sql += " UNION ALL SELECT oid, 'p', parname, 10, paracl FROM pg_parameter_acl";
        }
        if !reader.large_objects.is_empty() {
            let oids: Vec<String> = reader.large_objects.iter().map(u32::to_string).collect();
            sql += " UNION ALL SELECT oid, 'o', oid::text, lomowner, lomacl FROM pg_largeobject_metadata";
            sql += &format!(" WHERE oid IN ({})", oids.join(","));
        }
        let mut objects = Vec::new();
        for row in rows(self.client, &sql)? {
            let kind = match row.get(1).unwrap_or_default() {
                "d" => Kind::Database,
                "l" => Kind::Language,
                "w" => Kind::ForeignDataWrapper,
                "s" => Kind::ForeignServer,
                "t" => Kind::Tablespace,
                "p" => Kind::Parameter,
                _ => Kind::LargeObject,
            };
            let mut object = self.object(&row, kind, None, 2, 3, 4)?;
            if kind == Kind::LargeObject {
                object.reference.clone_from(&object.name);
            }
            objects.push(object);
        }
        Ok(objects)
    }

    fn defaults(&mut self) -> Result<Vec<DefaultAcl>, Error> {
        let sql = "SELECT d.defaclrole, n.nspname, d.defaclobjtype, d.defaclacl FROM pg_default_acl d \
                   LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace";
        let mut defaults = Vec::new();
        for row in rows(self.client, sql)? {
            let kind = match row.get(2).unwrap_or_default() {
                "r" => Kind::Relation(RelationKind::Any),
                "S" => Kind::Sequence,
                "f" => Kind::Routine(RoutineKind::Any),
                "T" => Kind::Type,
                "n" => Kind::Schema,
                "L" => Kind::LargeObject,
                _ => continue,
            };
            defaults.push(DefaultAcl {
                creator: self.role(&row, 0)?,
                schema: row.get(1).map(str::to_owned),
                kind,
                acl: self.acl(&row, 3)?.unwrap_or_default(),
            });
        }
        Ok(defaults)
    }

    /// An object whose oid is in the first column.
    fn object(
        &mut self,
        row: &SimpleQueryRow,
        kind: Kind,
        schema: Option<&Rc<str>>,
        name: usize,
        owner: usize,
        acl: usize,
    ) -> Result<Object, Error> {
        let name = text(row, name)?;
        Ok(Object {
            kind,
            oid: number(row, 0)?,
            schema: schema.cloned(),
            reference: reference(schema.map(|schema| &**schema), &name),
            name,
            owner: self.role(row, owner)?,
            acl: self.acl(row, acl)?,
            columns: Vec::new(),
            planned: false,
            was_of: None,
        })
    }

    /// A role by its oid; one dropped meanwhile goes by its number, as the server itself prints it.
    pub fn role(&mut self, row: &SimpleQueryRow, column: usize) -> Result<RoleId, Error> {
        let oid: u32 = number(row, column)?;
        Ok(self.by_oid.get(&oid).copied().unwrap_or_else(|| self.names.id(&oid.to_string())))
    }

    fn acl(&mut self, row: &SimpleQueryRow, column: usize) -> Result<Option<Vec<AclItem>>, Error> {
        let Some(text) = row.get(column) else { return Ok(None) };
        parse(text, &mut self.names).map(Some).ok_or_else(|| Error::Unexpected(format!("no aclitem[]: {text}")))
    }
}

/// How SQL refers to what has a name and perhaps a schema.
fn reference(schema: Option<&str>, name: &str) -> String {
    match schema {
        Some(schema) => format!("{}.{}", identifier(schema), identifier(name)),
        None => identifier(name),
    }
}

fn oids(schemas: &Schemas) -> String {
    let mut oids: Vec<String> = schemas.keys().map(u32::to_string).collect();
    oids.push("0".to_owned());
    oids.join(",")
}

/// The rows of one query, by the simple protocol: one round trip, everything as text.
///
/// # Errors
/// Whatever the server says.
pub fn rows(client: &mut Client, sql: &str) -> Result<Vec<SimpleQueryRow>, Error> {
    let messages = client.simple_query(sql)?;
    Ok(messages
        .into_iter()
        .filter_map(|message| if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None })
        .collect())
}

/// A column that is never NULL.
///
/// # Errors
/// NULL nevertheless.
pub fn text(row: &SimpleQueryRow, column: usize) -> Result<String, Error> {
    row.get(column).map(str::to_owned).ok_or_else(|| Error::Unexpected(format!("NULL in column {column}")))
}

/// The elements of a column that is an array.
fn array(row: &SimpleQueryRow, column: usize) -> Result<Vec<String>, Error> {
    let text = row.get(column).unwrap_or_default();
    elements(text).ok_or_else(|| Error::Unexpected(format!("no array: {text}")))
}

/// A column that holds a number.
///
/// # Errors
/// Something else.
pub fn number<T: std::str::FromStr>(row: &SimpleQueryRow, column: usize) -> Result<T, Error> {
    parsed(row.get(column).unwrap_or_default())
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Unexpected(format!("\"{text}\" is no number")))
}

pub(super) fn flag(row: &SimpleQueryRow, column: usize) -> bool {
    row.get(column) == Some("t")
}
