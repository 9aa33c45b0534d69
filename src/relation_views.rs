//! The views through which rules read related tables.
//!
//! Each has just the columns that a rule reads of a table, so that all others can change freely. It is the extension's
//! owner's, whom no policy restricts, and it is in a schema that nobody may look into; PostgreSQL sees through it when it
//! plans.

use crate::error::Error;
use crate::tables::{Tables, name_of, row_name};
use crate::{filters, query};
use pgrx::prelude::*;
use policy::filter::{Filter, Sources};
use policy::sql::identifier;
use std::collections::BTreeSet;

const SCHEMA: &str = "rolecall_relations";

/// A rule's filter and the views through which it reads related tables.
pub struct Condition {
    filter: Filter,
    sources: Sources,
}

impl Condition {
    /// Reads the text of a filter over a table. Views that are missing are made.
    pub fn read(tables: &Tables, target: pg_sys::Oid, filter: &str) -> Result<Self, Error> {
        let filter = filters::read(tables, target, filter)?;
        let reads = filter.reads();
        if !reads.is_empty() {
            lock()?;
        }
        let view = |(table, columns): (u32, BTreeSet<String>)| Ok((table, view(table.into(), &columns)?));
        let sources = reads.into_iter().map(view).collect::<Result<_, Error>>()?;
        Ok(Self { filter, sources })
    }

    /// The condition over a row that the query calls `row`.
    pub fn sql(&self, row: &str) -> String {
        self.filter.to_policy(row, &self.sources)
    }
}

/// Keeps other administrators from using or removing the views meanwhile.
pub fn lock() -> Result<(), Error> {
    Ok(Spi::run("LOCK TABLE rolecall.relations IN SHARE ROW EXCLUSIVE MODE")?)
}

fn view(table: pg_sys::Oid, columns: &BTreeSet<String>) -> Result<String, Error> {
    // One whose columns have the names that the table's have now.
    let query = "
        SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid
         WHERE c.relnamespace = 'rolecall_relations'::regnamespace AND c.relkind = 'v'
           AND pg_catalog.pg_get_viewdef(c.oid) NOT LIKE '% AS %'
           AND $2 = ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                           WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attname::text COLLATE \"C\")
           AND $2 = ARRAY(SELECT a.attname::text
                            FROM pg_catalog.pg_depend d
                            JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                           WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
                             AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid > 0
                           ORDER BY a.attname::text COLLATE \"C\")
         ORDER BY 1";
    let names: Vec<_> = columns.iter().cloned().collect();
    if let Some(found) = query::one::<String>(query, &[table.into(), names.into()])? {
        return Ok(format!("{SCHEMA}.{}", identifier(&found)));
    }
    let base: String = row_name(table)?.chars().take(40).collect();
    let free = "SELECT $1 || '_' || n FROM pg_catalog.generate_series(1, 1000000) n
                 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                                    WHERE c.relnamespace = 'rolecall_relations'::regnamespace AND c.relname = $1 || '_' || n)
                 LIMIT 1";
    let free = query::one::<String>(free, &[base.into()])?.unwrap_or_default();
    let view = format!("{SCHEMA}.{}", identifier(&free));
    let list = columns.iter().map(|column| identifier(column)).collect::<Vec<_>>().join(", ");
    Spi::run(&format!("CREATE VIEW {view} AS SELECT {list} FROM {}", name_of(table)?))?;
    Spi::run(&format!("GRANT SELECT ON {view} TO PUBLIC"))?;
    Ok(view)
}

/// Removes the views that no rule reads any more.
pub fn sweep() -> Result<(), Error> {
    if unused()?.is_empty() {
        return Ok(());
    }
    lock()?;
    unused()?.iter().try_for_each(|view| Ok(Spi::run(&format!("DROP VIEW {SCHEMA}.{}", identifier(view)))?))
}

fn unused() -> Result<Vec<String>, Error> {
    Spi::connect(|client| {
        let query = "
            SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid
             WHERE c.relnamespace = 'rolecall_relations'::regnamespace AND c.relkind = 'v'
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                                WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid AND d.deptype = 'n'
                                  AND (d.classid, d.objid) <> ('pg_catalog.pg_rewrite'::regclass, w.oid))";
        let mut unused = Vec::new();
        for row in client.select(query, None, &[])? {
            unused.extend(row.get::<String>(1)?);
        }
        Ok(unused)
    })
}
