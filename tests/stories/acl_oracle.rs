//! Random access-control lists, roles and permissions: what PostgreSQL shows, and what an evaluator that knows neither
//! SQL nor JSON says. `ROLECALL_FILTERS` is how many lists there are.

use crate::support::*;
use postgres::Client;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub const ROLES: [&str; 6] = ["r0", "r1", "r2", "r3", "r4", "o'r \"5\""];
const USERS: [&str; 4] = ["ann", "ben", "cid", "root"];
const RIGHTS: [&str; 5] = ["create", "read", "update", "delete", "invoke"];

/// An entry, before it is written down.
#[derive(Clone, Debug)]
pub struct Entry {
    name: String,
    /// By the right's place in `RIGHTS`; None: something that is no list of rights.
    rights: Option<[bool; 5]>,
    denies: bool,
    /// How it is written.
    openflow: bool,
    extras: usize,
}

impl Entry {
    pub fn json(&self) -> Value {
        let names =
            |rights: [bool; 5]| RIGHTS.iter().zip(rights).filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        let number = |rights: [bool; 5]| rights.iter().rev().fold(0, |number, has| number * 2 + i64::from(*has));
        let all = Some([true; 5]);
        let rights: Value = match self.rights {
            None if self.openflow => json!(-7),
            None => json!(["read", "wirte"]),
            rights if rights == all && self.openflow && self.extras == 0 => json!(-1),
            rights if rights == all && !self.openflow && self.extras == 0 => json!(["full_control"]),
            Some(rights) if self.openflow => json!(number(rights) + if self.extras == 1 { 0xff00 } else { 0 }),
            Some(rights) => names(rights),
        };
        let mut entry = json!({ if self.openflow { "_id" } else { "id" }: self.name, "rights": rights });
        for extra in 0..self.extras {
            entry["x".repeat(extra + 1)] = json!([{ "id": "ann" }, extra, "a name that takes some room", 0.5]);
        }
        if self.denies || self.extras == 2 {
            entry["deny"] = self.denies.into();
        }
        entry
    }
}

pub fn entry() -> impl Strategy<Value = Entry> {
    let names: Vec<String> = ROLES.iter().flat_map(|role| [(*role).to_owned(), format!("role:{role}")]).collect();
    let others =
        ["ann-id", "ben-id", "cid", "users", "role:guest", "nobody", "r", "role:", "admins"].map(str::to_owned);
    let name = prop::sample::select([names, others.to_vec()].concat());
    let rights = prop_oneof![1 => Just(None), 3 => Just(Some([true; 5])), 12 => any::<[bool; 5]>().prop_map(Some)];
    (name, rights, prop::bool::weighted(0.2), any::<bool>(), 0..4_usize)
        .prop_map(|(name, rights, denies, openflow, extras)| Entry { name, rights, denies, openflow, extras })
}

/// Who belongs to what.
#[derive(Debug)]
struct People {
    /// Role by member.
    roles: Vec<(usize, usize)>,
    /// Role by user.
    users: Vec<(usize, usize)>,
}

impl People {
    fn names_of(&self, user: usize) -> BTreeSet<String> {
        let mut roles: BTreeSet<usize> =
            self.users.iter().filter(|(who, _)| *who == user).map(|(_, role)| *role).collect();
        for _ in ROLES {
            let more: Vec<_> =
                self.roles.iter().filter(|(member, _)| roles.contains(member)).map(|(_, role)| *role).collect();
            roles.extend(more);
        }
        let own = [["ann-id", "ann"], ["ben-id", "ben"], ["cid", "cid"], ["root", "root"]][user];
        let roles = roles.into_iter().map(|role| ROLES[role]).chain(["users", "guest"]);
        let roles: Vec<_> = roles.flat_map(|role| [role.to_owned(), format!("role:{role}")]).collect();
        own.map(str::to_owned).into_iter().chain(roles).collect()
    }
}

/// Whether a list lets somebody, and whether it keeps him out.
pub fn judge(acl: &[Entry], names: &BTreeSet<String>, right: usize) -> (bool, bool) {
    let (mut allowed, mut denied) = (false, false);
    for entry in acl.iter().filter(|entry| names.contains(&entry.name)) {
        match (entry.rights, entry.denies) {
            (Some(rights), true) => denied |= rights[right],
            (None, true) => denied = true,
            (Some(rights), false) => allowed |= rights[right],
            (None, false) => {}
        }
    }
    (allowed && !denied, denied)
}

