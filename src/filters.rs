//! Tables as the filter language sees them.

use crate::backend::jsonb;
use crate::error::{Error, Reported, required};
use crate::query;
use pgrx::prelude::*;
use policy::filter::{Column, Filter, Table, Type};

/// The SQL condition that `filter` becomes.
#[pg_extern(sql = false)]
fn compile_filter(target: Option<pg_sys::Oid>, filter: Option<pgrx::AnyElement>) -> Reported<String> {
    let target = required(target, "target")?;
    let filter = jsonb::text(required(filter, "filter")?);
    Ok(read(&describe(target)?, &filter)?.to_sql())
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
        let query = "
            SELECT a.attname::text, t.typname::text, n.nspname = 'pg_catalog',
                   pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname),
                   EXISTS (SELECT FROM pg_catalog.pg_constraint c
                            WHERE c.conrelid = a.attrelid AND c.contype IN ('p', 'f') AND a.attnum = ANY (c.conkey))
              FROM pg_catalog.pg_attribute a
              JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
              JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum";
        let mut columns = Vec::new();
        for row in client.select(query, None, &[target.into()])? {
            let type_name = row.get::<String>(2)?.unwrap_or_default();
            let built_in = row.get::<bool>(3)?.unwrap_or_default();
            columns.push(Column {
                name: row.get(1)?.unwrap_or_default(),
                data_type: if built_in { Type::of(&type_name) } else { Type::Other },
                sql_type: row.get(4)?.unwrap_or_default(),
                is_id: row.get(5)?.unwrap_or_default(),
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
