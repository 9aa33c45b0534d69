//! Views that show NULL where the table itself refuses: a cell is shown in the rows in which some role that covers its
//! column matches.
//!
//! The extension's owner owns such a view and passes the table's policies, so the view has the same rules itself. It is a
//! join with nothing, because PostgreSQL lets nobody write through a join, whatever was granted on the view.

use crate::administrators::require_administrator;
use crate::error::{Error, Reported, required};
use crate::relation_views::Condition;
use crate::tables::{Tables, name_of, row_name};
use crate::{acls, permissions, policies, query, roles};
use pgrx::prelude::*;
use policy::row_policy::{self, Branch};
use policy::sql::{identifier, literal};

/// Makes the view of a protected table, which follows the table's rules from then on.
#[pg_extern(sql = false)]
fn expose(target: Option<pg_sys::Oid>) -> Reported<pg_sys::Oid> {
    require_administrator("expose()")?;
    let target = required(target, "target")?;
    permissions::lock(target)?;
    policies::quietly(|| {
        let tables = Tables::default();
        if view_of(target)?.is_none() {
            make(&tables, target)?;
        }
        refresh(&tables, target)
    })?;
    Ok(required(view_of(target)?, "the view")?)
}

/// The table has other columns, or its view went with one. The policies are left alone: while a dump is restored they are
/// still to come.
#[pg_extern(sql = false)]
fn refresh_exposed(target: pg_sys::Oid) -> Reported<()> {
    if policies::is_quiet() {
        return Ok(());
    }
    Ok(policies::quietly(|| refresh(&Tables::default(), target))?)
}

/// Makes the view of a table, if it has one, say what the permissions say.
pub fn refresh(tables: &Tables, target: pg_sys::Oid) -> Result<(), Error> {
    let record = "SELECT query FROM rolecall.exposed_views WHERE target = $1";
    let Some(former) = query::one::<String>(record, &[target.into()])? else { return Ok(()) };
    match view_of(target)? {
        None => make(tables, target)?,
        Some(view) => {
            let wanted = query_of(tables, target)?;
            if former != wanted {
                let name = name_of(view)?;
                // PostgreSQL takes another query for the same view where it only has more columns.
                let same = "SELECT pg_catalog.bool_and(v.attname IS NOT DISTINCT FROM t.attname)
                      FROM (SELECT attname, pg_catalog.row_number() OVER (ORDER BY attnum) AS n
                              FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attnum > 0) v
                      LEFT JOIN (SELECT attname, pg_catalog.row_number() OVER (ORDER BY attnum) AS n
                              FROM pg_catalog.pg_attribute WHERE attrelid = $2 AND attnum > 0 AND NOT attisdropped) t
                        USING (n)";
                if query::one::<bool>(same, &[view.into(), target.into()])? == Some(true) {
                    Spi::run(&format!("CREATE OR REPLACE VIEW {name} WITH (security_barrier) AS {wanted}"))?;
                    note(target, view, &wanted)?;
                } else {
                    Spi::run(&format!("DROP VIEW {name}"))?;
                    make(tables, target)?;
                }
            }
        }
    }
    grant(target, required(view_of(target)?, "the view")?)
}

/// Drops the view of a table, if it has one.
pub fn remove(target: pg_sys::Oid) -> Result<(), Error> {
    match view_of(target)? {
        Some(view) => Ok(Spi::run(&format!("DROP VIEW {}", name_of(view)?))?),
        None => Ok(()),
    }
}

fn make(tables: &Tables, target: pg_sys::Oid) -> Result<(), Error> {
    let name = query::one::<String>(
        "SELECT pg_catalog.format('%I.%I', n.nspname, pg_catalog.left(c.relname, 55) || '_exposed')
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
        &[target.into()],
    )?;
    let name = required(name, "target")?;
    let wanted = query_of(tables, target)?;
    Spi::run(&format!("CREATE VIEW {name} WITH (security_barrier) AS {wanted}"))?;
    let view = query::one::<pg_sys::Oid>("SELECT $1::pg_catalog.regclass::pg_catalog.oid", &[name.as_str().into()])?;
    let view = required(view, "the view")?;
    let comment =
        literal(&format!("{} with NULL in the cells that one may not read (rolecall.expose())", name_of(target)?));
    Spi::run(&format!("COMMENT ON VIEW {name} IS {comment}"))?;
    note(target, view, &wanted)
}

