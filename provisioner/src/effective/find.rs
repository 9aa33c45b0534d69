//! The role and the object that a person's words mean.

use crate::catalog::{Object, Present, Reader, RoleId, rows};
use crate::error::Error;
use policy::spec::{Kind, Reference};
use policy::sql::{identifier, literal};
use postgres::Client;

/// An object that was asked about.
pub struct Found {
    /// Its place among the objects.
    pub object: usize,
    /// The column, if it is about one.
    pub column: Option<String>,
    /// Whether it is a server setting that anybody may set.
    pub free: bool,
}

/// What must be read to answer a question: everything, and of the system's own only what was named.
pub fn reader(reference: Option<&Reference>) -> Reader<'static> {
    let schema = reference.and_then(|reference| reference.schema.as_ref()).map(|schema| schema.as_str());
    let names_schema = reference.is_some_and(|reference| matches!(reference.kind, None | Some(Kind::Schema)));
    let name = reference.map(|reference| reference.name.as_str());
    let schemas = [schema, name.filter(|_| names_schema)].into_iter().flatten();
    let system = schemas.filter(|name| name.starts_with("pg_") || *name == "information_schema");
    let number = name.filter(|_| reference.is_some_and(|reference| reference.kind == Some(Kind::LargeObject)));
    Reader {
        system_schemas: system.map(str::to_owned).collect(),
        plain_routines: true,
        plain_types: true,
        large_objects: number.and_then(|number| number.parse().ok()).into_iter().collect(),
        ..Reader::default()
    }
}

/// The role called `name`; PUBLIC is one.
///
/// # Errors
/// There is none; the nearest name is told.
pub fn role(present: &Present, name: &str) -> Result<RoleId, Error> {
    if let Some(role) = present.names.find(name).filter(|role| present.roles.contains_key(role)) {
        return Ok(role);
    }
    if name.eq_ignore_ascii_case("public") {
        return Ok(RoleId::PUBLIC);
    }
    let names = present.roles.keys().map(|role| present.names.name(*role).to_owned());
    Err(unknown(format!("role \"{name}\" does not exist"), name, names, "psql's \\du lists the roles"))
}

/// The object that `reference` means.
///
/// # Errors
/// There is none, with the nearest name; several, with their names; and whatever the server says.
pub fn find(client: &mut Client, present: &mut Present, reference: &Reference) -> Result<Found, Error> {
    if reference.kind == Some(Kind::Parameter) {
        return parameter(client, present, reference.name.as_str());
    }
    let mut candidates: Vec<usize> =
        (0..present.objects.len()).filter(|number| is_meant(&present.objects[*number], reference)).collect();
    if reference.kind.is_none() && reference.schema.is_none() && candidates.len() > 1 {
        // A bare name is a schema's before it is a database's.
        candidates.retain(|number| present.objects[*number].kind == Kind::Schema);
    }
    if let Some(arguments) = &reference.arguments {
        candidates = overload(client, present, &candidates, arguments)?;
    }
    match candidates.as_slice() {
        [object] => {
            let column = reference.column.clone();
            if let Some(column) = &column {
                check_column(client, &present.objects[*object], column)?;
            }
            Ok(Found { object: *object, column, free: false })
        }
        [] => Err(nothing(present, reference)),
        several => {
            let labels = several.iter().map(|number| full_label(&present.objects[*number]));
            let labels: Vec<String> = labels.map(|label| format!("\"{label}\"")).collect();
            let message = format!("{} could be {}", written(reference), labels.join(" or "));
            Err(Error::mismatch(message, "say which one"))
        }
    }
}

fn is_meant(object: &Object, reference: &Reference) -> bool {
    let name = reference.name.as_str();
    let of_kind = match reference.kind {
        Some(kind) => kind.covers(object.kind),
        None if reference.schema.is_some() || reference.arguments.is_some() => object.kind.lies_in_schema(),
        None => matches!(object.kind, Kind::Schema | Kind::Database),
    };
    let in_schema = reference.schema.as_ref().is_none_or(|schema| object.schema.as_deref() == Some(schema.as_str()));
    let with_arguments = reference.arguments.is_none() || matches!(object.kind, Kind::Routine(_));
    of_kind && in_schema && with_arguments && object.name == name
}

/// Of several routines of a name the one with these argument types, which only the server can read.
fn overload(
    client: &mut Client,
    present: &Present,
    candidates: &[usize],
    arguments: &str,
) -> Result<Vec<usize>, Error> {
    let signature = |object: &Object| {
        let schema = object.schema.as_deref().unwrap_or_default();
        literal(&format!("{}.{}({arguments})", identifier(schema), identifier(&object.name)))
    };
    let mut fitting = Vec::new();
    for number in candidates {
        let object = &present.objects[*number];
        let row = rows(client, &format!("SELECT to_regprocedure({})::oid", signature(object)))?;
        let oid = row.first().and_then(|row| row.get(0)).and_then(|oid| oid.parse().ok());
        if oid == Some(object.oid) {
            fitting.push(*number);
        }
    }
    Ok(fitting)
}

