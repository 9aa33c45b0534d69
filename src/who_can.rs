//! Who may do something with a row.

use crate::administrators::require_administrator;
use crate::backend::account::{self, ADMINISTRATORS};
use crate::backend::{acl, jsonb, owner};
use crate::error::{Error, Reported, required};
use crate::rows::Key;
use crate::tables::{Tables, row_name};
use crate::{acls, explain, filters};
use pgrx::prelude::*;
use policy::acl::Rights;
use policy::filter::Operand;
use policy::row_policy;
use std::collections::{BTreeMap, BTreeSet};

/// By user name, what lets the user through.
type Users = BTreeMap<String, String>;

/// The users who may do something with a table or with one of its rows, and what lets them.
#[pg_extern(sql = false)]
fn who_can(
    target: Option<pg_sys::Oid>,
    action: Option<&str>,
    key: Option<&str>,
) -> Reported<TableIterator<'static, (name!(username, String), name!(via, String))>> {
    require_administrator("who_can()")?;
    let target = required(target, "target")?;
    let action = explain::action(required(action, "action")?, key)?;
    Ok(TableIterator::new(find(target, action, key)?))
}

fn find(target: pg_sys::Oid, action: &'static str, key: Option<&str>) -> Result<Users, Error> {
    let world = owner::act(World::read)?;
    let protected = owner::act(|| explain::protected(target))?
        .ok_or_else(|| Error::NotProtected { table: crate::tables::name_of(target).unwrap_or_default() })?;
    let row = key.map(|key| Key::find(target, key)).transpose()?;
    if let Some(row) = &row
        && !row.is_there()?
    {
        return Err(Error::Missing { kind: "row", name: row.key.into() });
    }
    let mut all: Option<Users> = None;
    for needed in explain::needed(action) {
        let found = world.passing(protected, target, needed, row.as_ref())?;
        all = Some(match all {
            None => found,
            // Who may do both, and what lets him do the one that was asked for.
            Some(former) => found.into_iter().filter(|(user, _)| former.contains_key(user)).collect(),
        });
    }
    let mut users = all.unwrap_or_default();
    users.extend(world.holders(ADMINISTRATORS).map(|at| (world.users[at].0.username.clone(), ADMINISTRATORS.into())));
    Ok(users)
}

/// All users who may act, with their roles.
struct World {
    users: Vec<(account::User, BTreeSet<String>)>,
}

impl World {
    /// Called as the extension's owner.
    fn read() -> Result<Self, Error> {
        let ids = Spi::connect(|client| {
            let mut ids = Vec::new();
            for row in client.select("SELECT id FROM rolecall.users WHERE NOT disabled ORDER BY id", None, &[])? {
                ids.extend(row.get::<String>(1)?);
            }
            Ok::<_, Error>(ids)
        })?;
        let held = ids.iter().map(|id| account::held_by(id)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { users: held.into_iter().flatten().map(|held| (held.user, held.roles)).collect() })
    }

    /// The places of the users who hold a role.
    fn holders(&self, role: &str) -> impl Iterator<Item = usize> {
        self.users.iter().enumerate().filter(move |(_, (_, roles))| roles.contains(role)).map(|(at, _)| at)
    }

    /// Those whom permissions or the row's ACL let do the action.
    fn passing(
        &self,
        protected: pg_sys::Oid,
        target: pg_sys::Oid,
        action: &str,
        row: Option<&Key>,
    ) -> Result<Users, Error> {
        let mut passing = Users::new();
        let rules = owner::act(|| explain::rules(protected, &[action]))?;
        for (role, _, filter, _) in rules {
            let holders: Vec<usize> = self.holders(&role).collect();
            let holders = match row {
                Some(row) => self.matching(protected, target, &filter, row, holders)?,
                None => holders,
            };
            for at in holders {
                passing.entry(self.users[at].0.username.clone()).or_insert_with(|| format!("role {role}"));
            }
        }
        let column = owner::act(|| acls::column_of(protected))?;
        if let (None, "insert", Some(column)) = (row, action, &column) {
            for (user, _) in &self.users {
                passing.entry(user.username.clone()).or_insert_with(|| format!("the ACL in {column}"));
            }
        }
        if let (Some(row), Some(column)) = (row, column) {
            let right = Rights::named(row_policy::right(action)).unwrap_or(Rights::ALL);
            row.acl(&column, |list| {
                for (user, roles) in &self.users {
                    let verdict = acl::verdict_on(Some(user), roles, list)?;
                    if verdict.allows(right) {
                        passing.entry(user.username.clone()).or_insert_with(|| format!("the ACL in {column}"));
                    } else if verdict.denies(right) {
                        passing.remove(&user.username);
                    }
                }
                Ok(())
            })?;
        }
        Ok(passing)
    }

    /// Those of the users for whom the row matches the filter: one query for all of them.
    fn matching(
        &self,
        protected: pg_sys::Oid,
        target: pg_sys::Oid,
        filter: &str,
        row: &Key,
        users: Vec<usize>,
    ) -> Result<Vec<usize>, Error> {
        let tables = Tables::default();
        let condition = filters::read(&tables, protected, filter)?;
        filters::must_see_all(&tables, &condition)?;
        let query = format!(
            "SELECT rolecall_asker_at FROM {}, ROWS FROM (pg_catalog.unnest($2::int8[]), pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[])) AS rolecall_asker (rolecall_asker_at, rolecall_asker_id, rolecall_asker_email)
              WHERE {} AND {}",
            row.table,
            row.condition,
            condition.bind(&Operand::Asker).to_sql(&row_name(target)?)
        );
        let places: Vec<i64> = users.iter().filter_map(|at| i64::try_from(*at).ok()).collect();
        let ids: Vec<String> = users.iter().map(|at| self.users[*at].0.id.clone()).collect();
        let emails: Vec<Option<String>> = users.iter().map(|at| self.users[*at].0.email.clone()).collect();
        Spi::connect(|client| {
            let mut matching = Vec::new();
            for row in client.select(&query, None, &[row.key.into(), places.into(), ids.into(), emails.into()])? {
                matching.extend(row.get::<i64>(1)?.and_then(|at| usize::try_from(at).ok()));
            }
            Ok(matching)
        })
    }
}

impl Key<'_> {
    /// Whether there is such a row.
    pub fn is_there(&self) -> Result<bool, Error> {
        let there = format!("SELECT true FROM {} WHERE {}", self.table, self.condition);
        Ok(crate::query::one::<bool>(&there, &[self.key.into()])?.is_some())
    }

    /// Does something with the row's ACL, which is an empty one where it has none.
    pub fn acl<T>(&self, column: &str, what: impl FnOnce(&pgrx::AnyElement) -> Result<T, Error>) -> Result<T, Error> {
        let column = policy::sql::identifier(column);
        let query = format!("SELECT coalesce({column}, '[]') FROM {} WHERE {}", self.table, self.condition);
        Spi::connect(|client| {
            let rows = client.select(&query, Some(1), &[self.key.into()])?.first();
            let acl = jsonb::hand_out(&rows)?;
            what(&acl.ok_or_else(|| Error::Missing { kind: "row", name: self.key.into() })?)
        })
    }
}
