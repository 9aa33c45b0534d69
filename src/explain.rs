//! Why somebody may do something with a row, or what he lacks.

use crate::administrators::{is_one, require_administrator};
use crate::backend::account::{self, ADMINISTRATORS, User};
use crate::backend::{acl, owner, session};
use crate::error::{Error, Reported, required};
use crate::permissions::ACTIONS;
use crate::rows::Key;
use crate::tables::{Tables, name_of, row_name};
use crate::{acls, filters, query, users};
use pgrx::prelude::*;
use policy::filter::{Filter, Operand, Part, Table, Type, Variable};
use policy::row_policy;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};

/// Whether somebody, by default oneself, may do something with a table or with one of its rows: by which rule, or which
/// rule came nearest and what it lacks.
#[pg_extern(sql = false)]
fn explain_access(
    target: Option<pg_sys::Oid>,
    action: Option<&str>,
    key: Option<&str>,
    username: Option<&str>,
) -> Reported<pgrx::JsonB> {
    let target = required(target, "target")?;
    let action = self::action(required(action, "action")?, key)?;
    let person = Person::find(username)?;
    // Whether a row that one may not see is there, and what is wrong with it, is no answer for everybody.
    if key.is_some() {
        require_administrator("explain_access() of a row")?;
    }
    Ok(pgrx::JsonB(explain(&person, target, action, key)?))
}

/// The action of that name, with a row or without one.
pub fn action(name: &str, key: Option<&str>) -> Result<&'static str, Error> {
    let Some(action) = ACTIONS.into_iter().find(|known| *known == name) else {
        let problem = "is none of select, insert, update, delete";
        return Err(Error::BadArgument { what: "action", value: name.into(), problem });
    };
    match (action, key) {
        ("insert", Some(key)) => {
            let problem = "is a row's that is there; one that is inserted is not yet";
            Err(Error::BadArgument { what: "key", value: key.into(), problem })
        }
        _ => Ok(action),
    }
}

