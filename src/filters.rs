//! Tables as the filter language sees them.

use crate::administrators::require_administrator;
use crate::backend::{jsonb, owner};
use crate::error::{Error, Reported, required};
use crate::query;
use crate::users::{self, bad};
use pgrx::prelude::*;
use policy::filter::{Column, Filter, Table, Type, Variable};
use policy::sql::identifier;

/// The SQL condition that `filter` becomes.
#[pg_extern(sql = false)]
fn compile_filter(target: Option<pg_sys::Oid>, filter: Option<pgrx::AnyElement>) -> Reported<String> {
    let target = required(target, "target")?;
    let filter = jsonb::text(required(filter, "filter")?);
    Ok(read(&describe(target)?, &filter)?.to_sql())
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
    let table = describe(target)?;
    let query = format!(
        "SELECT ({}) FROM pg_catalog.jsonb_populate_record(NULL::{}, $1::pg_catalog.jsonb) AS candidate",
        read(&table, &filter)?.to_sql(),
        table.name
    );
    Ok(query::one::<bool>(&query, &[candidate.into()])?.unwrap_or(false))
}

/// The rows that a filter would show a user, or nobody.
#[pg_extern(sql = false)]
fn preview(
    target: Option<pg_sys::Oid>,
    filter: Option<pgrx::AnyElement>,
    username: Option<&str>,
) -> Reported<SetOfIterator<'static, pgrx::JsonB>> {
    require_administrator("preview()")?;
    let target = required(target, "target")?;
    let filter = jsonb::text(required(filter, "filter")?);
    let table = describe(target)?;
    let user = username.map(|username| owner::act(|| users::id_of(username))).transpose()?;
    let email = user.as_deref().map(|id| {
        let query = "SELECT nullif(email, '') FROM rolecall.users WHERE id = $1";
        owner::act(|| query::one::<String>(query, &[id.into()]))
    });
    let email = email.transpose()?.flatten();
    let condition = read(&table, &filter)?.bind(&|variable| match variable {
        Variable::UserId => user.clone(),
        Variable::UserEmail => email.clone(),
        Variable::ApiToken => None,
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
        condition.to_sql()
    );
    let rows = Spi::connect(|client| {
        let mut rows = Vec::new();
        for row in client.select(&query, None, &[])? {
            rows.extend(row.get::<pgrx::JsonB>(1)?);
        }
        Ok::<_, Error>(rows)
    })?;
    Ok(SetOfIterator::new(rows))
}

/// Reads the text of a filter over `table`.
pub fn read(table: &Table, filter: &str) -> Result<Filter, Error> {
    // PostgreSQL wrote the text, so only its depth can be too much for the reader.
    let fault = |_| policy::filter::Error { path: "$".into(), fault: policy::filter::Fault::TooDeep, hint: None };
    let result = serde_json::from_str(filter).map_err(fault).and_then(|json| Filter::read(table, &json));
    result.map_err(|error| Error::Filter { table: table.name.clone(), error: Box::new(error) })
}

/// The columns of a table that a filter may name.
pub fn describe(target: pg_sys::Oid) -> Result<Table, Error> {
    let name = name_of(target)?;
    let columns = Spi::connect(|client| {
        // A domain is compared as what it is made of.
        let query = "
            WITH RECURSIVE base AS (
                SELECT a.attnum, a.atttypid AS type FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
                 UNION ALL
                SELECT b.attnum, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype = 'd')
            SELECT a.attname::text,
                   CASE WHEN t.typtype = 'e' THEN 'enum' WHEN n.nspname = 'pg_catalog' THEN t.typname::text ELSE '' END,
                   pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname),
                   EXISTS (SELECT FROM pg_catalog.pg_constraint c
                            WHERE c.conrelid = a.attrelid AND c.contype IN ('p', 'f') AND a.attnum = ANY (c.conkey)),
                   ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
              FROM pg_catalog.pg_attribute a
              JOIN base b ON b.attnum = a.attnum
              JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'
              JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
             WHERE a.attrelid = $1
             ORDER BY a.attnum";
        let mut columns = Vec::new();
        for row in client.select(query, None, &[target.into()])? {
            let kind = row.get::<String>(2)?.unwrap_or_default();
            columns.push(Column {
                name: row.get(1)?.unwrap_or_default(),
                data_type: if kind == "enum" { Type::Enum } else { Type::of(&kind) },
                sql_type: row.get(3)?.unwrap_or_default(),
                is_id: row.get(4)?.unwrap_or_default(),
                labels: row.get(5)?.unwrap_or_default(),
            });
        }
        Ok::<_, Error>(columns)
    })?;
    Ok(Table { name, columns })
}

/// The table's name in SQL, with its schema, quoted where that is needed.
pub fn name_of(target: pg_sys::Oid) -> Result<String, Error> {
    let name = query::one(
        "SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE c.oid = $1",
        &[target.into()],
    )?;
    name.ok_or_else(|| Error::Missing { kind: "table with oid", name: target.to_u32().to_string() })
}
