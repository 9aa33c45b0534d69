//! What is read from the server, and what of it belongs into the spec.

use super::notes::Notes;
use crate::catalog::{AclItem, Object, Present, Reader, RoleId, number, parse_acl, rows, snapshot, text};
use crate::error::Error;
use policy::spec::{Kind, Pattern, Privileges};
use postgres::Client;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Roles that providers of managed servers bring along: they are there, or not, whatever a spec says.
const OF_PROVIDERS: [&str; 9] = [
    "rds_*",
    "rdsadmin",
    "rdsrepladmin",
    "rdswriteforwarduser",
    "cloudsql*",
    "alloydb*",
    "azure_*",
    "azuresu",
    "neon_superuser",
];

/// Privileges by catalog, oid and column.
type Initial = HashMap<(String, u32, String), Vec<AclItem>>;

/// What a server holds, and which part is asked for.
pub(super) struct Source {
    pub present: Present,
    /// What the system and extensions granted when they were made.
    initial: Initial,
    /// When passwords cease to count, as text in UTC.
    pub valid_until: HashMap<RoleId, String>,
    /// The roles that are declared, by name.
    pub roles: Vec<RoleId>,
    /// The schemas that are declared.
    pub schemas: BTreeSet<String>,
    /// Whether only some schemas were asked for.
    pub limited: bool,
    grantees: HashSet<RoleId>,
}