fn note(target: pg_sys::Oid, view: pg_sys::Oid, query: &str) -> Result<(), Error> {
    let note = "INSERT INTO rolecall.exposed_views (target, shown_as, query) VALUES ($1, $2, $3)
                ON CONFLICT (target) DO UPDATE SET shown_as = excluded.shown_as, query = excluded.query";
    roles::run(note, &[target.into(), view.into(), query.into()]).map(|_| ())
}

/// The view of a table, where it has one that is still there.
fn view_of(target: pg_sys::Oid) -> Result<Option<pg_sys::Oid>, Error> {
    let query = "SELECT c.oid FROM rolecall.exposed_views e JOIN pg_catalog.pg_class c ON c.oid = e.shown_as
                  WHERE e.target = $1";
    query::one::<pg_sys::Oid>(query, &[target.into()])
}

/// The view's query.
fn query_of(tables: &Tables, target: pg_sys::Oid) -> Result<String, Error> {
    let (mut permissions, mut columns) = (Vec::new(), Vec::new());
    Spi::connect(|client| {
        let query = "SELECT role, filter::pg_catalog.text, columns FROM rolecall.permissions
                      WHERE target = $1 AND action = 'select' ORDER BY role";
        for row in client.select(query, None, &[target.into()])? {
            permissions.push((row.get::<String>(1)?, row.get::<String>(2)?, row.get::<Vec<String>>(3)?));
        }
        // The type as it is declared: a view keeps its columns' types when its query changes.
        let query = "SELECT attname::pg_catalog.text, pg_catalog.format_type(atttypid, atttypmod)
                       FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        for row in client.select(query, None, &[target.into()])? {
            columns.push([1, 2].map(|at| row.get::<String>(at).map(Option::unwrap_or_default)));
        }
        Ok::<_, Error>(())
    })?;
    let row = row_name(target)?;
    let mut branches = Vec::with_capacity(permissions.len());
    for (role, filter, columns) in permissions {
        let condition = Condition::read(tables, target, &filter.unwrap_or_default())?.sql(&row);
        branches.push(Branch { role: role.unwrap_or_default(), condition, columns });
    }
    let acl = acls::column_of(target)?.map(|column| format!("{}.{}", identifier(&row), identifier(&column)));
    let mut cells = Vec::with_capacity(columns.len());
    for [column, sql_type] in columns {
        let (column, sql_type) = (column?, sql_type?);
        let name = identifier(&column);
        cells.push(match row_policy::cell(acl.as_deref(), &branches, &column) {
            Some(shown) => format!("CAST(CASE WHEN {shown} THEN {name} END AS {sql_type}) AS {name}"),
            None => name,
        });
    }
    let rows: Vec<_> = branches.into_iter().map(|branch| Branch { columns: None, ..branch }).collect();
    let name = name_of(target)?;
    Ok(format!(
        "SELECT {} FROM {name} CROSS JOIN (SELECT) AS read_only WHERE ({}) \
         AND pg_catalog.has_table_privilege({}::pg_catalog.regclass, 'SELECT')",
        cells.join(", "),
        row_policy::expression(acl.as_deref(), &[("select", &rows)]),
        literal(&name),
    ))
}

/// Lets those read the view who may read the table. What is granted beyond that shows nothing.
fn grant(target: pg_sys::Oid, view: pg_sys::Oid) -> Result<(), Error> {
    let name = name_of(view)?;
    let missing = Spi::connect(|client| {
        let query = "
            WITH readers AS (
                SELECT c.oid, a.grantee
                  FROM pg_catalog.pg_class c,
                       pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) a
                 WHERE a.privilege_type = 'SELECT' AND c.oid IN ($1, $2))
            SELECT CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END
              FROM readers t WHERE oid = $1
               AND NOT EXISTS (SELECT FROM readers v WHERE v.oid = $2 AND v.grantee = t.grantee)";
        let mut missing = Vec::new();
        for row in client.select(query, None, &[target.into(), view.into()])? {
            missing.extend(row.get::<String>(1)?);
        }
        Ok::<_, Error>(missing)
    })?;
    for reader in missing {
        Spi::run(&format!("GRANT SELECT ON {name} TO {reader}"))?;
    }
    Ok(())
}
