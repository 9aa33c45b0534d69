//! Relations between tables, and which table holds the users.

use crate::administrators::require_administrator;
use crate::error::{Error, Reported, required};
use crate::tables::{Tables, name_of};
use crate::{permissions, policies, query, relation_views, roles};
use pgrx::prelude::*;
use policy::filter::{Filter, Relation, Step};
use std::ffi::CStr;

/// Names a relation; one of that name is replaced, in the rules that use it too.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)] // the contract's
fn relate(
    target: Option<pg_sys::Oid>,
    name: Option<&str>,
    other: Option<pg_sys::Oid>,
    columns: Option<Vec<Option<String>>>,
    other_columns: Option<Vec<Option<String>>>,
    through: Option<pg_sys::Oid>,
    through_columns: Option<Vec<Option<String>>>,
    through_other_columns: Option<Vec<Option<String>>>,
) -> Reported<()> {
    require_administrator("relate()")?;
    let target = required(target, "target")?;
    let name = required(name, "name")?;
    let other = required(other, "other")?;
    let columns = names(required(columns, "columns")?, "columns")?;
    let other_columns = names(required(other_columns, "other_columns")?, "other_columns")?;
    let through = match through {
        None if through_columns.is_some() || through_other_columns.is_some() => {
            return Err(wrong("through", "NULL", "must be the table whose columns are given").into());
        }
        None => None,
        Some(through) => {
            let near = names(required(through_columns, "through_columns")?, "through_columns")?;
            let far = names(required(through_other_columns, "through_other_columns")?, "through_other_columns")?;
            Some((through, near, far))
        }
    };
    for table in [Some(target), Some(other), through.as_ref().map(|(through, ..)| *through)].into_iter().flatten() {
        must_be_table(table)?;
    }
    let tables = Tables::default();
    let (from, to) = (tables.get(target)?, tables.get(other)?);
    if ["", "AND", "OR", "NOT", "is_self", "not_self"].contains(&name) {
        return Err(wrong("name", name, "means something else in filters").into());
    }
    if from.column(name).is_some() {
        return Err(wrong("name", name, "is the name of a column").into());
    }
    let step = |from: &_, to: &policy::filter::Table, left: &[String], right: &[String]| {
        let pairs: Vec<_> = left.iter().cloned().zip(right.iter().cloned()).collect();
        (left.len() == right.len() && Step::new(from, to, &pairs).is_some())
            .then_some(pairs)
            .ok_or_else(|| wrong("columns", &left.join(", "), "cannot be compared, column by column, with the others"))
    };
    let relation = match &through {
        None => Relation {
            name: name.into(),
            many: !is_unique(other, &other_columns)?,
            other: other.to_u32(),
            columns: step(&from, &to, &columns, &other_columns)?,
            through: None,
        },
        Some((through, near, far)) => {
            let join = tables.get(*through)?;
            Relation {
                name: name.into(),
                many: true,
                other: other.to_u32(),
                columns: step(&from, &join, &columns, near)?,
                through: Some((through.to_u32(), step(&join, &to, far, &other_columns)?)),
            }
        }
    };
    relation_views::lock()?;
    roles::run("DELETE FROM rolecall.relations WHERE target = $1 AND name = $2", &[target.into(), name.into()])?;
    write(target.to_u32(), &relation, false)?;
    Ok(recompile_those_with(name)?)
}

/// Says that a table holds the users, and in which column their ids are.
#[pg_extern(sql = false)]
fn users_table(target: Option<pg_sys::Oid>, id_column: Option<&CStr>) -> Reported<()> {
    require_administrator("users_table()")?;
    let target = required(target, "target")?;
    let id_column = &*required(id_column, "id_column")?.to_string_lossy();
    Ok(name_users_table(target, id_column)?)
}

