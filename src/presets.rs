//! Columns that are set on writing: a trigger per table.
//!
//! The trigger only makes it easy for the writer; that a row has the preset values is required by the policies, so that
//! one who disables a trigger, or adds another, gains nothing.

use crate::error::Error;
use crate::tables::name_of;
use crate::{query, roles};
use pgrx::prelude::*;
use policy::filter::{Preset, Table};
use policy::preset_trigger::{self, Setting};
use policy::sql::{identifier, literal};

/// Reads the text of a preset for `table`.
pub fn read(table: &Table, preset: &str) -> Result<Preset, Error> {
    let fault = |_| policy::filter::Error { path: "$".into(), fault: policy::filter::Fault::TooDeep, hint: None };
    let result = serde_json::from_str(preset).map_err(fault).and_then(|json| Preset::read(table, &json));
    result.map_err(|error| Error::Preset { table: table.name.clone(), error: Box::new(error) })
}

/// Reads a preset that somebody wants to use.
pub fn check(target: pg_sys::Oid, table: &Table, preset: &str) -> Result<(), Error> {
    for (column, _) in read(table, preset)?.values() {
        let generated =
            "SELECT attgenerated <> '' FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attname = $2::name";
        if query::one::<bool>(generated, &[target.into(), column.into()])? == Some(true) {
            let (table, column, problem) = (table.name.clone(), column.to_owned(), "is generated");
            return Err(Error::Columns { what: "preset", table, column, problem });
        }
    }
    Ok(())
}

/// Makes the trigger of a table, and of those of its partitions and children that have its rules, set what the
/// permissions say, and keep the ACLs in the column `acl`. A partition has the trigger from its parent.
pub fn apply(target: pg_sys::Oid, table: &Table, acl: Option<&str>, children: &[pg_sys::Oid]) -> Result<(), Error> {
    let own = function_of(target)?;
    let body = body(target, table, acl)?;
    let own = match (body, own) {
        (None, None) => None,
        (None, Some(own)) => {
            drop_function(target, &own)?;
            None
        }
        (Some(body), own) => {
            let own = own.map_or_else(|| new_function(target), Ok)?;
            let present = "SELECT prosrc FROM pg_catalog.pg_proc WHERE proname = $1::name
                              AND pronamespace = 'rolecall_triggers'::pg_catalog.regnamespace";
            if query::one::<String>(present, &[own.as_str().into()])?.as_ref() != Some(&body) {
                create_function(&own, &body, &table.name)?;
            }
            Some(own)
        }
    };
    for on in [target].iter().chain(children) {
        if *on == target || !is_partition(*on)? {
            place(*on, own.as_deref())?;
        }
    }
    Ok(())
}

/// Removes a table's trigger, from its partitions and children too.
pub fn remove(target: pg_sys::Oid) -> Result<(), Error> {
    if let Some(own) = function_of(target)? {
        drop_function(target, &own)?;
    }
    // What was once a child may have that of its parent.
    place(target, None)
}

/// Gives a table this trigger of rolecall's and no other one.
fn place(on: pg_sys::Oid, wanted: Option<&str>) -> Result<(), Error> {
    let present = Spi::connect(|client| {
        let query = "SELECT t.tgname::pg_catalog.text FROM pg_catalog.pg_trigger t
                       JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
                      WHERE t.tgrelid = $1 AND t.tgparentid = 0
                        AND p.pronamespace = 'rolecall_triggers'::pg_catalog.regnamespace";
        let mut present = Vec::new();
        for row in client.select(query, None, &[on.into()])? {
            present.extend(row.get::<String>(1)?);
        }
        Ok::<_, Error>(present)
    })?;
    let name = name_of(on)?;
    for trigger in present.iter().filter(|trigger| wanted != Some(trigger.as_str())) {
        Spi::run(&format!("DROP TRIGGER {} ON {name}", identifier(trigger)))?;
    }
    if let Some(wanted) = wanted
        && !present.iter().any(|trigger| trigger == wanted)
    {
        let trigger = identifier(wanted);
        Spi::run(&format!(
            "CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {name}
                FOR EACH ROW EXECUTE FUNCTION rolecall_triggers.{trigger}()"
        ))?;
    }
    Ok(())
}

