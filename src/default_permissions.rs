//! Permissions that come ready-made: those of a file store, and the default filters of the 8base page.

use crate::administrators::require_administrator;
use crate::error::{Error, Reported, required};
use crate::permissions::{ACTIONS, enable, permit_rows};
use crate::tables::Tables;
use crate::{policies, query, relations, roles};
use pgrx::prelude::*;
use policy::filter::Table;
use serde_json::{Value, json};

/// Protects a table and lets the kit openflow's roles do with it what they are for.
#[pg_extern(sql = false)]
fn file_store(target: Option<pg_sys::Oid>) -> Reported<()> {
    require_administrator("file_store()")?;
    let target = required(target, "target")?;
    for (role, actions) in [("filestore users", &ACTIONS[..1]), ("filestore admins", &ACTIONS[..])] {
        roles::must_exist(role).map_err(|_| {
            Error::State(
                "the roles of the file store are missing",
                "Call rolecall.add_default_roles('openflow') first.",
            )
        })?;
        enable(target, None)?;
        permit_rows(role, target, actions, "{}")?;
    }
    Ok(policies::recompile(target)?)
}

/// What a role may read and update by default: one's own record among the users; files that are public or one's own.
#[pg_extern(sql = false)]
fn add_default_filters(role: Option<&str>, users: Option<pg_sys::Oid>, files: Option<pg_sys::Oid>) -> Reported<()> {
    require_administrator("add_default_filters()")?;
    let role = required(role, "role")?;
    if users.is_none() && files.is_none() {
        return Err(Error::Null { what: "one of users and files" }.into());
    }
    roles::must_exist(role)?;
    if let Some(users) = users {
        let id = id_column(users)?;
        enable(users, None)?;
        relations::name_users_table(users, &id)?;
        allow(role, users, &json!({ id: {"equals": "__loggedInUserId"} }))?;
    }
    if let Some(files) = files {
        enable(files, None)?;
        let filter = shared_or_own(&*Tables::default().get(files)?)?;
        allow(role, files, &filter)?;
    }
    Ok(())
}

fn allow(role: &str, target: pg_sys::Oid, filter: &Value) -> Result<(), Error> {
    permit_rows(role, target, &["select", "update"], &filter.to_string())?;
    policies::recompile(target)
}

/// The column with the users' ids: the one that was said to be, else the primary key.
fn id_column(users: pg_sys::Oid) -> Result<String, Error> {
    let table = Tables::default().get(users)?;
    if let Some(id) = &table.user_id {
        return Ok(id.clone());
    }
    let key = "SELECT CASE WHEN pg_catalog.cardinality(c.conkey::int2[]) = 1 THEN a.attname::pg_catalog.text END
                 FROM pg_catalog.pg_constraint c
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
                WHERE c.conrelid = $1 AND c.contype = 'p'";
    query::one::<String>(key, &[users.into()])?.ok_or_else(|| Error::BadArgument {
        what: "users",
        value: table.name.clone(),
        problem: "has no primary key of one column; say where the ids are with rolecall.users_table()",
    })
}

/// Public, or created by who asks: by the column that refers to the user, where there is one by that name.
fn shared_or_own(table: &Table) -> Result<Value, Error> {
    let missing = |problem| Error::BadArgument { what: "files", value: table.name.clone(), problem };
    if table.column("public").is_none() {
        return Err(missing("has no column \"public\""));
    }
    let own = ["created_by_id", "createdById", "created_by", "createdBy"]
        .into_iter()
        .find(|name| table.column(name).is_some())
        .ok_or_else(|| missing("has no column \"created_by_id\" or \"created_by\""))?;
    Ok(json!({"OR": [{"public": {"equals": true}}, { own: {"equals": "__loggedInUserId"} }]}))
}