/// The same without asking who calls.
pub fn name_users_table(target: pg_sys::Oid, id_column: &str) -> Result<(), Error> {
    must_be_table(target)?;
    let tables = Tables::default();
    let table = tables.get(target)?;
    if table.column(id_column).is_none() {
        return Err(wrong("id_column", id_column, "is no column of the table"));
    }
    let json = serde_json::json!({ id_column: {"equals": "__loggedInUserId"} });
    let related = |id| tables.related(id);
    if Filter::read(&table, &related, &json).is_err() {
        return Err(wrong("id_column", id_column, "is of a type that no user's id can be compared with"));
    }
    relation_views::lock()?;
    roles::run(
        "INSERT INTO rolecall.users_tables (target, id_column) VALUES ($1, $2)
         ON CONFLICT (target) DO UPDATE SET id_column = excluded.id_column",
        &[target.into(), id_column.into()],
    )?;
    recompile_those_with("_self")
}

fn wrong(what: &'static str, value: &str, problem: &'static str) -> Error {
    Error::BadArgument { what, value: value.into(), problem }
}

fn names(list: Vec<Option<String>>, what: &'static str) -> Result<Vec<String>, Error> {
    let names: Option<Vec<_>> = list.into_iter().collect();
    names.filter(|names| !names.is_empty()).ok_or_else(|| wrong(what, "", "must name columns"))
}

/// Views and foreign tables are read with other privileges than one would think, and rolecall's own tables are nobody's.
fn must_be_table(table: pg_sys::Oid) -> Result<(), Error> {
    let query = "SELECT c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
                    AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema', 'rolecall')
                   FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1";
    match query::one::<bool>(query, &[table.into()])? {
        Some(true) => Ok(()),
        _ => Err(Error::BadArgument { what: "table", value: name_of(table)?, problem: "is no lasting table of yours" }),
    }
}

fn is_unique(table: pg_sys::Oid, columns: &[String]) -> Result<bool, Error> {
    let query = "SELECT EXISTS (
        SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indpred IS NULL
           AND NOT EXISTS (SELECT FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) k
                             LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k]
                            WHERE (a.attname::text = ANY ($2)) IS NOT TRUE))";
    Ok(query::one::<bool>(query, &[table.into(), columns.to_vec().into()])? == Some(true))
}

/// Writes down the relations that foreign keys showed, so that a rule keeps its meaning whatever becomes of these. The
/// caller has locked [`relation_views::lock`].
pub fn remember(filter: &Filter) -> Result<(), Error> {
    filter.relations().into_iter().try_for_each(|(of, relation)| write(of, relation, true))
}

fn write(target: u32, relation: &Relation, found: bool) -> Result<(), Error> {
    let (left, right): (Vec<_>, Vec<_>) = relation.columns.iter().cloned().unzip();
    let (through, near, far, other_columns) = match &relation.through {
        None => (None, None, None, right),
        Some((through, pairs)) => {
            let (far, other_columns): (Vec<_>, Vec<_>) = pairs.iter().cloned().unzip();
            (Some(pg_sys::Oid::from(*through)), Some(right), Some(far), other_columns)
        }
    };
    roles::run(
        "INSERT INTO rolecall.relations (target, name, many, other, columns, other_columns, through, through_columns,
                                         through_other_columns, found)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
        &[
            pg_sys::Oid::from(target).into(),
            relation.name.as_str().into(),
            relation.many.into(),
            pg_sys::Oid::from(relation.other).into(),
            left.into(),
            other_columns.into(),
            through.into(),
            near.into(),
            far.into(),
            found.into(),
        ],
    )?;
    Ok(())
}

/// Compiles the rules again that may have a name in them.
fn recompile_those_with(name: &str) -> Result<(), Error> {
    let targets = Spi::connect(|client| {
        let query = "SELECT DISTINCT target::oid FROM rolecall.permissions
                      WHERE pg_catalog.strpos(filter::text || coalesce(new_row::text, ''), $1) > 0 ORDER BY 1";
        let mut targets = Vec::new();
        for row in client.select(query, None, &[name.into()])? {
            targets.extend(row.get::<pg_sys::Oid>(1)?);
        }
        Ok::<_, Error>(targets)
    })?;
    for target in targets {
        permissions::lock(target)?;
        policies::recompile(target)?;
    }
    Ok(())
}
