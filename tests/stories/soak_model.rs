//! What the soak's rules mean, said without rolecall, and what was in force when.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub const USERS: usize = 12;
pub const ROLES: usize = 6;
pub const ROWS: usize = 300;
/// The rows whose ACLs change.
pub const SHARED: usize = 20;

/// A document; all is told by its number.
#[derive(Clone, Copy)]
pub struct Row(pub usize);

impl Row {
    pub fn owner(self) -> usize {
        self.0 % USERS
    }
    pub fn team(self) -> usize {
        self.0 % 5
    }
    pub fn level(self) -> usize {
        self.0 / 7 % 10
    }
    pub fn public(self) -> bool {
        self.0.is_multiple_of(11)
    }
}

type Meaning = fn(Row, usize) -> bool;

/// Filters, and which rows of a user's they are about.
pub fn filters() -> [(Value, Meaning); 8] {
    let mine = json!({"owner": {"equals": "__loggedInUserId"}});
    [
        (json!({}), |_, _| true),
        (mine.clone(), |row, user| row.owner() == user),
        (json!({"public": {"equals": true}}), |row, _| row.public()),
        (json!({"team": {"in": [0, 2]}}), |row, _| [0, 2].contains(&row.team())),
        (json!({"level": {"gte": 5}, "team": {"not_equals": 3}}), |row, _| row.level() >= 5 && row.team() != 3),
        (json!({"NOT": mine, "team": {"equals": 1}}), |row, user| row.owner() != user && row.team() == 1),
        (json!({"OR": [{"public": {"equals": true}}, mine]}), |row, user| row.public() || row.owner() == user),
        (json!({"level": {"lt": 0}}), |_, _| false),
    ]
}

/// Who is what.
#[derive(Clone, Default)]
pub struct People {
    /// The roles given to users, and to roles (`member` has what `role` may).
    pub users: BTreeSet<(usize, usize)>,
    pub nested: BTreeSet<(usize, usize)>,
    pub disabled: BTreeSet<usize>,
    /// Which of a user's tokens are good.
    pub generation: [i64; USERS],
}

impl People {
    /// The roles of a user, those that come with others too.
    pub fn roles(&self, user: usize) -> BTreeSet<usize> {
        let mut roles: BTreeSet<usize> =
            self.users.iter().filter(|(_, of)| *of == user).map(|(role, _)| *role).collect();
        loop {
            let more = self.nested.iter().filter(|(_, member)| roles.contains(member)).map(|(role, _)| *role);
            let all: BTreeSet<usize> = more.chain(roles.iter().copied()).collect();
            if all.len() == roles.len() {
                return all;
            }
            roles = all;
        }
    }
}

/// Whom a right is given to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    User(usize),
    Role(usize),
}

/// Each role's filter, by its number.
pub type Allowed = BTreeMap<usize, usize>;
/// The entries in the rows' ACLs, each allowing (false) or denying (true).
pub type Acls = BTreeSet<(usize, Member, bool)>;

/// What somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Rows(Vec<i32>),
    /// Nobody is let in with that token.
    Refused,
}

pub fn sees(people: &People, allowed: &Allowed, acls: &Acls, (user, generation): (usize, i64)) -> Seen {
    if people.disabled.contains(&user) || people.generation[user] != generation {
        return Seen::Refused;
    }
    let (roles, filters) = (people.roles(user), filters());
    let named = |row: Row, denies: bool| {
        acls.iter().any(|(of, member, deny)| {
            let me = match member {
                Member::User(other) => *other == user,
                Member::Role(role) => roles.contains(role),
            };
            *of == row.0 && *deny == denies && me
        })
    };
    let permitted =
        |row| roles.iter().any(|role| allowed.get(role).is_some_and(|filter| filters[*filter].1(row, user)));
    let visible = (0..ROWS).map(Row).filter(|row| (permitted(*row) || named(*row, false)) && !named(*row, true));
    Seen::Rows(visible.map(|row| row.0 as i32).collect())
}

/// All that something has been, and what it may have been since some moment.
pub struct Versions<T> {
    all: Mutex<Vec<Arc<T>>>,
    /// The number of the last version whose change has been committed.
    committed: AtomicUsize,
}

impl<T: Clone> Versions<T> {
    pub fn new(first: T) -> Self {
        Self { all: Mutex::new(vec![Arc::new(first)]), committed: AtomicUsize::new(0) }
    }

    pub fn newest(&self) -> Arc<T> {
        self.all.lock().unwrap().last().expect("the first one").clone()
    }

    /// Makes a change, which somebody may see as soon as it begins and everybody must see once it has ended.
    pub fn change(&self, change: impl FnOnce(&mut T), commit: impl FnOnce()) {
        let mut next = (*self.newest()).clone();
        change(&mut next);
        let number = {
            let mut all = self.all.lock().unwrap();
            all.push(Arc::new(next));
            all.len() - 1
        };
        commit();
        self.committed.store(number, Ordering::SeqCst);
    }

    /// How many changes there have been; a moment from which on [`Self::since`] counts.
    pub fn now(&self) -> usize {
        self.committed.load(Ordering::SeqCst)
    }

    pub fn since(&self, moment: usize) -> Vec<Arc<T>> {
        self.all.lock().unwrap()[moment..].to_vec()
    }
}
