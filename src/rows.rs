//! Single rows, by their primary key.

use crate::error::Error;
use crate::tables::{name_of, row_name};
use pgrx::prelude::*;
use policy::sql::{identifier, literal};

/// A row of a table.
pub struct Key<'a> {
    /// The table, in SQL.
    pub table: String,
    /// The condition under which a row is the one, over the key as `$1`.
    pub condition: String,
    pub key: &'a str,
}

impl<'a> Key<'a> {
    /// The row with this primary key: of several columns, an object of them.
    pub fn find(target: pg_sys::Oid, key: &'a str) -> Result<Self, Error> {
        let (table, row) = (name_of(target)?, identifier(&row_name(target)?));
        let mut columns = Vec::new();
        Spi::connect(|client| {
            let query = "SELECT a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod)
                           FROM pg_catalog.pg_index i
                           JOIN pg_catalog.pg_attribute a
                             ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid AND a.attnum OPERATOR(pg_catalog.=) ANY (i.indkey)
                          WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisprimary ORDER BY a.attnum";
            for row in client.select(query, None, &[target.into()])? {
                let text = |at| row.get::<String>(at).map(Option::unwrap_or_default);
                columns.push((text(1)?, text(2)?));
            }
            Ok::<_, Error>(())
        })?;
        let condition = match columns.as_slice() {
            [] => return Err(Error::NoKey { table }),
            [(name, kind)] => format!("{row}.{} = CAST($1 AS {kind})", identifier(name)),
            several => {
                let field = |(name, kind): &(String, String)| {
                    let field = literal(name);
                    format!("{row}.{} = CAST(CAST($1 AS pg_catalog.jsonb) ->> {field} AS {kind})", identifier(name))
                };
                several.iter().map(field).collect::<Vec<_>>().join(" AND ")
            }
        };
        Ok(Self { table, condition, key })
    }
}
