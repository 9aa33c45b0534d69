//! The server, and who asks it.

use super::read::{flag, number, rows, text};
use crate::error::Error;
use postgres::Client;

/// The server and who asks it.
pub struct Session {
    /// Its `server_version_num`.
    pub version: u32,
    /// Its version as people write it.
    pub version_text: String,
    /// The database.
    pub database: String,
    /// The role that asks.
    pub executor: String,
    /// Whether that is a superuser.
    pub superuser: bool,
    /// Whether it may make roles.
    pub createrole: bool,
    /// Whether it may ask the extension which views it made; not where there is no extension.
    pub knows_followers: bool,
    /// What it is granted of roles it makes, from PostgreSQL 16 on.
    pub self_grant: String,
}

/// Asks the server who one is.
pub(super) fn session(client: &mut Client) -> Result<Session, Error> {
    let rows = rows(
        client,
        "SELECT current_database(), current_user, current_setting('server_version_num'), \
         split_part(current_setting('server_version'), ' ', 1), rolsuper, rolcreaterole, \
         current_setting('createrole_self_grant', true), \
         (SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') \
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
           WHERE n.nspname = 'rolecall' AND c.relname = 'exposed_views') \
         FROM pg_roles WHERE rolname = current_user",
    )?;
    let row = rows.first().ok_or_else(|| Error::Unexpected("the server does not know the current role".to_owned()))?;
    Ok(Session {
        database: text(row, 0)?,
        executor: text(row, 1)?,
        version: number(row, 2)?,
        version_text: text(row, 3)?,
        superuser: flag(row, 4),
        createrole: flag(row, 5),
        self_grant: row.get(6).unwrap_or_default().to_owned(),
        knows_followers: flag(row, 7),
    })
}
