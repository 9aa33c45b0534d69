//! Privileges on objects that exist.

use super::cells::{Cell, Cells};
use super::statements::{grant, labels, plural, revoke, roles};
use super::{Request, defaults, managed_roles, passed_on};
use crate::catalog::{AclItem, Object, Present, Resolved, RoleId};
use crate::error::Error;
use crate::plan::{Flag, Operation, Requirement, Sign};
use policy::spec::{Kind, Privileges};
use policy::sql::identifier;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

/// What several objects have in common, so that one statement serves them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    section: String,
    kind: Kind,
    privileges: Privileges,
    /// For a grant: with grant option. For a revoke: only the grant option.
    option: bool,
    /// For a revoke: who granted.
    grantor: Option<RoleId>,
    /// For a revoke: through how many hands it went before.
    depth: usize,
    reason: Reason,
    roles: Vec<RoleId>,
}

/// Why something is taken away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    DeclaredAbsent,
    /// Its grantor may no longer grant it; the owner grants it anew.
    PassedOn,
    Undeclared,
}

type Groups = BTreeMap<Group, Vec<usize>>;

pub(super) fn diff(request: &Request<'_>, present: &mut Present, resolved: &Resolved) -> Result<Vec<Operation>, Error> {
    let cells = Cells::gather(request, present, resolved)?;
    let allowed = defaults::declared(request, present)?;
    let managed = managed_roles(request, present);
    let mut comparison = Comparison {
        request,
        present,
        cells: &cells,
        allowed: &allowed,
        managed: &managed,
        grants: Groups::new(),
        revokes: Groups::new(),
        columns: Vec::new(),
        lost: HashSet::new(),
    };
    let mut wanted: Vec<Vec<RoleId>> = vec![Vec::new(); present.objects.len()];
    for (object, to) in cells.objects.keys() {
        wanted[*object].push(*to);
    }
    for (number, object) in present.objects.iter().enumerate() {
        comparison.object(number, object, &wanted[number]);
    }
    comparison.compare_columns();
    Ok(comparison.operations())
}

struct Comparison<'a> {
    request: &'a Request<'a>,
    present: &'a Present,
    cells: &'a Cells,
    allowed: &'a defaults::Declared,
    managed: &'a HashSet<RoleId>,
    grants: Groups,
    revokes: Groups,
    columns: Vec<Operation>,
    /// Column privileges that a revoke on the whole table takes along: object, grantee, grantor, privilege.
    lost: HashSet<(usize, RoleId, RoleId, Privileges)>,
}

/// Something that goes.
struct Taken<'a> {
    item: &'a AclItem,
    privileges: Privileges,
    /// Only the grant option.
    option: bool,
    reason: Reason,
}