impl Source {
    /// Reads everything in one snapshot and decides what is exported.
    ///
    /// # Errors
    /// A schema that does not exist, and whatever the server says.
    pub fn read(client: &mut Client, schemas: &[String], notes: &mut Notes) -> Result<Self, Error> {
        client.batch_execute(
            "SET search_path = pg_catalog; SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; \
             BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )?;
        let limited = !schemas.is_empty();
        let reader = Reader {
            system_schemas: if limited { Vec::new() } else { changed_system_schemas(client)? },
            plain_routines: true,
            plain_types: true,
            large_objects: large_objects(client)?,
            ..Reader::default()
        };
        let mut present = snapshot(client, &reader)?;
        // What an extension makes and gives is its own business.
        let of_extensions = schemas_of_extensions(client)?;
        let followers = std::mem::take(&mut present.followers);
        present.objects.retain(|object| match object.kind {
            Kind::Schema => !of_extensions.contains(&object.oid),
            Kind::Relation(_) => !followers.contains(&object.oid),
            _ => true,
        });
        present.objects.sort_by_cached_key(|object| (object.kind, object.schema.clone(), object.signature()));
        let mut source = Self {
            initial: initial(client, &mut present)?,
            valid_until: valid_until(client, &mut present)?,
            present,
            roles: Vec::new(),
            schemas: BTreeSet::new(),
            limited,
            grantees: HashSet::new(),
        };
        client.batch_execute("COMMIT")?;
        source.choose_schemas(schemas)?;
        source.choose_roles(notes);
        source.note_other_databases(notes);
        Ok(source)
    }

    /// Whether a privilege of this grantee is written. What is left out for a reason is noted with it.
    pub fn is_written(&self, grantee: RoleId, label: impl FnOnce() -> String, notes: &mut Notes) -> bool {
        if grantee == RoleId::PUBLIC || self.grantees.contains(&grantee) {
            return true;
        }
        let name = self.present.names.name(grantee);
        let reason = match self.present.roles.get(&grantee) {
            None => format!("role {name}, to which something is granted, does not exist any more"),
            Some(role) if role.oid == 10 => {
                format!("privileges of {name}, the first superuser, are not written, since it needs none")
            }
            Some(_) if is_like_public(name) => {
                format!("role \"{name}\" is not written, since a spec takes that name for everybody's")
            }
            Some(_) => return false,
        };
        if !self.limited {
            notes.add(reason, label());
        }
        false
    }

    /// Those of a kind's privileges that this server knows.
    pub fn known_here(&self, privileges: Privileges) -> Privileges {
        if self.present.session.version < 170_000 { privileges - Privileges::MAINTAIN } else { privileges }
    }

    /// What `grantee` holds on an object, or a column of it, since it was made; so that it is no matter of the spec.
    pub fn initial(&self, object: &Object, column: &str, grantee: RoleId) -> Option<&Vec<AclItem>> {
        let name = self.present.names.name(grantee);
        let of_system = grantee == RoleId::PUBLIC || name.starts_with("pg_");
        let key = (catalog_of(object.kind)?.to_owned(), object.oid, column.to_owned());
        self.initial.get(&key).filter(|_| of_system)
    }

    /// Whether an object is among what was asked for.
    pub fn covers(&self, object: &Object) -> bool {
        match (&object.schema, object.kind) {
            (Some(schema), _) => !self.limited || self.schemas.contains(&**schema),
            (None, Kind::Schema) => !self.limited || self.schemas.contains(&object.name),
            (None, Kind::Database) => object.name == self.present.session.database,
            (None, _) => true,
        }
    }

    fn note_other_databases(&self, notes: &mut Notes) {
        let is_other = |object: &&Object| {
            let of_system = matches!(object.name.as_str(), "template0" | "template1");
            object.kind == Kind::Database && object.acl.is_some() && !of_system && !self.covers(object)
        };
        for database in self.present.objects.iter().filter(is_other).filter(|_| !self.limited) {
            notes.add("privileges on other databases, which are exported from there", &database.name);
        }
    }

    fn choose_schemas(&mut self, wanted: &[String]) -> Result<(), Error> {
        let schemas = self.present.objects.iter().filter(|object| object.kind == Kind::Schema);
        let names: BTreeSet<String> =
            schemas.map(|object| object.name.clone()).filter(|name| !is_system(name)).collect();
        if !self.limited {
            self.schemas = names;
            return Ok(());
        }
        for text in wanted {
            let pattern = Pattern::new(text.as_str());
            let matching: Vec<String> = names.iter().filter(|name| pattern.matches(name)).cloned().collect();
            if matching.is_empty() {
                let message = match &pattern {
                    Pattern::Wild(form) => format!("no schema is called like \"{form}\""),
                    Pattern::Literal(name) if is_system(name) => format!("\"{name}\" belongs to the system"),
                    Pattern::Literal(name) => format!("schema \"{name}\" does not exist"),
                };
                let database = &self.present.session.database;
                return Err(Error::mismatch(
                    message,
                    format!("look for it with psql's \\dn in database \"{database}\""),
                ));
            }
            self.schemas.extend(matching);
        }
        Ok(())
    }

    fn choose_roles(&mut self, notes: &mut Notes) {
        let providers = OF_PROVIDERS.map(Pattern::new);
        let of_system = |name: &str, oid: u32| {
            oid == 10 || name.starts_with("pg_") || providers.iter().any(|pattern| pattern.matches(name))
        };
        let concerned = self.limited.then(|| self.concerned());
        let names = &self.present.names;
        for (id, role) in &self.present.roles {
            let name = names.name(*id);
            if concerned.as_ref().is_some_and(|concerned| !concerned.contains(id)) {
                continue;
            }
            if is_like_public(name) {
                self.is_written(*id, || "role".to_owned(), notes);
                continue;
            }
            if !of_system(name, role.oid) {
                self.roles.push(*id);
            }
            if role.oid != 10 {
                self.grantees.insert(*id);
            }
        }
        self.roles.sort_by_key(|id| names.name(*id));
    }

    /// Whoever owns, holds or gives something in the chosen schemas, and all their members.
    fn concerned(&self) -> HashSet<RoleId> {
        let mut found = HashSet::new();
        let inside = |object: &&Object| (object.schema.is_some() || object.kind == Kind::Schema) && self.covers(object);
        for object in self.present.objects.iter().filter(inside) {
            found.insert(object.owner);
            let columns = object.columns.iter().flat_map(|(_, acl)| acl);
            found.extend(object.acl.iter().flatten().chain(columns).map(|item| item.grantee));
        }
        for default in &self.present.defaults {
            if default.schema.as_ref().is_some_and(|schema| self.schemas.contains(schema)) {
                found.insert(default.creator);
                found.extend(default.acl.iter().map(|item| item.grantee));
            }
        }
        let mut open: Vec<RoleId> = found.iter().copied().collect();
        while let Some(group) = open.pop() {
            for edge in self.present.memberships.iter().filter(|edge| edge.role == group) {
                if found.insert(edge.member) {
                    open.push(edge.member);
                }
            }
        }
        found
    }
}

/// Whether a schema is the system's.
pub(super) fn is_system(schema: &str) -> bool {
    schema.starts_with("pg_") || schema == "information_schema"
}

fn is_like_public(role: &str) -> bool {
    role.eq_ignore_ascii_case("public")
}

/// Schemas of the system on whose objects somebody has granted or revoked something.
fn schemas_of_extensions(client: &mut Client) -> Result<HashSet<u32>, Error> {
    let sql = "SELECT objid FROM pg_depend WHERE classid = 'pg_namespace'::regclass AND deptype = 'e'";
    rows(client, sql)?.iter().map(|row| number(row, 0)).collect()
}

fn changed_system_schemas(client: &mut Client) -> Result<Vec<String>, Error> {
    let sql = "SELECT DISTINCT n.nspname FROM (
            SELECT relnamespace, 'pg_class'::regclass, oid, 0, relacl FROM pg_class
            UNION ALL SELECT relnamespace, 'pg_class'::regclass, c.oid, attnum, attacl FROM pg_attribute
                JOIN pg_class c ON c.oid = attrelid WHERE NOT attisdropped
            UNION ALL SELECT pronamespace, 'pg_proc'::regclass, oid, 0, proacl FROM pg_proc
            UNION ALL SELECT typnamespace, 'pg_type'::regclass, oid, 0, typacl FROM pg_type
            UNION ALL SELECT oid, 'pg_namespace'::regclass, oid, 0, nspacl FROM pg_namespace
        ) AS o (schema, class, oid, part, acl)
        JOIN pg_namespace n ON n.oid = o.schema
        LEFT JOIN pg_init_privs i ON i.classoid = o.class AND i.objoid = o.oid AND i.objsubid = o.part
        WHERE o.acl IS NOT NULL AND o.acl IS DISTINCT FROM i.initprivs
            AND (n.nspname ~ '^pg_' AND n.nspname !~ '^pg_(temp|toast)' OR n.nspname = 'information_schema'
                AND EXISTS (SELECT FROM aclexplode(o.acl) a WHERE a.grantee <> 10
                            AND NOT (a.grantee = 0 AND a.privilege_type IN ('SELECT', 'USAGE'))))";
    rows(client, sql)?.iter().map(|row| text(row, 0)).collect()
}

