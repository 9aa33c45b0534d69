//! Rules follow the names of columns.

use crate::error::{Error, Reported};
use crate::{permissions, policies, roles};
use pgrx::prelude::*;
use policy::filter::{Rename, rename};
use std::collections::{BTreeSet, HashMap};
use std::ffi::CStr;

/// Writes a column's new name wherever rules, relations and the tables of users have its old one.
#[pg_extern(sql = false)]
fn follow_rename(target: pg_sys::Oid, field: &CStr, new_name: &CStr) -> Reported<()> {
    let (field, new_name) = (field.to_string_lossy(), new_name.to_string_lossy());
    let field = Rename { table: target.to_u32(), old: &field, new: &new_name };
    let relations = relations()?;
    let relation = |table, name: &str| relations.get(&(table, name.to_owned())).copied();
    let mut changed = BTreeSet::from([target.to_u32()]);
    for column in ["filter", "new_row", "preset"] {
        for rule in rules(column)? {
            let Ok(json) = serde_json::from_str::<serde_json::Value>(&rule.filter) else { continue };
            let renamed = rename(json.clone(), rule.target.to_u32(), field, &relation);
            if renamed == json {
                continue;
            }
            changed.insert(rule.target.to_u32());
            let update = format!(
                "UPDATE rolecall.permissions SET {column} = $4::pg_catalog.jsonb
                  WHERE target = $1 AND role = $2 AND action = $3"
            );
            let renamed = renamed.to_string();
            let arguments = [rule.target.into(), rule.role.into(), rule.action.into(), renamed.into()];
            roles::run(&update, &arguments)?;
        }
    }
    let arguments = [target.into(), field.old.into(), field.new.into()];
    let listed = "UPDATE rolecall.permissions SET columns = pg_catalog.array_replace(columns, $2, $3)
                   WHERE target = $1 AND $2 = ANY (columns)";
    roles::run(listed, &arguments)?;
    for (table, columns) in [
        ("target", "columns"),
        ("other", "other_columns"),
        ("through", "through_columns"),
        ("through", "through_other_columns"),
    ] {
        let update = format!(
            "UPDATE rolecall.relations SET {columns} = pg_catalog.array_replace({columns}, $2, $3)
              WHERE {table} = $1 AND $2 = ANY ({columns})"
        );
        roles::run(&update, &arguments)?;
    }
    roles::run(
        "UPDATE rolecall.protected_tables SET acl_column = $3 WHERE target = $1 AND acl_column = $2",
        &arguments,
    )?;
    roles::run("UPDATE rolecall.users_tables SET id_column = $3 WHERE target = $1 AND id_column = $2", &arguments)?;
    roles::run("UPDATE rolecall.column_names SET name = $3 WHERE target = $1 AND name = $2", &arguments)?;
    for target in changed {
        if permissions::is_protected(target.into())? {
            policies::recompile(target.into())?;
        }
    }
    Ok(())
}

/// By table and name: where each relation leads, and whether to several rows.
type Relations = HashMap<(u32, String), (u32, bool)>;

fn relations() -> Result<Relations, Error> {
    Spi::connect(|client| {
        let query = "SELECT target::oid, name, other::oid, many FROM rolecall.relations";
        let mut relations = HashMap::new();
        for row in client.select(query, None, &[])? {
            let oid = |column| Ok::<_, Error>(row.get::<pg_sys::Oid>(column)?.map_or(0, pg_sys::Oid::to_u32));
            let name = row.get::<String>(2)?.unwrap_or_default();
            relations.insert((oid(1)?, name), (oid(3)?, row.get::<bool>(4)? == Some(true)));
        }
        Ok(relations)
    })
}

struct Rule {
    target: pg_sys::Oid,
    role: String,
    action: String,
    filter: String,
}

fn rules(column: &str) -> Result<Vec<Rule>, Error> {
    Spi::connect(|client| {
        let query = format!(
            "SELECT target::oid, role, action, {column}::pg_catalog.text FROM rolecall.permissions WHERE {column} IS NOT NULL"
        );
        let mut rules = Vec::new();
        for row in client.select(&query, None, &[])? {
            let text = |column| Ok::<_, Error>(row.get::<String>(column)?.unwrap_or_default());
            let target = row.get(1)?.unwrap_or(pg_sys::InvalidOid);
            rules.push(Rule { target, role: text(2)?, action: text(3)?, filter: text(4)? });
        }
        Ok(rules)
    })
}
