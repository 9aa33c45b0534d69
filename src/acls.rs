//! Access-control lists of rows: who may do what with one object.

use crate::administrators::require_administrator;
use crate::backend::catalog::Table;
use crate::backend::{acl, jsonb, owner, session};
use crate::error::{Error, Reported, required};
use crate::rows::Key;
use crate::tables::name_of;
use crate::{query, roles, users};
use pgrx::prelude::*;
use policy::acl::Rights;
use policy::acl_edit::{self, Member};
use policy::sql::identifier;
use serde_json::Value;

/// The rights without which one is locked out.
const KEPT: [&str; 2] = ["read", "update"];

/// The ACL that a new row gets: the one given or, where there is none, full control for the creator and administrators.
/// Whoever could not read and update his own row gets full control, too.
#[pg_extern(sql = false)]
fn new_acl(given: Option<pgrx::AnyElement>) -> Reported<pgrx::JsonB> {
    let session = session::current()?;
    let creator = session.user.as_ref().map(|user| user.id.as_str());
    let mut value = match &given {
        Some(given) => read(*given)?,
        None => Value::Array(Vec::new()),
    };
    if value.as_array().is_some_and(Vec::is_empty) {
        return Ok(pgrx::JsonB(acl_edit::default(creator)));
    }
    if let (Some(given), Some(creator)) = (&given, creator)
        && !session.has_role(crate::backend::account::ADMINISTRATORS)
    {
        keep_in(&mut value, given, creator, None)?;
    }
    Ok(pgrx::JsonB(value))
}

/// The ACL that a row gets instead of another one: whoever could read and update the row, and now could not, keeps the
/// rights he had.
#[pg_extern(sql = false)]
fn changed_acl(former: Option<pgrx::AnyElement>, given: Option<pgrx::AnyElement>) -> Reported<Option<pgrx::JsonB>> {
    let session = session::current()?;
    let writer = session.user.as_ref().map(|user| user.id.as_str());
    let mut value = given.map(read).transpose()?;
    if let (Some(writer), Some(former)) = (writer, &former)
        && !session.has_role(crate::backend::account::ADMINISTRATORS)
    {
        let had = acl::verdict(former)?.rights();
        match (&given, &mut value) {
            (Some(given), Some(value)) => keep_in(value, given, writer, Some(had))?,
            _ if had.touch(kept()) => {
                let mut rest = Value::Array(Vec::new());
                acl_edit::grant(&mut rest, Member::User(writer), had, false);
                value = Some(rest);
            }
            _ => {}
        }
    }
    Ok(value.map(pgrx::JsonB))
}

/// Adds an entry for the writer if he would be locked out: with the rights he had, of a new row with all.
fn keep_in(value: &mut Value, given: &pgrx::AnyElement, writer: &str, had: Option<Rights>) -> Result<(), Error> {
    let verdict = acl::verdict(given)?;
    let had = had.unwrap_or(Rights::ALL);
    let lost = KEPT.into_iter().filter(|right| {
        let right = Rights::named(right).unwrap_or(Rights::NONE);
        had.cover(right) && !verdict.allows(right)
    });
    let lost: Vec<_> = lost.collect();
    if let Some(denied) = lost.iter().find(|right| verdict.denies(Rights::named(right).unwrap_or(Rights::ALL))) {
        return Err(Error::LockedOut(denied));
    }
    if !lost.is_empty() {
        acl_edit::grant(value, Member::User(writer), had, false);
    }
    Ok(())
}

fn kept() -> Rights {
    KEPT.into_iter().filter_map(Rights::named).fold(Rights::NONE, Rights::with)
}

/// Reads an ACL.
fn read(acl: pgrx::AnyElement) -> Result<Value, Error> {
    parsed(Some(jsonb::text(acl)))
}

/// Gives somebody rights to a row, or denies them.
#[pg_extern(sql = false)]
fn grant_right(
    target: Option<pg_sys::Oid>,
    key: Option<&str>,
    member: Option<&str>,
    rights: Option<Vec<Option<String>>>,
    deny: Option<bool>,
) -> Reported<()> {
    let rights = named(required(rights, "rights")?)?;
    let deny = required(deny, "deny")?;
    Ok(edit(target, key, member, |acl, member| acl_edit::grant(acl, member, rights, deny))?)
}

/// Takes rights to a row, or their denial, from somebody.
#[pg_extern(sql = false)]
fn revoke_right(
    target: Option<pg_sys::Oid>,
    key: Option<&str>,
    member: Option<&str>,
    rights: Option<Vec<Option<String>>>,
    deny: Option<bool>,
) -> Reported<()> {
    let rights = rights.map_or(Ok(Rights::ALL), named)?;
    let deny = required(deny, "deny")?;
    Ok(edit(target, key, member, |acl, member| acl_edit::revoke(acl, member, rights, deny))?)
}