/// Large objects on which something was granted.
fn large_objects(client: &mut Client) -> Result<Vec<u32>, Error> {
    let rows = rows(client, "SELECT oid FROM pg_largeobject_metadata WHERE lomacl IS NOT NULL")?;
    Ok(rows.iter().filter_map(|row| row.get(0)?.parse().ok()).collect())
}

fn initial(client: &mut Client, present: &mut Present) -> Result<Initial, Error> {
    let sql = "SELECT classoid::regclass, objoid, attname, initprivs FROM pg_init_privs \
               LEFT JOIN pg_attribute ON classoid = 'pg_class'::regclass AND attrelid = objoid AND attnum = objsubid \
               AND objsubid > 0 WHERE objsubid = 0 OR attname IS NOT NULL";
    let mut initial = HashMap::new();
    for row in rows(client, sql)? {
        let oid = row.get(1).and_then(|oid| oid.parse().ok()).unwrap_or_default();
        let acl = parse_acl(&text(&row, 3)?, &mut present.names).unwrap_or_default();
        initial.insert((text(&row, 0)?, oid, row.get(2).unwrap_or_default().to_owned()), acl);
    }
    // The information schema comes after the system has noted what is initial.
    let of_schema = |object: &&Object| object.schema.as_deref().unwrap_or(&object.name) == "information_schema";
    for object in present.objects.iter().filter(of_schema) {
        let (Some(acl), Some(catalog)) = (&object.acl, catalog_of(object.kind)) else { continue };
        let to_all = acl.iter().filter(|item| item.grantee == RoleId::PUBLIC);
        let read = |item: &AclItem| item.privileges & (Privileges::SELECT | Privileges::USAGE);
        let items = to_all.map(|item| AclItem { privileges: read(item), ..*item }).collect();
        initial.entry((catalog.to_owned(), object.oid, String::new())).or_insert(items);
    }
    Ok(initial)
}

fn valid_until(client: &mut Client, present: &mut Present) -> Result<HashMap<RoleId, String>, Error> {
    let sql = "SELECT rolname, rolvaliduntil FROM pg_roles WHERE rolvaliduntil < 'infinity'";
    let mut times = HashMap::new();
    for row in rows(client, sql)? {
        let time = text(&row, 1)?;
        let iso = time.strip_suffix("+00").map(|time| format!("{}Z", time.replace(' ', "T")));
        times.insert(present.names.id(&text(&row, 0)?), iso.unwrap_or(time));
    }
    Ok(times)
}

fn catalog_of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Schema => Some("pg_namespace"),
        Kind::Relation(_) | Kind::Sequence => Some("pg_class"),
        Kind::Routine(_) => Some("pg_proc"),
        Kind::Type => Some("pg_type"),
        Kind::Language => Some("pg_language"),
        Kind::ForeignDataWrapper => Some("pg_foreign_data_wrapper"),
        Kind::ForeignServer => Some("pg_foreign_server"),
        _ => None,
    }
}
