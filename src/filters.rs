//! Filters seen by themselves: as SQL, against one row, against all rows.

use crate::administrators::{is_one, require_administrator};
use crate::backend::{jsonb, memory, owner};
use crate::error::{Error, Reported, required};
use crate::query;
use crate::tables::{Tables, row_name};
use crate::users::{self, bad};
use pgrx::prelude::*;
use policy::filter::{Filter, Operand, Table, Variable};
use policy::sql::identifier;

/// The SQL condition that `filter` becomes.
#[pg_extern(sql = false)]
fn compile_filter(target: Option<pg_sys::Oid>, filter: Option<pgrx::AnyElement>) -> Reported<String> {
    let target = required(target, "target")?;
    let filter = jsonb::text(required(filter, "filter")?);
    Ok(read(&Tables::default(), target, &filter)?.to_sql(&row_name(target)?))
}

/// Whether a row, given as JSON, matches a filter.
#[pg_extern(sql = false)]
fn matches(
    target: Option<pg_sys::Oid>,
    filter: Option<pgrx::AnyElement>,
    candidate: Option<pgrx::AnyElement>,
) -> Reported<bool> {
    let target = required(target, "target")?;
    let filter = jsonb::text(required(filter, "filter")?);
    let candidate = jsonb::text(required(candidate, "candidate")?);
    if !candidate.starts_with('{') {
        return Err(bad("candidate", "(jsonb)", "must be an object").into());
    }
    let tables = Tables::default();
    let condition = read(&tables, target, &filter)?;
    must_see_all(&tables, &condition)?;
    let query = format!(
        "SELECT ({}) FROM pg_catalog.jsonb_populate_record(NULL::{}, $1::pg_catalog.jsonb) AS candidate",
        condition.to_sql("candidate"),
        tables.get(target)?.name
    );
    Ok(query::one::<bool>(&query, &[candidate.into()])?.unwrap_or(false))
}

/// Whoever has a filter evaluated outside of a rule learns about the related rows, so he must be able to read them; and
/// all of them, or the answer would be another one.
pub fn must_see_all(tables: &Tables, filter: &Filter) -> Result<(), Error> {
    let is_administrator = is_one()?;
    for (table, columns) in filter.reads() {
        let table = tables.get(table.into())?;
        let query = "SELECT pg_catalog.bool_and(pg_catalog.has_column_privilege($1, attnum, 'SELECT'))
                        AND ($3 OR NOT pg_catalog.row_security_active($1))
                       FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attname = ANY ($2)";
        let columns: Vec<_> = columns.into_iter().collect();
        let oid = pg_sys::Oid::from(table.id);
        if query::one::<bool>(query, &[oid.into(), columns.into(), is_administrator.into()])? != Some(true) {
            return Err(Error::Unseen { table: table.name.clone() });
        }
    }
    Ok(())
}

/// The rows that a filter would show a user, or nobody.
#[pg_extern(sql = false)]
fn preview(
    target: Option<pg_sys::Oid>,
    filter: Option<pgrx::AnyElement>,
    username: Option<&str>,
) -> Reported<SetOfIterator<'static, pgrx::AnyElement>> {
    require_administrator("preview()")?;
    let target = required(target, "target")?;
    let filter = jsonb::text(required(filter, "filter")?);
    let tables = Tables::default();
    let table = tables.get(target)?;
    let condition = read(&tables, target, &filter)?;
    must_see_all(&tables, &condition)?;
    let user = username.map(|username| owner::act(|| users::id_of(username))).transpose()?;
    let email = user.as_deref().map(|id| {
        let query = "SELECT nullif(email, '') FROM rolecall.users WHERE id = $1";
        owner::act(|| query::one::<String>(query, &[id.into()]))
    });
    let email = email.transpose()?.flatten();
    let condition = condition.bind(&|variable| {
        Operand::Bound(match variable {
            Variable::UserId => user.clone(),
            Variable::UserEmail => email.clone(),
            Variable::ApiToken => None,
        })
    });
    // As text what is no built-in type: to_jsonb() would call whatever cast to JSON its owner has made.
    let columns = table.columns.iter().map(|column| {
        let name = identifier(&column.name);
        if column.sql_type.starts_with("pg_catalog.") {
            name
        } else {
            format!("CASE WHEN {name} IS NOT NULL THEN pg_catalog.format('%s', {name}) END AS {name}")
        }
    });
    let query = format!(
        "SELECT pg_catalog.to_jsonb(r) FROM (SELECT {} FROM {} WHERE {}) AS r",
        columns.collect::<Vec<_>>().join(", "),
        table.name,
        condition.to_sql(&row_name(target)?)
    );
    let rows = Spi::connect(|client| {
        let mut rows = Vec::new();
        let mut found = client.select(&query, None, &[])?;
        while found.next().is_some() {
            memory::check()?;
            rows.extend(jsonb::hand_out(&found)?);
        }
        Ok::<_, Error>(rows)
    })?;
    Ok(SetOfIterator::new(rows))
}

/// Reads the text of a filter over a table.
pub fn read(tables: &Tables, target: pg_sys::Oid, filter: &str) -> Result<Filter, Error> {
    let table: &Table = &*tables.get(target)?;
    // PostgreSQL wrote the text, so only its depth can be too much for the reader.
    let fault = |_| policy::filter::Error { path: "$".into(), fault: policy::filter::Fault::TooDeep, hint: None };
    let related = |id| tables.related(id);
    let result = serde_json::from_str(filter).map_err(fault).and_then(|json| Filter::read(table, &related, &json));
    result.map_err(|error| Error::Filter { table: table.name.clone(), error: Box::new(error) })
}