impl Comparison<'_> {
    fn object(&mut self, number: usize, object: &Object, wanted: &[RoleId]) {
        let items = effective(object);
        let mut taken = Vec::new();
        for item in items.iter().filter(|item| item.grantee != object.owner) {
            taken.extend(self.held(number, object, item, &items));
        }
        let rest = passed_on::without(&items, &taken);
        for orphan in &rest.orphans {
            self.take(
                number,
                object,
                &items,
                Taken { item: orphan, privileges: orphan.privileges, option: false, reason: Reason::PassedOn },
            );
        }
        let mut to: Vec<RoleId> =
            wanted.iter().copied().chain(rest.orphans.iter().map(|orphan| orphan.grantee)).collect();
        to.sort_unstable();
        to.dedup();
        let mut missing: BTreeMap<(Privileges, bool), Vec<RoleId>> = BTreeMap::new();
        for to in to {
            let mut cell = self.cells.objects.get(&(number, to)).copied().unwrap_or_default();
            for orphan in rest.orphans.iter().filter(|orphan| orphan.grantee == to) {
                cell.held |= orphan.privileges;
                cell.grant_option |= orphan.grant_options;
            }
            let mine = rest.left.iter().filter(|item| item.grantee == to);
            let (held, option) = mine.fold((Privileges::NONE, Privileges::NONE), |(held, option), item| {
                (held | item.privileges, option | item.grant_options)
            });
            let with_option = cell.grant_option - option;
            let plain = cell.held - held - with_option;
            for (privileges, option) in [(plain, false), (with_option, true)] {
                if !privileges.is_empty() {
                    missing.entry((privileges, option)).or_default().push(to);
                }
            }
        }
        for ((privileges, option), to) in missing {
            let group = Group { option, ..group(object, privileges, to) };
            self.grants.entry(group).or_default().push(number);
        }
    }

    /// What one grantor gave one grantee, against what may be; what of it is taken now.
    fn held(&mut self, number: usize, object: &Object, item: &AclItem, items: &[AclItem]) -> Vec<AclItem> {
        let cell = self.cells.objects.get(&(number, item.grantee)).copied().unwrap_or_default();
        let forbidden = item.privileges & cell.absent;
        let mut parts = vec![(forbidden, false, Reason::DeclaredAbsent)];
        if self.is_judged(object, item.grantee) {
            let undeclared = item.privileges - cell.held - forbidden;
            let option = item.grant_options - cell.grant_option - forbidden;
            if !undeclared.is_empty() || !option.is_empty() {
                let (allowed, allowed_option) = self.allowed.on(object, item.grantee);
                let undeclared = undeclared - allowed;
                parts.push((undeclared, false, Reason::Undeclared));
                parts.push((option - allowed_option - undeclared, true, Reason::Undeclared));
            }
        }
        let mut taken = Vec::new();
        for (privileges, option, reason) in parts {
            self.take(number, object, items, Taken { item, privileges, option, reason });
            if reason != Reason::Undeclared || self.request.allowed.revoke_privileges {
                let whole = if option { Privileges::NONE } else { privileges };
                taken.push(AclItem { privileges: whole, grant_options: privileges, ..*item });
            }
        }
        taken
    }

    fn take(&mut self, number: usize, object: &Object, items: &[AclItem], taken: Taken<'_>) {
        let Taken { item, privileges, option, reason } = taken;
        let mut by_depth: BTreeMap<usize, Privileges> = BTreeMap::new();
        for known in Privileges::KNOWN.iter().filter(|known| privileges.contains(known.set)) {
            if !option && (reason != Reason::Undeclared || self.request.allowed.revoke_privileges) {
                self.lost.insert((number, item.grantee, item.grantor, known.set));
            }
            *by_depth.entry(passed_on::depth(items, object.owner, item.grantor, known.set)).or_default() |= known.set;
        }
        // The owner's grants are revoked by whoever may act as the owner, without changing roles.
        let grantor = (item.grantor != object.owner).then_some(item.grantor);
        for (depth, privileges) in by_depth {
            let group = Group { option, grantor, depth, reason, ..group(object, privileges, vec![item.grantee]) };
            self.revokes.entry(group).or_default().push(number);
        }
    }

    /// Whether undeclared privileges of `grantee` on `object` are anybody's business.
    fn is_judged(&self, object: &Object, grantee: RoleId) -> bool {
        let here = object.kind != Kind::Database || object.name == self.present.session.database;
        let schema = if object.kind == Kind::Schema { Some(object.name.as_str()) } else { object.schema.as_deref() };
        let follows = self.present.followers.contains(&object.oid) && matches!(object.kind, Kind::Relation(_));
        self.managed.contains(&grantee) && here && !follows && self.request.desired.manages_schema(schema)
    }

    fn compare_columns(&mut self) {
        let mut missing: BTreeMap<(usize, RoleId, bool), BTreeMap<&'static str, Vec<&str>>> = BTreeMap::new();
        for ((number, column, to), cell) in &self.cells.columns {
            let object = &self.present.objects[*number];
            let items = object.columns.iter().filter(|(name, _)| name == column).flat_map(|(_, acl)| acl);
            let (mut held, mut option) = (Privileges::NONE, Privileges::NONE);
            for item in items.filter(|item| item.grantee == *to) {
                let lost = self.lost_with_table(*number, item);
                held |= item.privileges - lost;
                option |= item.grant_options - lost;
            }
            for (privileges, option) in [(cell.held - held, false), (cell.grant_option - option, true)] {
                for word in privileges.words() {
                    missing.entry((*number, *to, option)).or_default().entry(word).or_default().push(column);
                }
            }
        }
        for ((number, to, option), words) in missing {
            let object = &self.present.objects[number];
            let with = if option { " WITH GRANT OPTION" } else { "" };
            let list = column_list(&words);
            let sql = format!("GRANT {list} ON TABLE {} TO {}{with}", object.reference, self.present.names.sql(to));
            let what = format!("{} on table {}", column_label(&words), object.name);
            let who = self.present.names.name(to);
            let operation = Operation::new(&section(object), Sign::Add, who, what, vec![sql]);
            self.columns.push(operation.requiring([Requirement::Own(number)]));
        }
    }

    fn lost_with_table(&self, number: usize, item: &AclItem) -> Privileges {
        let known = Privileges::KNOWN.iter().filter(|known| item.privileges.contains(known.set));
        known
            .filter(|known| self.lost.contains(&(number, item.grantee, item.grantor, known.set)))
            .fold(Privileges::NONE, |lost, known| lost | known.set)
    }

    /// Column privileges that must go, before anything is granted.
    fn column_revokes(&self) -> Vec<Operation> {
        let mut operations = Vec::new();
        let nothing = Cell::default();
        for (number, object) in self.present.objects.iter().enumerate() {
            for (column, acl) in &object.columns {
                for item in acl.iter().filter(|item| item.grantee != object.owner) {
                    let cell = self.cells.columns.get(&(number, column.clone(), item.grantee)).unwrap_or(&nothing);
                    let table = self.cells.objects.get(&(number, item.grantee)).unwrap_or(&nothing);
                    let absent = item.privileges & (cell.absent | (table.absent - cell.held));
                    let mut parts = vec![(absent, false, Reason::DeclaredAbsent)];
                    if self.is_judged(object, item.grantee) {
                        let undeclared = item.privileges - cell.held - absent - self.lost_with_table(number, item);
                        parts.push((undeclared, false, Reason::Undeclared));
                        let option = item.grant_options - cell.grant_option - undeclared - absent;
                        parts.push((option, true, Reason::Undeclared));
                    }
                    for (privileges, option, reason) in parts.into_iter().filter(|(part, ..)| !part.is_empty()) {
                        operations.push(self.column_revoke(
                            (number, object),
                            column,
                            Taken { item, privileges, option, reason },
                        ));
                    }
                }
            }
        }
        operations
    }

    fn column_revoke(&self, (number, object): (usize, &Object), column: &str, taken: Taken<'_>) -> Operation {
        let Taken { item, privileges, option, reason } = taken;
        let names = &self.present.names;
        let words: BTreeMap<_, _> = privileges.words().into_iter().map(|word| (word, vec![column])).collect();
        let option_for = if option { "GRANT OPTION FOR " } else { "" };
        let list = column_list(&words);
        let sql = format!("REVOKE {option_for}{list} ON TABLE {} FROM {}", object.reference, names.sql(item.grantee));
        let grantor = (item.grantor != object.owner).then_some(item.grantor);
        let sql = as_grantor(self.present, grantor, vec![sql]);
        let may = grantor.map_or(Requirement::Own(number), Requirement::Become);
        let suffix = if option { " (grant option)" } else { "" };
        let what = format!("{} on table {}{suffix}", column_label(&words), object.name);
        let who = names.name(item.grantee);
        let operation = Operation::new(&section(object), Sign::Remove, who, what, sql).requiring([may]);
        reasoned(operation, self.present, item.grantor, reason, self.request.allowed.revoke_privileges)
    }

    fn operations(&self) -> Vec<Operation> {
        let mut operations = self.column_revokes();
        // Whoever passed a privilege on loses it after those who got it from there.
        let mut revokes: Vec<_> = self.revokes.iter().collect();
        // Grantors need their schemas to revoke what lies in them.
        revokes.sort_by_key(|(group, _)| (group.kind == Kind::Schema, Reverse(group.depth)));
        operations.extend(revokes.into_iter().map(|(group, objects)| self.revoke(group, objects)));
        for (group, objects) in &self.grants {
            operations.push(self.grant(group, objects));
        }
        operations.extend(self.columns.iter().cloned());
        operations
    }

    fn grant(&self, group: &Group, numbers: &[usize]) -> Operation {
        let names = &self.present.names;
        let objects: Vec<&Object> = numbers.iter().map(|number| &self.present.objects[*number]).collect();
        let sql = grant(&objects, group.privileges, group.option, &roles(names, &group.roles));
        let suffix = if group.option { " with grant option" } else { "" };
        let what = format!("{} on {}{suffix}", group.privileges, self.count(group, &objects));
        Operation::new(&group.section, Sign::Add, labels(names, &group.roles), what, sql)
            .requiring(numbers.iter().map(|number| Requirement::GrantOn(*number, group.privileges)))
    }

    fn revoke(&self, group: &Group, numbers: &[usize]) -> Operation {
        let names = &self.present.names;
        let objects: Vec<&Object> = numbers.iter().map(|number| &self.present.objects[*number]).collect();
        let sql = revoke(&objects, group.privileges, group.option, &roles(names, &group.roles));
        let sql = as_grantor(self.present, group.grantor, sql);
        let may: Vec<Requirement> = match group.grantor {
            Some(grantor) => vec![Requirement::Become(grantor)],
            None => numbers.iter().map(|number| Requirement::Own(*number)).collect(),
        };
        let suffix = if group.option { " (grant option)" } else { "" };
        let what = format!("{} on {}{suffix}", group.privileges, few(&objects));
        let operation =
            Operation::new(&group.section, Sign::Remove, labels(names, &group.roles), what, sql).requiring(may);
        let grantor = group.grantor.or(objects.first().map(|object| object.owner)).unwrap_or(RoleId::PUBLIC);
        reasoned(operation, self.present, grantor, group.reason, self.request.allowed.revoke_privileges)
    }

    /// `3 of 100 tables`, or the one object.
    fn count(&self, group: &Group, objects: &[&Object]) -> String {
        if objects.len() < 2 {
            return few(objects);
        }
        let Some(role) = group.roles.first() else { return few(objects) };
        let wanted = |number: usize| {
            let cell = self.cells.objects.get(&(number, *role));
            cell.is_some_and(|cell| cell.held.contains(group.privileges))
        };
        let of_group = |object: &Object| object.kind.broad() == group.kind && is_section(object, &group.section);
        let all = self.present.objects.iter().enumerate();
        let total = all.filter(|(number, object)| of_group(object) && wanted(*number)).count();
        if total == objects.len() {
            format!("{total} {}", plural(group.kind))
        } else {
            format!("{} of {total} {}", objects.len(), plural(group.kind))
        }
    }
}

