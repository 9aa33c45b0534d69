//! A database with all that rolecall keeps, and who may do what in it, said without SQL.

use crate::acl_oracle::{Entry, ROLES, entry, judge};
use crate::filter_oracle::{Oracle, filters, make_things};
use crate::support::*;
use postgres::Client;
use postgres::types::ToSql;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rolecall_tests::Database;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How somebody says who he is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    Nobody,
    Password,
    ApiToken,
    /// His own login, or that of a member of a role's database role.
    DatabaseRole,
}

/// Somebody who asks.
#[derive(Debug)]
pub struct Person {
    pub name: &'static str,
    pub id: Option<&'static str>,
    email: Option<&'static str>,
    granted: &'static [&'static str],
    pub how: How,
}

pub const PASSWORD: &str = "seven dwarfs, 1 giant";
const ODD: &str = ROLES[5];

pub const PEOPLE: [Person; 9] = [
    Person { name: "nobody", id: None, email: None, granted: &[], how: How::Nobody },
    Person { name: "ann", id: Some("ann-id"), email: Some("a%"), granted: &["r0"], how: How::Password },
    Person { name: "ben", id: Some("ben-id"), email: Some("ab"), granted: &[ODD], how: How::Password },
    Person { name: "cid", id: Some("cid"), email: None, granted: &["r3"], how: How::Password },
    Person {
        name: "Zoë \"7\" O'Tar\ty\\N",
        id: Some("7"),
        email: Some("7"),
        granted: &["r2", "filestore users"],
        how: How::Password,
    },
    Person { name: "root", id: Some("root"), email: None, granted: &["admins"], how: How::Password },
    Person { name: "robot", id: None, email: None, granted: &["r2"], how: How::ApiToken },
    Person {
        name: "sally",
        id: Some("sally"),
        email: None,
        granted: &["r4", "filestore admins"],
        how: How::DatabaseRole,
    },
    Person { name: "clerk", id: None, email: None, granted: &["desk"], how: How::DatabaseRole },
];

/// Role and what its holders hold too.
const MEMBERS: [(&str, &str); 4] = [("r1", "r0"), ("r2", "r1"), ("r4", "r3"), (ODD, "r4")];

impl Person {
    pub fn roles(&self) -> BTreeSet<String> {
        let everybody = self.id.map_or(vec!["guest"], |_| vec!["guest", "users"]);
        let mut roles: BTreeSet<&str> = self.granted.iter().copied().chain(everybody).collect();
        for _ in MEMBERS {
            let more: Vec<_> =
                MEMBERS.iter().filter(|(member, _)| roles.contains(member)).map(|(_, role)| *role).collect();
            roles.extend(more);
        }
        roles.into_iter().map(str::to_owned).collect()
    }

    fn holds(&self, role: &str) -> bool {
        self.roles().contains(role)
    }

    /// The names that an ACL may call him by.
    fn names(&self) -> BTreeSet<String> {
        let roles = self.roles();
        let prefixed: Vec<_> = roles.iter().map(|role| format!("role:{role}")).collect();
        let own = self.id.iter().flat_map(|id| [(*id).to_owned(), self.name.to_owned()]);
        own.chain(roles).chain(prefixed).collect()
    }
}

/// A row of the tables that are all alike.
pub struct Row {
    pub id: i32,
    pub owner: Option<&'static str>,
    number: i32,
    open: bool,
}

impl Row {
    fn is_of(&self, person: &Person) -> bool {
        self.owner.is_some() && self.owner == person.id
    }
}

pub fn rows() -> impl Iterator<Item = Row> {
    let owners = [Some("ann-id"), Some("ben-id"), Some("cid"), Some("7"), None, Some("sally")];
    (1..=24).map(move |id| Row { id, owner: owners[id as usize % 6], number: id % 12, open: id % 5 == 0 })
}

/// What is in the tables, as far as it is drawn.
pub struct World {
    pub things: Vec<Map<String, Value>>,
    /// Role, action, filter.
    rules: Vec<(&'static str, &'static str, Value)>,
    acls: Vec<Vec<Entry>>,
}

pub const NOTES: &str = r#""Odd Schema"."no""tes""#;
/// The tables whose rows have a number, and the columns of those that are all alike.
pub const TABLES: [&str; 9] =
    ["things", "objects", NOTES, "logs", "logs_1", "logs_2", "projects", "drafts", "pictures"];

