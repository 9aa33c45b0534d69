//! What a role may do with which rows.

use crate::administrators::require_administrator;
use crate::backend::catalog::{Key, Table};
use crate::backend::jsonb;
use crate::error::{Error, Reported, required};
use crate::tables::{self, Tables};
use crate::{acls, filters, policies, presets, query, relation_views, relations, roles};
use pgrx::prelude::*;
use std::collections::BTreeSet;
use std::ffi::CStr;

/// The actions a permission can be about, each with a policy of its own.
pub const ACTIONS: [&str; 4] = ["select", "insert", "update", "delete"];

/// Those of them that write a row.
const WRITING: [&str; 2] = ["insert", "update"];

/// Row-level security on, for the owner too; nothing is allowed until it is said.
#[pg_extern(sql = false)]
fn protect(target: Option<pg_sys::Oid>, acl_column: Option<&CStr>) -> Reported<()> {
    require_administrator("protect()")?;
    let acl_column = acl_column.map(CStr::to_string_lossy);
    Ok(enable(required(target, "target")?, acl_column.as_deref())?)
}

/// Protects a table, if it is not yet, by ACLs too where their column is named.
pub fn enable(target: pg_sys::Oid, acl_column: Option<&str>) -> Result<(), Error> {
    must_be_protectable(target)?;
    Spi::run_with_args(
        "INSERT INTO rolecall.protected_tables (target, called) VALUES ($1, $1::pg_catalog.regclass) ON CONFLICT DO NOTHING",
        &[target.into()],
    )?;
    lock(target)?;
    if let Some(column) = acl_column {
        acls::set_column(target, column)?;
    }
    policies::enable(target)
}

/// Removes rolecall's policies and permissions and turns row-level security off.
#[pg_extern(sql = false)]
fn unprotect(target: Option<pg_sys::Oid>) -> Reported<()> {
    require_administrator("unprotect()")?;
    let target = required(target, "target")?;
    // A partition that was detached has the rules it had, until it is said otherwise.
    if !policies::is_left_over(target)? {
        lock(target)?;
    }
    policies::disable(target)?;
    roles::run("DELETE FROM rolecall.protected_tables WHERE target = $1", &[target.into()])?;
    Ok(policies::inherit(target)?)
}

/// What a permission says besides whose, on what and for what it is.
#[derive(Default)]
struct Terms {
    filter: String,
    columns: Option<Vec<String>>,
    new_row: Option<String>,
    preset: Option<String>,
}

/// Lets `role` do `action` with the rows that match `filter`, instead of what was allowed before.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn allow(
    role: Option<&str>,
    target: Option<pg_sys::Oid>,
    action: Option<&str>,
    filter: Option<pgrx::AnyElement>,
    columns: Option<Vec<Option<String>>>,
    new_row: Option<pgrx::AnyElement>,
    preset: Option<pgrx::AnyElement>,
) -> Reported<()> {
    require_administrator("allow()")?;
    let role = required(role, "role")?;
    let target = required(target, "target")?;
    let actions = actions(required(action, "action")?)?;
    let terms = Terms {
        filter: jsonb::text(required(filter, "filter")?),
        columns: columns.map(|it| it.into_iter().map(|column| required(column, "a column")).collect()).transpose()?,
        new_row: new_row.map(jsonb::text),
        preset: preset.map(jsonb::text),
    };
    for (what, given) in [("new_row", &terms.new_row), ("preset", &terms.preset)] {
        if given.is_some() && !actions.iter().any(|action| WRITING.contains(action)) {
            let problem = "is about what is written: it goes with insert, update and all";
            return Err(Error::BadArgument { what, value: "(jsonb)".into(), problem }.into());
        }
    }
    if terms.columns.is_some() && actions == ["delete"] {
        let problem = "goes with select, insert, update and all: a row is deleted as a whole";
        return Err(Error::BadArgument { what: "columns", value: "(text[])".into(), problem }.into());
    }
    roles::must_exist(role)?;
    lock(target)?;
    let tables = Tables::default();
    let table = tables.get(target)?;
    for filter in [Some(&terms.filter), terms.new_row.as_ref()].into_iter().flatten() {
        let filter = filters::read(&tables, target, filter)?;
        if !filter.relations().is_empty() {
            relation_views::lock()?;
            relations::remember(&filter)?;
        }
    }
    if let Some(columns) = &terms.columns {
        check_columns(&table, columns)?;
    }
    if let Some(preset) = &terms.preset {
        presets::check(target, &table, preset)?;
    }
    permit(role, target, actions, &terms)?;
    Ok(policies::recompile(target)?)
}

/// Lets `role` do `actions` with the rows that match a filter that needs no check. The caller recompiles.
pub fn permit_rows(role: &str, target: pg_sys::Oid, actions: &[&str], filter: &str) -> Result<(), Error> {
    permit(role, target, actions, &Terms { filter: filter.into(), ..Terms::default() })
}