/// What one must be allowed to do an action: what one updates or deletes one must also be able to read.
pub fn needed(action: &'static str) -> Vec<&'static str> {
    if ["update", "delete"].contains(&action) { vec!["select", action] } else { vec![action] }
}

/// Whoever asks for access.
struct Person {
    user: Option<User>,
    api_token: Option<String>,
    roles: BTreeSet<String>,
    disabled: bool,
}

impl Person {
    /// The user of that name; without one, whoever acts now.
    fn find(username: Option<&str>) -> Result<Self, Error> {
        let session = session::current()?;
        let own = session.user.as_ref().is_some_and(|user| Some(user.username.as_str()) == username);
        let Some(username) = username.filter(|_| !own) else {
            let token = session.api_token().map(str::to_owned);
            return Ok(Self {
                user: session.user.clone(),
                api_token: token,
                roles: session.roles.clone(),
                disabled: false,
            });
        };
        require_administrator("explain_access() of another user")?;
        let missing = || Error::Missing { kind: "user", name: username.into() };
        let id = owner::act(|| users::id_of(username))?;
        let held = account::held_by(&id)?.ok_or_else(missing)?;
        Ok(Self { user: Some(held.user), api_token: None, roles: held.roles, disabled: held.disabled })
    }

    fn variable(&self, variable: Variable) -> Option<String> {
        match variable {
            Variable::UserId => self.user.as_ref().map(|user| user.id.clone()),
            Variable::UserEmail => self.user.as_ref().and_then(|user| user.email.clone()).filter(|it| !it.is_empty()),
            Variable::ApiToken => self.api_token.clone(),
        }
    }
}

fn explain(person: &Person, target: pg_sys::Oid, action: &'static str, key: Option<&str>) -> Result<Value, Error> {
    let mut told = Map::new();
    told.insert("allowed".into(), false.into());
    told.insert("reason".into(), Value::Null);
    told.insert("target".into(), name_of(target)?.into());
    told.insert("action".into(), action.into());
    told.insert("user".into(), person.user.as_ref().map(|user| user.username.as_str()).into());
    if let Some(key) = key {
        told.insert("key".into(), key.into());
    }
    let mut end = |allowed: bool, reason: String| {
        told.insert("allowed".into(), allowed.into());
        told.insert("reason".into(), reason.into());
        Ok(Value::Object(told.clone()))
    };
    if person.disabled {
        return end(false, "the user is disabled".into());
    }
    let Some(protected) = owner::act(|| protected(target))? else {
        return end(true, "the table is not protected: only PostgreSQL's own privileges count".into());
    };
    let row = key.map(|key| Key::find(target, key)).transpose()?;
    if let Some(row) = &row
        && !row.is_there()?
    {
        return end(false, "there is no such row".into());
    }
    if person.roles.contains(ADMINISTRATORS) {
        told.insert("by".into(), json!([{"role": ADMINISTRATORS}]));
        told.insert("allowed".into(), true.into());
        told.insert("reason".into(), "administrators may do everything".into());
        return Ok(told.into());
    }
    let column = owner::act(|| acls::column_of(protected))?;
    let verdict = match (&row, &column) {
        (Some(row), Some(column)) => {
            let judge = |acl: &pgrx::AnyElement| acl::verdict_on(person.user.as_ref(), &person.roles, acl);
            Some((row.acl(column, judge)?, column))
        }
        _ => None,
    };
    let needed = needed(action);
    let rules = Rules::read(person, protected, target, row.as_ref(), &needed)?;
    let mut by = Vec::new();
    for needed in needed {
        let (passing, failing) = rules.of(needed);
        let right = policy::acl::Rights::named(row_policy::right(needed)).unwrap_or(policy::acl::Rights::ALL);
        if let Some((verdict, column)) = &verdict {
            if verdict.allows(right) {
                by.push(json!({"acl": column, "action": needed}));
                continue;
            }
            if verdict.denies(right) {
                told.insert("nearest".into(), json!({"acl": column, "action": needed}));
                told.insert(
                    "reason".into(),
                    format!("the row's ACL denies the right to {}", row_policy::right(needed)).into(),
                );
                return Ok(told.into());
            }
        }
        // Without a row, its list may say anything; of a new one, to a user.
        let by_some_acl = column.as_ref().filter(|_| row.is_none() && (needed != "insert" || person.user.is_some()));
        if let Some(column) = by_some_acl {
            by.push(json!({"acl": column, "action": needed}));
        } else if passing.is_empty() {
            let (reason, nearest) = denial(needed, action, failing);
            told.insert("reason".into(), reason.into());
            if let Some(nearest) = nearest {
                told.insert("nearest".into(), nearest);
            }
            return Ok(told.into());
        }
        by.extend(passing.iter().map(|rule| rule.shown()));
    }
    told.insert("allowed".into(), true.into());
    let reason = if row.is_some() { "a rule lets it through" } else { "a rule lets some rows through" };
    told.insert("reason".into(), reason.into());
    told.insert("by".into(), by.into());
    Ok(told.into())
}

/// Why none of the rules lets it through, and the one that comes nearest.
fn denial(needed: &str, action: &str, failing: Vec<&Rule>) -> (String, Option<Value>) {
    let unreadable = if needed == action { "" } else { ", which it takes to do that" };
    let nearest = failing.into_iter().min_by_key(|rule| (usize::from(!rule.held) + rule.lacks.len(), !rule.held));
    let Some(rule) = nearest else {
        return (format!("no rule lets anybody but administrators {needed} rows of it{unreadable}"), None);
    };
    let reason = match (rule.held, rule.lacks.is_empty()) {
        (false, true) => format!("role {:?} is missing, which may {needed} it{unreadable}", rule.role),
        (true, _) => {
            format!("role {:?} may {needed} rows that match its filter, and this one does not{unreadable}", rule.role)
        }
        (false, false) => format!("none of the user's roles may {needed} rows of it{unreadable}"),
    };
    let mut shown = rule.shown();
    shown["held"] = rule.held.into();
    shown["lacks"] = rule.lacks.clone().into();
    (reason, Some(shown))
}

/// The table whose rules a table has: itself, or one that it is a partition or child of.
pub fn protected(target: pg_sys::Oid) -> Result<Option<pg_sys::Oid>, Error> {
    let query = "WITH RECURSIVE above AS (
            SELECT $1::oid AS parent, 0 AS far
             UNION ALL
            SELECT i.inhparent, far + 1 FROM above a JOIN pg_inherits i ON i.inhrelid = a.parent)
        SELECT p.target::oid FROM above a JOIN rolecall.protected_tables p ON p.target = a.parent ORDER BY far LIMIT 1";
    query::one::<pg_sys::Oid>(query, &[target.into()])
}