impl World {
    /// Makes all of it in a database; the API token.
    pub fn make(database: &Database) -> (Self, String) {
        let mut runner = TestRunner::deterministic();
        let mut admin = database.admin();
        let things = make_things(&mut admin);
        let mut rules = Vec::new();
        for role in ROLES.into_iter().chain(["guest", "users", "desk"]) {
            for action in ["select", "insert", "update", "delete"] {
                if prop::bool::weighted(0.7).new_tree(&mut runner).unwrap().current() {
                    let draws = std::iter::repeat_with(|| filters().new_tree(&mut runner).unwrap().current());
                    rules.push((role, action, draws.into_iter().find(|filter| decides(filter, &things)).unwrap()));
                }
            }
        }
        let acls = prop::collection::vec(prop::collection::vec(entry(), 0..5), 80);
        let acls = acls.new_tree(&mut runner).unwrap().current();
        let world = Self { things, rules, acls };
        let token = world.fill(database, &mut admin);
        (world, token)
    }

    fn fill(&self, database: &Database, admin: &mut Client) -> String {
        let [app, sally, clerk] = ["app", "sally", "clerk"].map(|name| database.login(name));
        let call = |admin: &mut Client, sql: &str, arguments: &[&(dyn ToSql + Sync)]| {
            admin.execute(sql, arguments).unwrap_or_else(|e| panic!("{sql} {arguments:?}: {e:?}"));
        };
        run(
            admin,
            &format!(
                "CREATE ROLE {app}_desk; GRANT {app}_desk TO {clerk}; SELECT rolecall.add_default_roles('openflow')"
            ),
        );
        for role in ROLES {
            call(admin, "SELECT rolecall.create_role($1, pool => $1 = 'r4')", &[&role]);
        }
        run(admin, &format!("SELECT rolecall.create_role('desk', 'At the ''desk''', database_role => '{app}_desk')"));
        for (member, role) in MEMBERS {
            call(admin, "SELECT rolecall.grant_role($1, 'role:' || $2)", &[&role, &member]);
        }
        for person in PEOPLE.iter().filter(|person| person.id.is_some()) {
            let by_role = (person.how == How::DatabaseRole).then_some(sally.as_str());
            let create = "SELECT rolecall.create_user($1, $2, $3, $4, id => $5, database_role => $6::text::name)";
            let password = by_role.is_none().then_some("welcome");
            call(admin, create, &[&person.name, &person.email, &password, &person.granted, &person.id, &by_role]);
            if password.is_some() {
                first_token(admin, person.name, "welcome", PASSWORD);
            }
        }
        run(
            admin,
            "SELECT rolecall.create_user('off', password => 'welcome', id => 'off'), rolecall.create_user('new', password => 'welcome'),
                    rolecall.create_user('extra', password => 'welcome', id => 'extra');
             SELECT rolecall.disable_user('off'); SELECT rolecall.grant_scopes('r1', '{a:b,c}'), rolecall.grant_scopes('users', '{d}');
             SELECT rolecall.register_server('north', '{\"scopes\": [\"run\", \"x:y\"]}', longest_life => '30 days');
             SELECT rolecall.create_role('analyst', server => 'north'), rolecall.grant_scopes('analyst', '{run}'), rolecall.grant_role('analyst', 'extra');
             SELECT rolecall.set_registration('domain', '{example.org}', '{r3}')",
        );
        self.make_tables(admin, &app);
        // Changed once the rules were there.
        run(
            admin,
            "ALTER TABLE \"Odd Schema\".old RENAME TO \"no\"\"tes\";
             ALTER TABLE \"Odd Schema\".\"no\"\"tes\" RENAME number TO \"größe\"; ALTER TABLE \"Odd Schema\".\"no\"\"tes\" RENAME owner TO \"own'er\";",
        );
        for table in TABLES.iter().chain(&["people", "salaries"]) {
            run(admin, &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {app}, {sally}, {clerk}"));
        }
        run(admin, &format!("GRANT USAGE ON SCHEMA \"Odd Schema\" TO {app}, {sally}, {clerk}"));
        run(
            admin,
            "SELECT rolecall.expose('salaries'); SELECT rolecall.create_work_queue('done', 'r4', 3); SELECT rolecall.create_work_queue('jobs', 'r4', 3, success_queue => 'done');
             SELECT rolecall.grant_right('rolecall.work_queues', 'jobs', 'cid', '{create}');
             SELECT rolecall.push_item('jobs', jsonb_build_object('n', n), priority => n % 3) FROM generate_series(1, 5) n;
             SELECT rolecall.send('role:r4', jsonb_build_object('n', n), expires_in => '30 days') FROM generate_series(1, 3) n;
             SELECT rolecall.send('ben', '\"hello\"', expires_in => '30 days'), rolecall.send('ann', '\"late\"', expires_in => '1 minute');
             UPDATE rolecall.messages SET due = now() - interval '1 hour', expires_at = now() - interval '1 hour' WHERE payload = '\"late\"';
             SELECT rolecall.expire();
            
             SELECT rolecall.become('sally', 'to work', true); SELECT rolecall.receive('1 day', 'role:r4'); SELECT rolecall.pop_item('jobs', '1 day');
             SELECT rolecall.item_done(item) FROM (SELECT (rolecall.pop_item('jobs') ->> 'item')::bigint AS item) q; SELECT rolecall.logout()",
        );
        let extra = first_token(admin, "extra", "welcome", PASSWORD);
        authenticate(admin, &extra, true);
        run(
            admin,
            "SELECT rolecall.publish_workflow('invoices'), rolecall.issue_token('north', '{analyst}', '20 days'); SELECT rolecall.logout()",
        );
        one(admin, "SELECT rolecall.create_api_token('robot', '{r2}')")
    }

    fn make_tables(&self, admin: &mut Client, app: &str) {
        let like = "(id int, owner text, number int, open boolean)";
        run(
            admin,
            &format!(
                r#"CREATE SCHEMA "Odd Schema"; CREATE TABLE "Odd Schema".old {like}; CREATE TABLE drafts {like};
                CREATE TABLE logs {like} PARTITION BY LIST (open);
                CREATE TABLE logs_1 PARTITION OF logs FOR VALUES IN (true); CREATE TABLE logs_2 PARTITION OF logs DEFAULT;
                CREATE TABLE people (id text PRIMARY KEY, manager text REFERENCES people);
                INSERT INTO people VALUES ('ann-id', NULL), ('ben-id', 'ann-id'), ('cid', 'ann-id'), ('7', 'ben-id'), ('sally', '7');
                CREATE TABLE projects (id int PRIMARY KEY, owner text REFERENCES people, number int, open boolean);
                CREATE TABLE members (project_id int REFERENCES projects DEFERRABLE INITIALLY DEFERRED, person_id text REFERENCES people, PRIMARY KEY (project_id, person_id));
                CREATE TABLE pictures (id int, created_by text, number int, public boolean);
                CREATE TABLE salaries (id int, owner text, amount int, note text);
                CREATE TABLE objects (id int PRIMARY KEY, part int, acl jsonb);"#
            ),
        );
        for Row { id, owner, number, open } in rows() {
            for table in ["\"Odd Schema\".old", "logs", "projects", "drafts", "pictures"] {
                admin
                    .execute(&format!("INSERT INTO {table} VALUES ($1, $2, $3, $4)"), &[&id, &owner, &number, &open])
                    .unwrap();
            }
            admin.execute("INSERT INTO salaries VALUES ($1, $2, $1 * 10, 'note ' || $1)", &[&id, &owner]).unwrap();
        }
        for (id, acl) in self.acls.iter().enumerate() {
            let acl = Value::from(acl.iter().map(Entry::json).collect::<Vec<_>>()).to_string();
            admin.execute("INSERT INTO objects VALUES ($1, $1 % 3, $2::text::jsonb)", &[&(id as i32), &acl]).unwrap();
        }
        let own = r#"'{"owner": {"equals": "__loggedInUserId"}}'"#;
        run(
            admin,
            &format!(
                r#"INSERT INTO members SELECT id, p FROM projects, unnest('{{cid,7}}'::text[]) p WHERE id % 7 = length(p);
                SELECT rolecall.protect(t) FROM unnest(ARRAY['things', '"Odd Schema".old', 'logs', 'logs_2', 'projects', 'salaries']::regclass[]) t;
                SELECT rolecall.protect('objects', 'acl'); SELECT rolecall.file_store('drafts'); CREATE INDEX ON objects USING gin (acl jsonb_path_ops);
                SELECT rolecall.users_table('people', 'id'); SELECT rolecall.add_default_filters('users', 'people', 'pictures');
                SELECT rolecall.relate('projects', 'bosses', 'people', '{{owner}}', '{{id}}');
                SELECT rolecall.allow('users', '"Odd Schema".old', 'all', {own}), rolecall.allow('r1', '"Odd Schema".old', 'select', '{{"number": {{"lt": 6}}}}'),
                       rolecall.allow('guest', '"Odd Schema".old', 'select', '{{"open": {{"equals": true}}}}'),
                       rolecall.allow('r3', '"Odd Schema".old', 'update', '{{"number": {{"gte": 6}}}}', new_row => {own}),
                       rolecall.allow('users', 'logs', 'all', {own}), rolecall.allow('r2', 'logs', 'select', '{{"number": {{"in": [1, 2, 3]}}}}'),
                       rolecall.allow('r2', 'logs', 'delete', '{{"number": {{"equals": 2}}}}'), rolecall.allow('desk', 'logs_2', 'select', '{{"number": {{"gt": 8}}}}'),
                       rolecall.allow('users', 'projects', 'select', '{{"OR": [{{"owner": {{"equals": "__loggedInUserId"}}}}, {{"people": {{"some": {{"is_self": true}}}}}}]}}'),
                       rolecall.allow('r0', 'projects', 'all', '{{"bosses": {{"manager": {{"equals": "__loggedInUserId"}}}}}}'),
                       rolecall.allow('users', 'salaries', 'select', {own}, '{{id,owner,amount}}'), rolecall.allow('r0', 'salaries', 'select', columns => '{{id,note}}'),
                       rolecall.allow('users', 'salaries', 'insert', preset => '{{"owner": "__loggedInUserId"}}'),
                       rolecall.allow('r0', 'objects', 'select', '{{"part": {{"equals": 0}}}}'), rolecall.allow('r0', 'objects', 'delete', '{{"part": {{"equals": 0}}}}')"#
            ),
        );
        for (role, action, filter) in &self.rules {
            let allow = "SELECT rolecall.allow($1, 'things', $2, $3::text::jsonb)";
            admin
                .execute(allow, &[role, action, &filter.to_string()])
                .unwrap_or_else(|e| panic!("{app} {filter}: {e:?}"));
        }
    }

    /// Whether the rules for an action let a row of the things pass.
    fn thing(&self, person: &Person, action: &str, row: &Map<String, Value>) -> bool {
        let oracle = Oracle { row, session: (person.id, person.email), is_broken: false };
        let mut rules = self.rules.iter().filter(|(role, on, _)| *on == action && person.holds(role));
        rules.any(|(_, _, filter)| oracle.filter(filter) == Some(true))
    }

    /// The rows with which somebody may do something.
    pub fn reached(&self, person: &Person, table: &str, action: &str) -> Vec<i32> {
        let may = |id: i32, row: Option<&Row>, action: &str| {
            person.holds("admins")
                || match (table, row) {
                    ("things", _) => self.thing(person, action, &self.things[id as usize]),
                    ("objects", _) => {
                        let right = if action == "select" {
                            1
                        } else if action == "update" {
                            2
                        } else {
                            3
                        };
                        let (allowed, denied) = judge(&self.acls[id as usize], &person.names(), right);
                        allowed || (!denied && person.holds("r0") && id % 3 == 0 && action != "update")
                    }
                    (_, Some(row)) => may_plain(person, table, action, row),
                    (_, None) => false,
                }
        };
        let ids: Vec<(i32, Option<Row>)> = match table {
            "things" => (0..self.things.len() as i32).map(|id| (id, None)).collect(),
            "objects" => (0..self.acls.len() as i32).map(|id| (id, None)).collect(),
            "logs_1" | "logs_2" => {
                rows().filter(|row| row.open == (table == "logs_1")).map(|row| (row.id, Some(row))).collect()
            }
            _ => rows().map(|row| (row.id, Some(row))).collect(),
        };
        let passes = |(id, row): &(i32, Option<Row>)| {
            may(*id, row.as_ref(), "select") && (action == "select" || may(*id, row.as_ref(), action))
        };
        ids.iter().filter(|it| passes(it)).map(|(id, _)| *id).collect()
    }

    /// The things that somebody may insert.
    pub fn inserted(&self, person: &Person) -> Vec<i32> {
        let may = |row| person.holds("admins") || self.thing(person, "insert", row);
        (0..).zip(&self.things).filter(|(_, row)| may(row)).map(|(id, _)| id).collect()
    }
}

/// Whether a filter shows some of the rows, and neither few nor most.
fn decides(filter: &Value, rows: &[Map<String, Value>]) -> bool {
    let shows = |row: &&Map<String, Value>| {
        Oracle { row, session: (Some("7"), Some("7")), is_broken: false }.filter(filter) == Some(true)
    };
    (5..40).contains(&rows.iter().filter(shows).count())
}

fn may_plain(person: &Person, table: &str, action: &str, row: &Row) -> bool {
    let user = person.id.is_some();
    let select = action == "select";
    match table {
        NOTES => {
            row.is_of(person)
                || (select && (row.open || (person.holds("r1") && row.number < 6)))
                || (action == "update" && person.holds("r3") && row.number >= 6)
        }
        "logs" | "logs_1" => {
            row.is_of(person)
                || (person.holds("r2")
                    && ((select && (1..=3).contains(&row.number)) || (action == "delete" && row.number == 2)))
        }
        "logs_2" => select && person.holds("desk") && row.number > 8,
        "projects" => {
            let members: BTreeMap<i32, &str> = [(1, "7"), (3, "cid")].into();
            let is_member = person.id.is_some() && members.get(&(row.id % 7)).copied() == person.id;
            let manager = match row.owner {
                Some("ben-id" | "cid") => Some("ann-id"),
                Some("7") => Some("ben-id"),
                Some("sally") => Some("7"),
                _ => None,
            };
            (select && user && (row.is_of(person) || is_member))
                || (person.holds("r0") && manager.is_some() && manager == person.id)
        }
        "drafts" => person.holds("filestore admins") || (select && person.holds("filestore users")),
        "pictures" => user && (select || action == "update") && (row.open || row.is_of(person)),
        other => panic!("{other}"),
    }
}