fn named(names: Vec<Option<String>>) -> Result<Rights, Error> {
    let names = users::list(Some(names))?;
    acl_edit::named(names.iter().map(String::as_str)).map_err(|fault| Error::Acl(format!("the list{fault}")))
}

/// Changes the ACL of a row as whoever calls: the row's own policies say whether he may.
fn edit(
    target: Option<pg_sys::Oid>,
    key: Option<&str>,
    member: Option<&str>,
    change: impl FnOnce(&mut Value, Member),
) -> Result<(), Error> {
    let (target, key) = (required(target, "target")?, required(key, "key")?);
    let member = required(member, "member")?;
    if let Some(queue) = Queue::find(target, key)? {
        return owner::act(|| {
            let mut acl = parsed(queue.acl()?)?;
            change_for(&mut acl, member, change)?;
            queue.write(&acl)
        });
    }
    let row = Row::find(target, key)?;
    let mut acl = parsed(row.acl()?)?;
    change_for(&mut acl, member, change)?;
    row.write(&acl)
}

/// What an ACL is; of a row without one, an empty one.
fn parsed(acl: Option<String>) -> Result<Value, Error> {
    let Some(acl) = acl else { return Ok(Value::Array(Vec::new())) };
    let acl = serde_json::from_str(&acl).map_err(|_| Error::Acl("it is nested too deeply".into()))?;
    match acl_edit::fault(&acl) {
        Some(fault) => Err(Error::Acl(fault)),
        None => Ok(acl),
    }
}

fn change_for(acl: &mut Value, member: &str, change: impl FnOnce(&mut Value, Member)) -> Result<(), Error> {
    // Last, so that only who may change a row learns who there is.
    match member.strip_prefix("role:") {
        Some(role) => {
            owner::act(|| roles::must_exist(role))?;
            change(acl, Member::Role(role));
        }
        None => {
            let id = owner::act(|| users::id_of(member))?;
            change(acl, Member::User(&id));
        }
    }
    Ok(())
}

/// A queue of messages or of work, which has an ACL too: for administrators, and one's own queue for oneself.
struct Queue {
    /// Statements over the queue's name, and what its ACL is to be.
    read: &'static str,
    write: &'static str,
    name: String,
}

impl Queue {
    /// The queue of that name, where the target is a table of queues.
    fn find(target: pg_sys::Oid, name: &str) -> Result<Option<Self>, Error> {
        let name = name.to_owned();
        if target == Table::open(c"work_queues")?.oid() {
            require_administrator("the ACL of a work queue")?;
            let read = "SELECT acl::pg_catalog.text FROM rolecall.work_queues WHERE name = $1 FOR UPDATE";
            let write = "UPDATE rolecall.work_queues SET acl = $2::pg_catalog.jsonb WHERE name = $1";
            return Ok(Some(Self { read, write, name }));
        }
        if target != Table::open(c"queues")?.oid() {
            return Ok(None);
        }
        if session::current()?.user.as_ref().is_none_or(|user| user.username != name) {
            require_administrator("the ACL of another's queue")?;
        }
        // A user's queue is made when it is first needed.
        let make = "SELECT rolecall.queue_of(id) FROM rolecall.users WHERE username = $1";
        owner::act(|| roles::run(make, &[name.as_str().into()]))?;
        let read = "SELECT acl::pg_catalog.text FROM rolecall.queues
                     WHERE id = (SELECT id FROM rolecall.queue_names WHERE name = $1) FOR UPDATE";
        // Whoever may not receive any more is left with a dead channel.
        let write = "WITH changed AS (
                UPDATE rolecall.queues SET acl = $2::pg_catalog.jsonb
                 WHERE id = (SELECT id FROM rolecall.queue_names WHERE name = $1) RETURNING id)
            SELECT rolecall.change_channels(pg_catalog.array_agg(id)) FROM changed";
        Ok(Some(Self { read, write, name }))
    }

    fn acl(&self) -> Result<Option<String>, Error> {
        Spi::connect_mut(|client| {
            let rows = client.update(self.read, Some(1), &[self.name.as_str().into()])?;
            if rows.is_empty() {
                return Err(Error::Missing { kind: "queue", name: self.name.clone() });
            }
            Ok(rows.first().get_one::<String>()?)
        })
    }

    fn write(&self, acl: &Value) -> Result<(), Error> {
        roles::run(self.write, &[self.name.as_str().into(), acl.to_string().into()]).map(|_| ())
    }
}

