//! The extension's part of the page: its roles, what they may do with which rows, and queues of work.

use crate::access::{Held, grouped, held};
use crate::catalog::Session;
use crate::error::Error;
use policy::spec::TableName;
use policy::spec::access::{Action, Terms};
use postgres::Client;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// What the extension holds; roles are numbers.
#[derive(Default, Serialize)]
pub struct AccessModel {
    /// Why there is nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
    roles: Vec<Role>,
    tables: Vec<Table>,
    queues: Vec<Queue>,
}

#[derive(Serialize)]
struct Role {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    /// Whether every session holds it.
    everybody: bool,
    built_in: bool,
    pool: bool,
    /// Who holds it, as a number of users: nobody's name is on the page.
    users: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_role: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    server: String,
    scopes: BTreeSet<String>,
    groups: Vec<usize>,
}

#[derive(Serialize)]
struct Table {
    name: String,
    protected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl_column: Option<String>,
    notes: Vec<String>,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
struct Rule {
    role: usize,
    actions: String,
    rows: String,
    with: Vec<String>,
}

#[derive(Serialize)]
struct Queue {
    name: String,
    pool: usize,
    runs: i32,
    notes: String,
}

impl AccessModel {
    /// Reads it; nothing where the extension is not installed.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn read(client: &mut Client, session: &Session) -> Result<Option<Self>, Error> {
        if !held::is_installed(client)? {
            return Ok(None);
        }
        // The page is for everybody who can connect, as the catalogs are; the extension's tables are not.
        if !held::is_readable(client)? {
            let executor = &session.executor;
            let unread =
                format!("{executor} may not read what rolecall holds here: superusers and the extension's owner may.");
            return Ok(Some(Self { unread: Some(unread), ..Self::default() }));
        }
        Ok(Some(Self::new(&held::read(client)?)))
    }

    fn new(held: &Held) -> Self {
        let numbers: HashMap<&str, usize> = held.roles.keys().map(String::as_str).zip(0..).collect();
        let number = |name: &String| numbers.get(name.as_str()).copied().unwrap_or_default();
        let queue = |queue: &held::WorkQueue| Queue {
            name: queue.name.clone(),
            pool: number(&queue.pool),
            runs: queue.max_retries,
            notes: about_queue(queue),
        };
        Self {
            unread: None,
            roles: held.roles.values().map(|it| role(it, it.member_of.iter().map(number).collect())).collect(),
            tables: held.tables.iter().map(|(name, it)| table(name, it, number)).collect(),
            queues: held.work_queues.values().map(queue).collect(),
        }
    }

    /// What of it is on the page, in words.
    pub fn summary(&self) -> String {
        match (&self.unread, self.roles.len()) {
            (Some(_), _) => "without what rolecall holds".to_owned(),
            (None, 1) => "1 role of rolecall".to_owned(),
            (None, count) => format!("{count} roles of rolecall"),
        }
    }
}

fn role(role: &held::Role, groups: Vec<usize>) -> Role {
    let limits = [("good until", &role.latest_expiry), ("for at most", &role.longest_life)];
    let limits = limits.into_iter().filter_map(|(word, limit)| Some(format!(", tokens {word} {}", limit.as_ref()?)));
    Role {
        name: role.name.clone(),
        description: role.description.clone().unwrap_or_default(),
        everybody: role.everybody,
        built_in: role.built_in,
        pool: role.pool,
        users: match role.users {
            _ if role.everybody => "every session".to_owned(),
            _ if role.built_in && role.name == "users" => "every user".to_owned(),
            1 => "1 user directly".to_owned(),
            count => format!("{count} users directly"),
        },
        database_role: role.database_role.clone(),
        server: role.server.iter().cloned().chain(limits).collect(),
        scopes: role.scopes.clone(),
        groups,
    }
}

fn table(name: &TableName, table: &held::Table, number: impl Fn(&String) -> usize) -> Table {
    let users = table.users_table.iter().map(|column| format!("holds the users, by {column}"));
    let exposed = table.exposed.then(|| "exposed in a view, with NULL in cells one may not read".to_owned());
    let relations = table.relations.values().map(|relation| {
        let through = relation.through().map_or(String::new(), |between| format!(" through {between}"));
        format!("relation {} to {}{through}, by {}", relation.name, relation.other(), relation.columns.join(", "))
    });
    let rule = |(role, actions, terms): (&String, Vec<Action>, Terms)| Rule {
        role: number(role),
        actions: actions.iter().map(|action| action.word()).collect::<Vec<_>>().join(", "),
        with: with(&terms),
        rows: match terms.filter.as_object() {
            Some(filter) if filter.is_empty() => "all".to_owned(),
            _ => terms.filter.to_string(),
        },
    };
    Table {
        name: name.to_string(),
        protected: table.protected,
        acl_column: table.acl_column.clone(),
        notes: users.chain(exposed).chain(relations).collect(),
        rules: grouped(table).into_iter().map(rule).collect(),
    }
}

/// What limits writing and columns.
fn with(terms: &Terms) -> Vec<String> {
    let columns = terms.columns.iter().map(|names| format!("columns {}", names.join(", ")));
    let json = [("new row", &terms.new_row), ("preset", &terms.preset)];
    columns.chain(json.into_iter().filter_map(|(what, json)| Some(format!("{what} {}", json.as_ref()?)))).collect()
}

fn about_queue(queue: &held::WorkQueue) -> String {
    let delays = [("a failed one waits", &queue.retry_delay), ("a new one waits", &queue.initial_delay)];
    let delays = delays.into_iter().filter(|(_, delay)| *delay != "00:00:00");
    let copies = [("successful ones go to", &queue.success_queue), ("failed ones go to", &queue.failed_queue)];
    let copies = copies.into_iter().filter_map(|(what, target)| Some((what, target.as_ref()?)));
    let acl = queue.has_acl.then(|| "its ACL says who else may push and pop, and who may not".to_owned());
    delays.chain(copies).map(|(what, value)| format!("{what} {value}")).chain(acl).collect::<Vec<_>>().join("; ")
}