/// A rule: role, action, filter and columns.
type Row = (String, String, String, Option<Vec<String>>);

/// A table's rules for some actions.
pub fn rules(protected: pg_sys::Oid, actions: &[&str]) -> Result<Vec<Row>, Error> {
    let actions: Vec<String> = actions.iter().map(|action| (*action).to_owned()).collect();
    let query = "SELECT role, action, filter::pg_catalog.text, columns FROM rolecall.permissions
                  WHERE target = $1 AND action = ANY ($2) ORDER BY role";
    Spi::connect(|client| {
        let mut found = Vec::new();
        for row in client.select(query, None, &[protected.into(), actions.into()])? {
            let text = |at| row.get::<String>(at).map(Option::unwrap_or_default);
            found.push((text(1)?, text(2)?, text(3)?, row.get::<Vec<String>>(4)?));
        }
        Ok(found)
    })
}

/// A permission, and what the row lacks of it.
struct Rule {
    role: String,
    action: String,
    filter: Value,
    columns: Option<Vec<String>>,
    held: bool,
    lacks: Vec<Value>,
}

impl Rule {
    fn shown(&self) -> Value {
        let mut shown = json!({"role": self.role, "action": self.action, "filter": self.filter});
        if let Some(columns) = &self.columns {
            shown["columns"] = columns.clone().into();
        }
        shown
    }
}

struct Rules(Vec<Rule>);

impl Rules {
    fn read(
        person: &Person,
        protected: pg_sys::Oid,
        target: pg_sys::Oid,
        row: Option<&Key>,
        actions: &[&str],
    ) -> Result<Self, Error> {
        let tables = Tables::default();
        let found = owner::act(|| self::rules(protected, actions))?;
        // Somebody who is no administrator learns of his own roles' rules only.
        let sees_all = is_one()?;
        let mut rules = Vec::new();
        for (role, action, filter, columns) in found {
            let held = person.roles.contains(&role);
            if !held && !sees_all {
                continue;
            }
            let condition = filters::read(&tables, protected, &filter)?;
            let filter: Value = serde_json::from_str(&filter).unwrap_or_default();
            let lacks = match row {
                None => Vec::new(),
                Some(row) => {
                    filters::must_see_all(&tables, &condition)?;
                    lacks(person, &tables, protected, &row_name(target)?, &filter, row)?
                }
            };
            rules.push(Rule { role, action, filter, columns, held, lacks });
        }
        Ok(Self(rules))
    }

    /// Those of an action that let it through, and those that do not.
    fn of(&self, action: &str) -> (Vec<&Rule>, Vec<&Rule>) {
        self.0.iter().filter(|rule| rule.action == action).partition(|rule| rule.held && rule.lacks.is_empty())
    }
}

/// What a row lacks of a filter, for that person.
fn lacks(
    person: &Person,
    tables: &Tables,
    protected: pg_sys::Oid,
    row_name: &str,
    filter: &Value,
    row: &Key,
) -> Result<Vec<Value>, Error> {
    let table: &Table = &*tables.get(protected)?;
    let splits = |field: &str| table.column(field).is_some_and(|column| column.data_type != Type::Json);
    let whole = Part::of(filter, &splits);
    let parts = whole.all();
    let condition = |filter: &Value| {
        let related = |id| tables.related(id);
        let read = Filter::read(table, &related, filter);
        let read = read.map_err(|error| Error::Filter { table: table.name.clone(), error: Box::new(error) })?;
        Ok::<_, Error>(read.bind(&|variable| Operand::Bound(person.variable(variable))).to_sql(row_name))
    };
    let conditions = parts.iter().map(|part| condition(&part.filter)).collect::<Result<Vec<_>, _>>()?;
    let query = format!(
        "SELECT ARRAY[{}]::pg_catalog.bool[] FROM {} WHERE {}",
        conditions.iter().map(|condition| format!("({condition})")).collect::<Vec<_>>().join(", "),
        row.table,
        row.condition
    );
    let truths = query::one::<Vec<Option<bool>>>(&query, &[row.key.into()])?;
    let truths = truths.ok_or_else(|| Error::Missing { kind: "row", name: row.key.into() })?;
    let truths: HashMap<*const Part, Option<bool>> =
        parts.iter().map(|part| std::ptr::from_ref(*part)).zip(truths).collect();
    Ok(whole.lacks(&|part| truths.get(&std::ptr::from_ref(part)).copied().flatten()))
}
