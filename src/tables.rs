//! Tables as the filter language sees them: columns, and relations to other tables.

use crate::backend::owner;
use crate::error::Error;
use crate::query;
use pgrx::prelude::*;
use policy::filter::{Column, Relation, Table, Type, relation_name};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Tables that were read in one call.
#[derive(Default)]
pub struct Tables(RefCell<HashMap<u32, Rc<Table>>>);

impl Tables {
    /// The table of that number.
    pub fn get(&self, target: pg_sys::Oid) -> Result<Rc<Table>, Error> {
        if let Some(table) = self.0.borrow().get(&target.to_u32()) {
            return Ok(table.clone());
        }
        let table = Rc::new(describe(target)?);
        self.0.borrow_mut().insert(target.to_u32(), table.clone());
        Ok(table)
    }

    /// The table that a relation leads to.
    pub fn related(&self, id: u32) -> Option<Rc<Table>> {
        self.get(id.into()).ok()
    }
}

fn describe(target: pg_sys::Oid) -> Result<Table, Error> {
    Ok(Table {
        id: target.to_u32(),
        name: name_of(target)?,
        columns: columns(target)?,
        relations: relations(target)?,
        user_id: owner::act(|| {
            let query = "SELECT id_column::pg_catalog.text FROM rolecall.users_tables WHERE target = $1";
            query::one::<String>(query, &[target.into()])
        })?,
    })
}

/// The table's name in SQL, with its schema, quoted where that is needed.
pub fn name_of(target: pg_sys::Oid) -> Result<String, Error> {
    let name = query::one(
        // Whatever the caller's search path holds.
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
           FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          WHERE c.oid OPERATOR(pg_catalog.=) $1",
        &[target.into()],
    )?;
    name.ok_or_else(|| Error::Missing { kind: "table with oid", name: target.to_u32().to_string() })
}

/// The table's bare name, which its policies call its rows.
pub fn row_name(target: pg_sys::Oid) -> Result<String, Error> {
    let query = "SELECT relname::pg_catalog.text FROM pg_catalog.pg_class WHERE oid OPERATOR(pg_catalog.=) $1";
    let name = query::one(query, &[target.into()])?;
    name.ok_or_else(|| Error::Missing { kind: "table with oid", name: target.to_u32().to_string() })
}

fn columns(target: pg_sys::Oid) -> Result<Vec<Column>, Error> {
    // A domain is compared as what it is made of. Of an array, all is about its elements but the last.
    let query = "
        WITH RECURSIVE base AS (
            SELECT a.attnum, a.atttypid AS type FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
             UNION ALL
            SELECT b.attnum, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype = 'd')
        SELECT a.attname::text,
               CASE WHEN t.typtype = 'e' THEN 'enum' WHEN x.nspname IS NOT NULL THEN 'citext'
                    WHEN n.nspname = 'pg_catalog' THEN t.typname::text ELSE '' END,
               pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname),
               EXISTS (SELECT FROM pg_catalog.pg_constraint c
                        WHERE c.conrelid = a.attrelid AND c.contype IN ('p', 'f') AND a.attnum = ANY (c.conkey)),
               ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder),
               coalesce((SELECT pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(l.collname)
                           FROM pg_catalog.pg_namespace s WHERE s.oid = l.collnamespace), ''),
               t.oid = ANY ('{int2,int4,int8,uuid}'::regtype[])
                   OR (t.oid = ANY ('{text,varchar}'::regtype[]) AND l.collisdeterministic),
               coalesce(pg_catalog.quote_ident(x.nspname), 'pg_catalog'),
               (SELECT pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(w.typname)
                  FROM pg_catalog.pg_type w JOIN pg_catalog.pg_namespace s ON s.oid = w.typnamespace
                 WHERE w.oid = b.type AND w.oid <> t.oid)
          FROM pg_catalog.pg_attribute a
          JOIN base b ON b.attnum = a.attnum
          JOIN pg_catalog.pg_type w ON w.oid = b.type AND w.typtype <> 'd'
          JOIN pg_catalog.pg_type t ON t.oid = coalesce((SELECT e.oid FROM pg_catalog.pg_type e WHERE e.typarray = w.oid), w.oid)
          JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
          LEFT JOIN LATERAL (
               SELECT s.nspname FROM pg_catalog.pg_depend d
                 JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'citext'
                 JOIN pg_catalog.pg_namespace s ON s.oid = e.extnamespace
                WHERE t.typname = 'citext' AND d.objid = t.oid AND d.deptype = 'e'
                  AND d.classid = 'pg_catalog.pg_type'::regclass AND d.refclassid = 'pg_catalog.pg_extension'::regclass) x ON true
          LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
         WHERE a.attrelid = $1
         ORDER BY a.attnum";
    Spi::connect(|client| {
        let mut columns = Vec::new();
        for row in client.select(query, None, &[target.into()])? {
            let kind = row.get::<String>(2)?.unwrap_or_default();
            let scalar = Column {
                name: row.get(1)?.unwrap_or_default(),
                data_type: match kind.as_str() {
                    "enum" => Type::Enum,
                    "citext" => Type::Citext,
                    kind => Type::of(kind),
                },
                sql_type: row.get(3)?.unwrap_or_default(),
                is_id: row.get(4)?.unwrap_or_default(),
                labels: row.get(5)?.unwrap_or_default(),
                operators_of: row.get(8)?.unwrap_or_default(),
                collation: row.get(6)?.unwrap_or_default(),
                bitwise: row.get(7)?.unwrap_or_default(),
                element: None,
            };
            columns.push(match row.get(9)? {
                Some(array) => scalar.into_array(array),
                None => scalar,
            });
        }
        Ok(columns)
    })
}