/// A row with an ACL.
struct Row<'a> {
    row: Key<'a>,
    /// The column of ACLs.
    column: String,
}

impl<'a> Row<'a> {
    fn find(target: pg_sys::Oid, key: &'a str) -> Result<Self, Error> {
        let column = owner::act(|| column_of(target))?;
        let column = column.ok_or(()).or_else(|()| Err(Error::NoAcls { table: name_of(target)? }))?;
        Ok(Self { row: Key::find(target, key)?, column: identifier(&column) })
    }

    /// The row's ACL, which nobody else changes until the transaction ends.
    fn acl(&self) -> Result<Option<String>, Error> {
        let Self { row: Key { table, condition, key }, column } = self;
        let query = format!("SELECT {column}::pg_catalog.text FROM {table} WHERE {condition} FOR UPDATE");
        Spi::connect_mut(|client| {
            let rows = client.update(&query, Some(1), &[(*key).into()])?;
            if rows.is_empty() {
                return Err(Error::NoRow { table: table.clone(), key: (*key).into() });
            }
            Ok(rows.first().get_one::<String>()?)
        })
    }

    fn write(&self, acl: &Value) -> Result<(), Error> {
        let Self { row: Key { table, condition, key }, column } = self;
        let update = format!("UPDATE {table} SET {column} = $2::pg_catalog.jsonb WHERE {condition}");
        roles::run(&update, &[(*key).into(), acl.to_string().into()]).map(|_| ())
    }
}

/// The column of ACLs of a protected table.
pub fn column_of(target: pg_sys::Oid) -> Result<Option<String>, Error> {
    let query = "SELECT acl_column::pg_catalog.text FROM rolecall.protected_tables WHERE target = $1";
    query::one::<String>(query, &[target.into()])
}

/// Says which column of a protected table holds ACLs.
pub fn set_column(target: pg_sys::Oid, column: &str) -> Result<(), Error> {
    let table = name_of(target)?;
    let query = "SELECT CASE WHEN atttypid <> 'pg_catalog.jsonb'::pg_catalog.regtype THEN 'type'
                             WHEN attgenerated <> '' THEN 'generated' ELSE '' END
                   FROM pg_catalog.pg_attribute
                  WHERE attrelid = $1 AND attname = $2::pg_catalog.name AND attnum > 0 AND NOT attisdropped";
    let problem = match query::one::<String>(query, &[target.into(), column.into()])?.as_deref() {
        Some("") => {
            let note = "UPDATE rolecall.protected_tables SET acl_column = $2 WHERE target = $1";
            return roles::run(note, &[target.into(), column.into()]).map(|_| ());
        }
        None => "does not exist",
        Some("type") => "is no jsonb",
        Some(_) => "is generated",
    };
    Err(Error::Columns { what: "acl_column", table, column: column.into(), problem })
}

/// Raises an error if ACLs name a role that is to be `what`: its name could become somebody else's.
pub fn must_not_name(role: &str, what: &'static str) -> Result<(), Error> {
    let tables = Spi::connect(|client| {
        let mut tables = Vec::new();
        let query = "SELECT target::pg_catalog.oid, acl_column::pg_catalog.text FROM rolecall.protected_tables
                      WHERE acl_column IS NOT NULL
                      UNION ALL SELECT oid, 'acl' FROM pg_catalog.pg_class
                      WHERE oid IN ('rolecall.queues'::pg_catalog.regclass, 'rolecall.work_queues'::pg_catalog.regclass)
                      ORDER BY 1";
        for row in client.select(query, None, &[])? {
            tables.extend(row.get::<pg_sys::Oid>(1)?.zip(row.get::<String>(2)?));
        }
        Ok::<_, Error>(tables)
    })?;
    for (target, column) in tables {
        let (table, column) = (name_of(target)?, identifier(&column));
        let names = |name: &str| ["id", "_id"].map(|key| serde_json::json!([{ key: name }]).to_string());
        let tests = [names(role), names(&format!("role:{role}"))].concat().into_iter();
        let tests = tests.map(|entry| format!("{column} @> {}", policy::sql::literal(&entry)));
        let tests = tests.collect::<Vec<_>>().join(" OR ");
        if query::one::<bool>(&format!("SELECT true FROM {table} WHERE {tests} LIMIT 1"), &[])?.is_some() {
            return Err(Error::NamedInAcls { role: role.into(), what, table });
        }
    }
    Ok(())
}