pub fn ids(client: &mut Client, sql: &str) -> Vec<i32> {
    let mut transaction = client.transaction().unwrap();
    let rows = transaction.query(sql, &[]).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let mut ids: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn random_acls_show_what_they_say() {
    let mut runner = TestRunner::deterministic();
    let mut draw = |count: usize, length: std::ops::Range<usize>| {
        let lists = prop::collection::vec(prop::collection::vec(entry(), length), count);
        lists.new_tree(&mut runner).unwrap().current()
    };
    let count = std::env::var("ROLECALL_FILTERS").map_or(600, |count| count.parse().expect("a number"));
    let mut lists = draw(count, 0..6);
    // Long lists: stored apart, compressed, and with offsets among the lengths.
    lists.extend(draw(20, 30..300));
    for round in 0..4 {
        one_world(&lists, round);
    }
}

fn one_world(lists: &[Vec<Entry>], round: usize) {
    let memberships =
        [vec![(1, 0), (2, 1), (4, 3)], vec![(5, 0)], vec![], vec![(5, 4), (4, 3), (3, 2), (2, 1), (1, 0)]];
    let granted = [
        vec![(0, 2), (1, 0), (2, 4)],
        vec![(0, 5), (1, 1)],
        vec![(0, 0), (0, 1), (1, 2), (2, 5)],
        vec![(0, 5), (1, 3), (2, 0)],
    ];
    let people = People { roles: memberships[round].clone(), users: granted[round].clone() };
    let database = database();
    let app = database.login("app");
    let mut admin = database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE objects (id int PRIMARY KEY, part int, acl jsonb);
             GRANT SELECT, UPDATE, DELETE ON objects TO {app};
             SELECT rolecall.create_user('ann', id => 'ann-id', password => 'welcome'),
                    rolecall.create_user('ben', id => 'ben-id', password => 'welcome'),
                    rolecall.create_user('cid', id => 'cid', password => 'welcome'),
                    rolecall.create_user('root', id => 'root', password => 'welcome', roles => '{{admins}}');"
        ),
    );
    let call = |admin: &mut Client, sql: &str, arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(|it| it as &(dyn postgres::types::ToSql + Sync)).collect();
        admin.execute(sql, &arguments).unwrap_or_else(|e| panic!("{sql} {arguments:?}: {e:?}"));
    };
    for role in ROLES {
        call(&mut admin, "SELECT rolecall.create_role($1)", &[role]);
    }
    for (member, role) in &people.roles {
        call(&mut admin, "SELECT rolecall.grant_role($1, $2)", &[ROLES[*role], &format!("role:{}", ROLES[*member])]);
    }
    for (user, role) in &people.users {
        call(&mut admin, "SELECT rolecall.grant_role($1, $2)", &[ROLES[*role], USERS[*user]]);
    }
    // Before the table is protected, so that what is no list gets in too.
    for (id, list) in lists.iter().enumerate() {
        let acl = Value::from(list.iter().map(Entry::json).collect::<Vec<_>>()).to_string();
        admin.execute("INSERT INTO objects VALUES ($1, $1 % 3, $2::text::jsonb)", &[&(id as i32), &acl]).unwrap();
    }
    run(&mut admin, "SELECT rolecall.protect('objects', 'acl')");
    let permitted = round % 2 == 1;
    if permitted {
        run(
            &mut admin,
            r#"SELECT rolecall.allow('r0', 'objects', 'select', '{"part": {"equals": 0}}'),
                      rolecall.allow('r0', 'objects', 'delete', '{"part": {"equals": 0}}')"#,
        );
    }
    if round >= 2 {
        run(&mut admin, "CREATE INDEX ON objects USING gin (acl jsonb_path_ops); ANALYZE objects");
    }
    for (user, username) in USERS.into_iter().enumerate() {
        let names = people.names_of(user);
        let token = first_token(&mut admin, username, "welcome", "wonderland 1865");
        let mut client = database.connect(&app);
        authenticate(&mut client, &token, true);
        if round >= 2 {
            run(&mut client, "SET enable_seqscan = off");
        }
        let may = |id: usize, right: usize| {
            let (allowed, denied) = judge(&lists[id], &names, right);
            let by_rule = permitted && names.contains("r0") && id.is_multiple_of(3) && (right == 1 || right == 3);
            username == "root" || allowed || (by_rule && !denied)
        };
        let expect = |rights: &[usize]| {
            (0..lists.len())
                .filter(|id| rights.iter().all(|right| may(*id, *right)))
                .map(|id| id as i32)
                .collect::<Vec<_>>()
        };
        let told = format!("{username} of {names:?} in round {round}");
        assert_eq!(ids(&mut client, "SELECT id FROM objects"), expect(&[1]), "{told} reads");
        assert_eq!(ids(&mut client, "UPDATE objects SET part = part RETURNING id"), expect(&[1, 2]), "{told} updates");
        assert_eq!(ids(&mut client, "DELETE FROM objects RETURNING id"), expect(&[1, 3]), "{told} deletes");
        for right in [0, 4] {
            let sql = format!("SELECT id FROM objects WHERE rolecall.acl_allows(acl, '{}')", RIGHTS[right]);
            assert_eq!(ids(&mut client, &sql), expect(&[1, right]), "{told}: {}", RIGHTS[right]);
        }
    }
}