/// What administrators or rules have named, and what else foreign keys show.
fn relations(target: pg_sys::Oid) -> Result<Vec<Relation>, Error> {
    let named =
        "SELECT name, many, other::oid, columns, other_columns, through::oid, through_columns, through_other_columns
                   FROM rolecall.relations WHERE target = $1";
    let mut relations = owner::act(|| select(named, target))?;
    let found = select(FOREIGN_KEYS, target)?;
    let is_new = |relation: &Relation| !relations.iter().any(|named| named.name == relation.name);
    let found: Vec<_> = found.into_iter().filter(is_new).collect();
    relations.extend(found);
    Ok(relations)
}

/// The relations that foreign keys show, from the table with the key, to it, and through a table whose primary key is
/// made of two of them. A partition's own copy of its parent's key is none. Without a name: that of the columns.
const FOREIGN_KEYS: &str = "
    WITH key AS (
        SELECT c.oid, c.conrelid, c.confrelid,
               ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(c.conkey) WITH ORDINALITY k(n, i)
                       JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n ORDER BY k.i) AS columns,
               ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(c.confkey) WITH ORDINALITY k(n, i)
                       JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n ORDER BY k.i) AS other_columns,
               c.conkey, p.conrelid IS NOT DISTINCT FROM c.conrelid AS copy_from, p.confrelid IS NOT DISTINCT FROM c.confrelid AS copy_to
          FROM pg_catalog.pg_constraint c
          LEFT JOIN pg_catalog.pg_constraint p ON p.oid = c.conparentid
         WHERE c.contype = 'f' AND NOT EXISTS (
               SELECT FROM pg_catalog.pg_class r WHERE r.oid IN (c.conrelid, c.confrelid) AND r.relnamespace = 'rolecall'::regnamespace))
    SELECT NULL::text, false, confrelid, columns, other_columns, NULL::oid, NULL::text[], NULL::text[]
      FROM key WHERE conrelid = $1 AND NOT copy_from
     UNION ALL
    SELECT r.relname::text,
           NOT EXISTS (SELECT FROM pg_catalog.pg_index i
                        WHERE i.indrelid = conrelid AND i.indisunique AND i.indpred IS NULL
                          AND (i.indkey::int2[])[0:i.indnkeyatts - 1] <@ conkey),
           conrelid, other_columns, columns, NULL, NULL, NULL
      FROM key JOIN pg_catalog.pg_class r ON r.oid = conrelid WHERE confrelid = $1 AND NOT copy_to
     UNION ALL
    SELECT r.relname::text, true, far.confrelid, near.other_columns, far.other_columns, near.conrelid, near.columns, far.columns
      FROM key near
      JOIN key far ON far.conrelid = near.conrelid AND far.oid <> near.oid AND NOT far.copy_from
      JOIN pg_catalog.pg_constraint p ON p.conrelid = near.conrelid AND p.contype = 'p'
      JOIN pg_catalog.pg_class r ON r.oid = far.confrelid
     WHERE near.confrelid = $1 AND NOT near.copy_to
       AND p.conkey <@ (near.conkey || far.conkey) AND (near.conkey || far.conkey) <@ p.conkey
       AND 2 = (SELECT pg_catalog.count(*) FROM key k WHERE k.conrelid = near.conrelid AND NOT k.copy_from)";

fn select(query: &str, target: pg_sys::Oid) -> Result<Vec<Relation>, Error> {
    Spi::connect(|client| {
        let mut relations = Vec::new();
        for row in client.select(query, None, &[target.into()])? {
            let list = |column| Ok::<_, Error>(row.get::<Vec<String>>(column)?.unwrap_or_default());
            let (columns, other_columns) = (list(4)?, list(5)?);
            let other = row.get::<pg_sys::Oid>(3)?.unwrap_or(pg_sys::InvalidOid);
            let name = match row.get::<String>(1)? {
                Some(name) => name,
                None => relation_name(&columns, &row_name(other)?),
            };
            let pairs = |left: Vec<String>, right: Vec<String>| left.into_iter().zip(right).collect();
            let (columns, through) = match row.get::<pg_sys::Oid>(6)? {
                None => (pairs(columns, other_columns), None),
                Some(join) => (pairs(columns, list(7)?), Some((join.to_u32(), pairs(list(8)?, other_columns)))),
            };
            relations.push(Relation {
                name,
                many: row.get(2)?.unwrap_or_default(),
                other: other.to_u32(),
                columns,
                through,
            });
        }
        Ok(relations)
    })
}