/// What the trigger is to do, where it is to do anything.
fn body(target: pg_sys::Oid, table: &Table, acl: Option<&str>) -> Result<Option<String>, Error> {
    let (mut insert, mut update) = (Vec::new(), Vec::new());
    Spi::connect(|client| {
        let query = "SELECT action, role, preset::pg_catalog.text FROM rolecall.permissions
                      WHERE target = $1 AND action IN ('insert', 'update') ORDER BY role";
        for row in client.select(query, None, &[target.into()])? {
            let mut setting = Setting { role: row.get(2)?.unwrap_or_default(), ..Setting::default() };
            if let Some(preset) = row.get::<String>(3)? {
                let preset = read(table, &preset)?;
                setting.values = preset.values().map(|(column, value)| (column.to_owned(), value)).collect();
            }
            let permissions =
                if row.get::<String>(1)?.as_deref() == Some("insert") { &mut insert } else { &mut update };
            permissions.push(setting);
        }
        Ok::<_, Error>(())
    })?;
    Ok(preset_trigger::body(&insert, &update, acl))
}

/// The function of a table's trigger, and the trigger's name.
fn function_of(target: pg_sys::Oid) -> Result<Option<String>, Error> {
    let query = "SELECT preset_trigger::pg_catalog.text FROM rolecall.protected_tables WHERE target = $1";
    query::one::<String>(query, &[target.into()])
}

/// Finds a name for a table's function and notes it: that of the table, so that one can tell whose it is.
fn new_function(target: pg_sys::Oid) -> Result<String, Error> {
    let name = "
        SELECT min(name) FROM (
            SELECT pg_catalog.left('rolecall_preset_' || c.relname, 50)
                   || CASE WHEN n > 1 THEN pg_catalog.format('_%s', n) ELSE '' END AS name, n
              FROM pg_catalog.pg_class c, pg_catalog.generate_series(1, 1000) n WHERE c.oid = $1) q
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.proname = q.name
                              AND p.pronamespace = 'rolecall_triggers'::pg_catalog.regnamespace)
         GROUP BY n ORDER BY n LIMIT 1";
    let name = query::one::<String>(name, &[target.into()])?;
    let name = name.ok_or(Error::State("there are too many tables of that name", "Rename the table."))?;
    let note = "UPDATE rolecall.protected_tables SET preset_trigger = $2 WHERE target = $1";
    roles::run(note, &[target.into(), name.as_str().into()])?;
    Ok(name)
}

fn create_function(name: &str, body: &str, table: &str) -> Result<(), Error> {
    let (function, body) = (identifier(name), literal(body));
    Spi::run(&format!(
        "CREATE OR REPLACE FUNCTION rolecall_triggers.{function}() RETURNS trigger
            LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS {body}"
    ))?;
    let comment =
        literal(&format!("Sets the columns of {table} that permissions preset, and ACLs that nobody is locked out by"));
    Ok(Spi::run(&format!("COMMENT ON FUNCTION rolecall_triggers.{function}() IS {comment}"))?)
}

/// Drops a table's function and with it the triggers.
fn drop_function(target: pg_sys::Oid, name: &str) -> Result<(), Error> {
    Spi::run(&format!("DROP FUNCTION IF EXISTS rolecall_triggers.{}() CASCADE", identifier(name)))?;
    let forget = "UPDATE rolecall.protected_tables SET preset_trigger = NULL WHERE target = $1";
    roles::run(forget, &[target.into()]).map(|_| ())
}

fn is_partition(table: pg_sys::Oid) -> Result<bool, Error> {
    let query = "SELECT relispartition FROM pg_catalog.pg_class WHERE oid = $1";
    Ok(query::one::<bool>(query, &[table.into()])? == Some(true))
}
