//! Entries of `grants` and `default_privileges`, and putting several into one.

use policy::spec::{Kind, Privileges};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What an entry says about privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Saying {
    /// They are not held.
    Absent,
    /// They are held.
    Held,
    /// They are held and can be passed on.
    GrantOption,
}

/// Objects of a kind, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Names {
    /// All in the schema.
    All,
    /// All but some.
    AllBut(Vec<String>),
    /// Some; none for the database one is connected to.
    These(Vec<String>),
}

/// An entry of `grants`. Names are patterns' texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    /// Empty for kinds that lie in none.
    pub schemas: Vec<String>,
    pub kind: Kind,
    pub names: Names,
    pub columns: Vec<String>,
    pub saying: Saying,
    pub privileges: Privileges,
    pub to: Vec<String>,
}

/// An entry of `default_privileges`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DefaultLine {
    /// Empty for all schemas.
    pub schemas: Vec<String>,
    pub kind: Kind,
    pub creators: Vec<String>,
    pub saying: Saying,
    pub privileges: Privileges,
    pub to: Vec<String>,
}

/// Entries that differ in one thing alone become one, sorted by schema and kind.
pub(super) fn merge(lines: Vec<Line>) -> Vec<Line> {
    // Entries for whole objects stay apart from those for columns.
    let key = |line: &Line| (line.columns.is_empty(), Line { columns: Vec::new(), ..line.clone() });
    let lines = join(lines, key, |one, other| extend(&mut one.columns, other.columns));
    let lines = merge_names(lines);
    let key = |line: &Line| Line { privileges: Privileges::NONE, ..line.clone() };
    let lines = join(lines, key, |one, other| one.privileges |= other.privileges);
    let key = |line: &Line| Line { to: Vec::new(), ..line.clone() };
    let lines = merge_names(join(lines, key, |one, other| extend(&mut one.to, other.to)));
    let key = |line: &Line| Line { schemas: Vec::new(), ..line.clone() };
    let mut lines = join(lines, key, |one, other| extend(&mut one.schemas, other.schemas));
    lines.sort();
    lines
}

fn merge_names(lines: Vec<Line>) -> Vec<Line> {
    let key = |line: &Line| match &line.names {
        Names::These(_) => Line { names: Names::These(Vec::new()), ..line.clone() },
        _ => line.clone(),
    };
    join(lines, key, |one, other| {
        if let (Names::These(names), Names::These(more)) = (&mut one.names, other.names) {
            extend(names, more);
        }
    })
}

/// Like [`merge`]: privileges, grantees, creators, schemas.
pub(super) fn merge_defaults(lines: Vec<DefaultLine>) -> Vec<DefaultLine> {
    let lines = join(
        lines,
        |line| DefaultLine { privileges: Privileges::NONE, ..line.clone() },
        |one, other| {
            one.privileges |= other.privileges;
        },
    );
    let lines =
        join(lines, |line| DefaultLine { to: Vec::new(), ..line.clone() }, |one, other| extend(&mut one.to, other.to));
    let lines = join(
        lines,
        |line| DefaultLine { creators: Vec::new(), ..line.clone() },
        |one, other| {
            extend(&mut one.creators, other.creators);
        },
    );
    // Entries for all schemas stay apart from those for some.
    let key = |line: &DefaultLine| (line.schemas.is_empty(), DefaultLine { schemas: Vec::new(), ..line.clone() });
    let mut lines = join(lines, key, |one, other| extend(&mut one.schemas, other.schemas));
    lines.sort();
    lines
}

fn join<T, K: Ord>(items: Vec<T>, key: impl Fn(&T) -> K, add: impl Fn(&mut T, T)) -> Vec<T> {
    let mut joined: BTreeMap<K, T> = BTreeMap::new();
    for item in items {
        match joined.entry(key(&item)) {
            Entry::Vacant(place) => {
                place.insert(item);
            }
            Entry::Occupied(mut place) => add(place.get_mut(), item),
        }
    }
    joined.into_values().collect()
}

fn extend(names: &mut Vec<String>, more: Vec<String>) {
    names.extend(more);
    names.sort();
    names.dedup();
}
