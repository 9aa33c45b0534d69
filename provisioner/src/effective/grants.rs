//! What each role was given itself, in few lines: one for all objects of a schema and kind that share a privilege.

use super::{Access, How};
use crate::catalog::{Object, RoleId};
use crate::diff::plural;
use policy::spec::{Kind, Privileges};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

/// More names than these are not listed.
const NAMES: usize = 4;

/// An object, or some columns of it if there are any.
type On = (usize, Vec<String>);

/// Some privileges on all or some objects of a kind in a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The schema; none for what lies in none.
    pub schema: Option<Rc<str>>,
    /// The kind, without finer distinction.
    pub kind: Kind,
    /// How the holder has them.
    pub how: How,
    /// Whether it may pass them on.
    pub grant_option: bool,
    /// Which privileges.
    pub privileges: Privileges,
    /// On what.
    pub on: Vec<On>,
}

/// The schema an object is told under, its own if it is one, and its kind.
type Place = (Option<Rc<str>>, Kind);

/// What all roles were given.
pub struct Grants {
    lines: HashMap<RoleId, Vec<Line>>,
    /// All objects there are.
    totals: BTreeMap<Place, Vec<usize>>,
}

type Key = (Option<Rc<str>>, Kind, How, bool, bool);

impl Grants {
    /// Gathers them.
    pub fn new(access: &Access<'_>) -> Self {
        let mut gathered: HashMap<RoleId, BTreeMap<Key, BTreeMap<Privileges, Vec<On>>>> = HashMap::new();
        let mut totals: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
        let mut order: Vec<usize> = (0..access.present.objects.len()).collect();
        order.sort_by_cached_key(|number| access.present.objects[*number].label());
        for number in order {
            let object = &access.present.objects[number];
            let (schema, kind) = place(object);
            totals.entry((schema.clone(), kind)).or_default().push(number);
            let whole = access.sources(object).into_iter().map(|source| (source, None));
            let columns = object.columns.iter().flat_map(|(column, _)| {
                access.column_sources(object, column).into_iter().map(move |source| (source, Some(column)))
            });
            for (source, column) in whole.chain(columns) {
                for known in Privileges::KNOWN.iter().filter(|known| source.privileges.contains(known.set)) {
                    let option = source.how != How::Owner && source.grant_options.contains(known.set);
                    let key = (schema.clone(), kind, source.how, option, column.is_some());
                    let on = gathered.entry(source.holder).or_default().entry(key).or_default();
                    add(on.entry(known.set).or_default(), number, column);
                }
            }
        }
        let lines = gathered.into_iter().map(|(holder, found)| (holder, lines(found)));
        Self { lines: lines.collect(), totals }
    }

    /// What a role was given itself: by schema, what lies in none first.
    pub fn of(&self, role: RoleId) -> &[Line] {
        self.lines.get(&role).map_or(&[], Vec::as_slice)
    }

    /// All objects of a place.
    pub fn total(&self, schema: &Option<Rc<str>>, kind: Kind) -> &[usize] {
        self.totals.get(&(schema.clone(), kind)).map_or(&[], Vec::as_slice)
    }

    /// A line in words: "SELECT on 100 of 101 tables, not x".
    pub fn text(&self, access: &Access<'_>, line: &Line) -> String {
        let all = access.privileges_of(line.kind);
        let on_columns = line.on.iter().any(|(_, columns)| !columns.is_empty());
        let privileges = match line.privileges == all && all.words().len() > 2 && !on_columns {
            true => "everything".to_owned(),
            false => line.privileges.to_string(),
        };
        match self.subject(access, line) {
            subject if subject.is_empty() => privileges,
            subject => format!("{privileges} on {subject}"),
        }
    }

    /// What a line is on: "100 of 101 tables: not x"; empty for a schema, under whose name it stands.
    fn subject(&self, access: &Access<'_>, line: &Line) -> String {
        let name = |number: &usize| access.present.objects[*number].signature();
        if line.on.iter().any(|(_, columns)| !columns.is_empty()) {
            let parts = line.on.iter().map(|(number, columns)| format!("{}({})", name(number), columns.join(", ")));
            return listing(parts.collect());
        }
        if line.kind == Kind::Schema {
            return String::new();
        }
        let all = self.total(&line.schema, line.kind);
        let numbers: Vec<usize> = line.on.iter().map(|(number, _)| *number).collect();
        let held: HashSet<usize> = numbers.iter().copied().collect();
        let missing: Vec<usize> = all.iter().copied().filter(|number| !held.contains(number)).collect();
        let many = plural(line.kind);
        match (numbers.as_slice(), missing.as_slice()) {
            ([one], []) => format!("{} {}", access.present.objects[*one].kind.word().replace('_', " "), name(one)),
            (_, []) => format!("all {} {many}", all.len()),
            (some, few) if few.len() < NAMES && few.len() < some.len() => {
                format!("{} of {} {many}, not {}", some.len(), all.len(), listing(few.iter().map(name).collect()))
            }
            (some, _) => {
                format!("{} of {} {many}: {}", some.len(), all.len(), listing(some.iter().map(name).collect()))
            }
        }
    }
}

fn place(object: &Object) -> Place {
    match object.kind {
        Kind::Schema => (Some(object.name.as_str().into()), Kind::Schema),
        kind => (object.schema.clone(), kind.broad()),
    }
}

/// Adds an object, or one more column to the object that was added last.
fn add(on: &mut Vec<On>, number: usize, column: Option<&String>) {
    match (on.last_mut().filter(|(last, _)| *last == number), column) {
        (None, column) => on.push((number, column.into_iter().cloned().collect())),
        (Some((_, columns)), Some(column)) if !columns.contains(column) => columns.push(column.clone()),
        // Two roles granted the same.
        _ => {}
    }
}

fn lines(found: BTreeMap<Key, BTreeMap<Privileges, Vec<On>>>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for ((schema, kind, how, grant_option, _), by_privilege) in found {
        let first = lines.len();
        for (privilege, on) in by_privilege {
            match lines[first..].iter_mut().find(|line| line.on == on) {
                Some(line) => line.privileges |= privilege,
                None => {
                    let schema = schema.clone();
                    lines.push(Line { schema, kind, how, grant_option, privileges: privilege, on });
                }
            }
        }
    }
    lines
}

fn listing(names: Vec<String>) -> String {
    match names.as_slice() {
        many if many.len() > NAMES => format!("{} and {} more", many[..NAMES - 1].join(", "), many.len() - NAMES + 1),
        few => few.join(", "),
    }
}
