//! Why a row may not be written: what PostgreSQL's own error does not say.

use crate::acls;
use crate::backend::{owner, session};
use crate::error::{Error, Reported, required};
use crate::tables::{name_of, row_name};
use pgrx::prelude::*;
use policy::row_policy;

/// Raises the error of a row that no rule lets anybody write who asks, naming those that could have. Policies call it
/// once all else has failed.
#[pg_extern(sql = false)]
fn refused(action: Option<&str>, target: Option<pg_sys::Oid>) -> Reported<bool> {
    let action = required(action, "action")?;
    let target = required(target, "target")?;
    let (rules, acl) = owner::act(|| Ok((rules(action, target)?, acls::column_of(target)?)))?;
    let table = name_of(target)?;
    let mut hint = match rules.as_slice() {
        [] => {
            format!("None of your roles may {action} rows of {table}; administrators permit it with rolecall.allow().")
        }
        rules => format!("{}.", rules.join("; ")),
    };
    if let Some(column) = acl {
        hint += &format!(" The row's ACL in {column:?} does not let you {}.", row_policy::right(action));
    }
    Err(Error::RowRefused { row: row_name(target)?, hint }.into())
}

/// What each role of the session that may do the action asks of a row.
fn rules(action: &str, target: pg_sys::Oid) -> Result<Vec<String>, Error> {
    let session = session::current()?;
    let query = "SELECT role, coalesce(new_row, filter)::pg_catalog.text, preset::pg_catalog.text, columns
                   FROM rolecall.permissions WHERE target = $1 AND action = $2 ORDER BY role";
    Spi::connect(|client| {
        let mut rules = Vec::new();
        for row in client.select(query, None, &[target.into(), action.into()])? {
            let role = row.get::<String>(1)?.unwrap_or_default();
            if !session.has_role(&role) {
                continue;
            }
            let rows = row.get::<String>(2)?.unwrap_or_default();
            let mut rule = format!("Role {role:?} may {action} rows that match {rows}");
            if let Some(preset) = row.get::<String>(3)? {
                rule += &format!(" and have {preset}");
            }
            if let Some(columns) = row.get::<Vec<String>>(4)? {
                rule += &format!(", in the columns {}", columns.join(", "));
            }
            rules.push(rule);
        }
        Ok(rules)
    })
}