/// Whether a list of columns names some of the table's, each once.
fn check_columns(table: &policy::filter::Table, columns: &[String]) -> Result<(), Error> {
    if columns.is_empty() {
        let problem = "names none; leave it out where there is no limit";
        return Err(Error::BadArgument { what: "columns", value: "{}".into(), problem });
    }
    for (at, column) in columns.iter().enumerate() {
        let problem = if !table.columns.iter().any(|known| known.name == *column) {
            "does not exist"
        } else if columns[..at].contains(column) {
            "is named twice"
        } else {
            continue;
        };
        return Err(Error::Columns { what: "columns", table: table.name.clone(), column: column.clone(), problem });
    }
    Ok(())
}

fn permit(role: &str, target: pg_sys::Oid, actions: &[&str], terms: &Terms) -> Result<(), Error> {
    for action in actions {
        let writes = WRITING.contains(action);
        Spi::run_with_args(
            "INSERT INTO rolecall.permissions (role, target, action, filter, columns, new_row, preset)
             VALUES ($1, $2, $3, $4::pg_catalog.jsonb, $5, $6::pg_catalog.jsonb, $7::pg_catalog.jsonb)
             ON CONFLICT (target, action, role) DO UPDATE SET filter = excluded.filter, columns = excluded.columns,
                    new_row = excluded.new_row, preset = excluded.preset",
            &[
                role.into(),
                target.into(),
                (*action).into(),
                terms.filter.as_str().into(),
                terms.columns.clone().filter(|_| *action != "delete").into(),
                terms.new_row.as_deref().filter(|_| writes).into(),
                terms.preset.as_deref().filter(|_| writes).into(),
            ],
        )?;
    }
    Ok(())
}

/// Does what changes or removes the name of a role, in the policies too. The caller has locked the role.
pub fn follow<T>(role: &str, change: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // Read fresh: a permission that an older snapshot does not show goes as well, and its policy must not stay.
    let mut targets = BTreeSet::new();
    Table::open(c"permissions")?.scan(c"permissions_role", Some(Key::Text(role)), |row| {
        targets.extend(row.get::<pg_sys::Oid>(c"target").map(pg_sys::Oid::to_u32));
    })?;
    let targets: Vec<_> = targets.into_iter().map(pg_sys::Oid::from).collect();
    for target in &targets {
        lock(*target)?;
    }
    let result = change()?;
    for target in targets {
        policies::recompile(target)?;
    }
    Ok(result)
}

/// Takes a permission back.
#[pg_extern(sql = false)]
fn disallow(role: Option<&str>, target: Option<pg_sys::Oid>, action: Option<&str>) -> Reported<()> {
    require_administrator("disallow()")?;
    let role = required(role, "role")?;
    let target = required(target, "target")?;
    let actions = actions(required(action, "action")?)?;
    roles::must_exist(role)?;
    lock(target)?;
    for action in actions {
        Spi::run_with_args(
            "DELETE FROM rolecall.permissions WHERE role = $1 AND target = $2 AND action = $3",
            &[role.into(), target.into(), (*action).into()],
        )
        .map_err(Error::from)?;
    }
    Ok(policies::recompile(target)?)
}

fn actions(action: &str) -> Result<&'static [&'static str], Error> {
    if action == "all" {
        return Ok(&ACTIONS);
    }
    let position = ACTIONS.iter().position(|known| *known == action);
    position.map(|at| &ACTIONS[at..=at]).ok_or_else(|| Error::BadArgument {
        what: "action",
        value: action.into(),
        problem: "is none of select, insert, update, delete, all",
    })
}

/// Keeps others from changing the table's permissions until the transaction ends. An update, not a row lock, so that
/// an administrator whose snapshot is older than another's change fails instead of compiling that change away.
pub fn lock(target: pg_sys::Oid) -> Result<(), Error> {
    let found = Spi::connect_mut(|client| {
        let query = "UPDATE rolecall.protected_tables SET target = target WHERE target = $1";
        client.update(query, None, &[target.into()]).map(|rows| rows.len())
    })?;
    if found > 0 { Ok(()) } else { Err(Error::NotProtected { table: tables::name_of(target)? }) }
}

/// Whether a table is protected.
pub fn is_protected(target: pg_sys::Oid) -> Result<bool, Error> {
    let query = "SELECT true FROM rolecall.protected_tables WHERE target = $1";
    Ok(query::one::<bool>(query, &[target.into()])?.is_some())
}

fn must_be_protectable(target: pg_sys::Oid) -> Result<(), Error> {
    let table = tables::name_of(target)?;
    let problem = query::one::<String>(
        "SELECT CASE WHEN c.relkind NOT IN ('r', 'p') THEN 'kind'
                     WHEN c.relpersistence = 't' THEN 'temporary'
                     WHEN n.nspname IN ('pg_catalog', 'pg_toast', 'information_schema', 'rolecall') THEN 'system'
                     ELSE '' END
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE c.oid = $1",
        &[target.into()],
    )?;
    let problem = match problem.as_deref() {
        Some("") => return Ok(()),
        Some("kind") => "it is no table",
        Some("temporary") => "it is temporary",
        _ => "it belongs to the system or to rolecall",
    };
    Err(Error::Unprotectable { table, problem })
}