/// What counts as granted: the entries, or what the kind has without any.
fn effective(object: &Object) -> Vec<AclItem> {
    if let Some(acl) = &object.acl {
        return acl.clone();
    }
    let privileges = object.kind.public_default();
    if privileges.is_empty() {
        return Vec::new();
    }
    let grant_options = Privileges::NONE;
    vec![AclItem { grantee: RoleId::PUBLIC, grantor: object.owner, privileges, grant_options }]
}

/// Whether an object's operations stand under this heading.
fn is_section(object: &Object, heading: &str) -> bool {
    match &object.schema {
        Some(schema) => **schema == *heading,
        None => section(object) == heading,
    }
}

/// The heading an object's operations stand under.
pub(super) fn section(object: &Object) -> String {
    match (object.kind, &object.schema) {
        (_, Some(schema)) => schema.to_string(),
        (Kind::Schema, None) => object.name.clone(),
        (Kind::Database, None) => format!("database {}", object.name),
        (kind, None) => plural(kind).to_owned(),
    }
}

pub(super) fn few(objects: &[&Object]) -> String {
    match objects {
        [] => String::new(),
        [one] if one.kind == Kind::Schema => "the schema".to_owned(),
        [one] if one.kind == Kind::Database => "the database".to_owned(),
        [one] => format!("{} {}", one.kind.word().replace('_', " "), one.signature()),
        [first, ..] => {
            let names: Vec<String> = objects.iter().map(|object| object.signature()).collect();
            format!("{} {} ({})", objects.len(), plural(first.kind), super::listing(&names))
        }
    }
}