fn parameter(client: &mut Client, present: &mut Present, name: &str) -> Result<Found, Error> {
    if present.session.version < 150_000 {
        let message =
            format!("privileges on parameters exist from PostgreSQL 15 on, not in {}", present.session.version_text);
        return Err(Error::mismatch(message, "without them only a superuser may set what is not everybody's to set"));
    }
    let named = |object: &Object| object.kind == Kind::Parameter && object.name.eq_ignore_ascii_case(name);
    let mut settings = Vec::new();
    for row in rows(client, "SELECT name, context FROM pg_settings")? {
        settings.push((row.get(0).unwrap_or_default().to_owned(), row.get(1).unwrap_or_default().to_owned()));
    }
    let setting = settings.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let free = setting.is_some_and(|(_, context)| context == "user");
    let object = match (present.objects.iter().position(named), setting) {
        (Some(object), _) => object,
        (None, Some((name, _))) => {
            // Without privileges of its own the catalogs know nothing of it.
            present.objects.push(Object {
                kind: Kind::Parameter,
                oid: 0,
                schema: None,
                name: name.clone(),
                reference: identifier(name),
                owner: present.bootstrap_superuser(),
                acl: Some(Vec::new()),
                columns: Vec::new(),
                planned: false,
                was_of: None,
            });
            present.objects.len() - 1
        }
        (None, None) => {
            let names = settings.into_iter().map(|(name, _)| name);
            let message = format!("parameter \"{name}\" does not exist");
            return Err(unknown(message, name, names, "psql's \\dconfig lists those that there are"));
        }
    };
    Ok(Found { object, column: None, free })
}

fn check_column(client: &mut Client, table: &Object, column: &str) -> Result<(), Error> {
    let sql =
        format!("SELECT attname FROM pg_attribute WHERE attrelid = {} AND attnum > 0 AND NOT attisdropped", table.oid);
    let columns = rows(client, &sql)?;
    let mut names = columns.iter().filter_map(|row| row.get(0)).map(str::to_owned);
    if names.clone().any(|name| name == column) {
        return Ok(());
    }
    let message = format!("{} has no column \"{column}\"", table.label());
    Err(unknown(message, column, &mut names, "psql's \\d lists the columns"))
}

fn nothing(present: &Present, reference: &Reference) -> Error {
    let (schema, name) = (reference.schema.as_ref().map(|schema| schema.as_str()), reference.name.as_str());
    let message = format!("{} does not exist", written(reference));
    if let Some(schema) = schema.filter(|schema| !has_schema(present, schema)) {
        let schemas = present.objects.iter().filter(|object| object.kind == Kind::Schema);
        let message = format!("{message}: there is no schema \"{schema}\"");
        return unknown(message, schema, schemas.map(|object| object.name.clone()), "psql's \\dn lists the schemas");
    }
    // The right name with the wrong word before it, or with none?
    let otherwise =
        |object: &&Object| object.name == name && schema.is_none_or(|schema| object.schema.as_deref() == Some(schema));
    let others: Vec<String> = present.objects.iter().filter(otherwise).take(3).map(full_label).collect();
    if !others.is_empty() {
        return Error::mismatch(message, format!("there is {}", others.join(", ")));
    }
    let alike = |object: &&Object| match (reference.kind, schema) {
        (Some(kind), None) => kind.broad() == object.kind.broad(),
        (_, Some(schema)) => object.schema.as_deref() == Some(schema),
        (None, None) => matches!(object.kind, Kind::Schema | Kind::Database),
    };
    // Told with its schema, compared with what was written.
    let names = present.objects.iter().filter(alike).map(|object| match (schema, object.kind) {
        (Some(schema), _) => format!("{schema}.{}", object.name),
        (None, _) => object.name.clone(),
    });
    let wanted = schema.map_or(name.to_owned(), |schema| format!("{schema}.{name}"));
    unknown(message, &wanted, names, "psql's \\d lists relations, \\df functions, \\dn schemas, \\l databases")
}

fn has_schema(present: &Present, name: &str) -> bool {
    present.objects.iter().any(|object| object.kind == Kind::Schema && object.name == name)
}

/// An object with the word of its kind: "table shop.orders".
pub fn full_label(object: &Object) -> String {
    format!("{} {}", object.kind.word().replace('_', " "), object.label())
}

fn written(reference: &Reference) -> String {
    let kind = reference.kind.map_or(String::new(), |kind| kind.word().replace('_', " ") + " ");
    let schema = reference.schema.as_ref().map_or(String::new(), |schema| format!("{}.", schema.as_str()));
    let arguments = reference.arguments.as_ref().map_or(String::new(), |arguments| format!("({arguments})"));
    format!("{kind}\"{schema}{}{arguments}\"", reference.name.as_str())
}

fn unknown(message: String, name: &str, known: impl Iterator<Item = String>, otherwise: &str) -> Error {
    let distance = |known: &String| strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
    let nearest = known.map(|known| (distance(&known), known)).min();
    match nearest.filter(|(distance, known)| *distance <= 2.max(known.chars().count() / 3)) {
        Some((_, nearest)) => Error::mismatch(message, format!("did you mean \"{nearest}\"?")),
        None => Error::mismatch(message, otherwise),
    }
}