/// Statements that only the grantor can do.
fn as_grantor(present: &Present, grantor: Option<RoleId>, sql: Vec<String>) -> Vec<String> {
    let Some(grantor) = grantor else { return sql };
    let mut all = vec![format!("SET LOCAL ROLE {}", present.names.sql(grantor))];
    all.extend(sql);
    all.push("RESET ROLE".to_owned());
    all
}

fn reasoned(operation: Operation, present: &Present, grantor: RoleId, reason: Reason, revoke: bool) -> Operation {
    let grantor = present.names.name(grantor);
    match reason {
        Reason::DeclaredAbsent => operation.because("declared absent"),
        Reason::PassedOn => operation.because(format!("granted anew by the owner, since {grantor} loses it")),
        Reason::Undeclared => {
            operation.because(format!("undeclared, granted by {grantor}")).unless(revoke, Flag::Revoke)
        }
    }
}

/// A group of a grant.
fn group(object: &Object, privileges: Privileges, roles: Vec<RoleId>) -> Group {
    Group {
        section: section(object),
        kind: object.kind.broad(),
        privileges,
        option: false,
        grantor: None,
        depth: 0,
        reason: Reason::DeclaredAbsent,
        roles,
    }
}

fn column_list(words: &BTreeMap<&'static str, Vec<&str>>) -> String {
    let part = |(word, columns): (&&str, &Vec<&str>)| {
        let columns: Vec<String> = columns.iter().map(|column| identifier(column)).collect();
        format!("{word} ({})", columns.join(", "))
    };
    words.iter().map(part).collect::<Vec<_>>().join(", ")
}

fn column_label(words: &BTreeMap<&'static str, Vec<&str>>) -> String {
    words.iter().map(|(word, columns)| format!("{word}({})", columns.join(", "))).collect::<Vec<_>>().join(", ")
}
