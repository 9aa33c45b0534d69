//! Privileges on objects as few entries: wildcards where all objects of a kind in a schema are alike, with exceptions
//! where nearly all are.

use super::cells::{Cells, Demand};
use super::collect::{Source, is_system};
use super::line::{Line, Names, Saying};
use super::notes::Notes;
use crate::catalog::{Object, RoleId};
use policy::spec::{Kind, Pattern, Privileges, RelationKind, RoutineKind};
use std::collections::{BTreeMap, BTreeSet};

/// Default privileges by schema, grantee and broad kind: reason enough for a wildcard that covers a single object.
pub(super) type Foreseen = BTreeMap<(String, RoleId, Kind), Privileges>;

/// The objects of a broad kind in one place.
struct Pool<'a> {
    schema: Option<&'a str>,
    kind: Kind,
    members: Vec<(&'a Object, Cells)>,
}

/// All objects that are written about.
pub(super) struct Objects<'a> {
    source: &'a Source,
    pools: BTreeMap<(Option<&'a str>, Kind), Pool<'a>>,
    columns: Vec<(&'a Object, &'a str, Cells)>,
    /// Kinds there is another one of among relations, or among routines.
    mixed: BTreeSet<Kind>,
}

impl<'a> Objects<'a> {
    pub fn new(source: &'a Source, notes: &mut Notes) -> Self {
        let mut objects = Self { source, pools: BTreeMap::new(), columns: Vec::new(), mixed: BTreeSet::new() };
        for object in source.present.objects.iter().filter(|object| source.covers(object)) {
            let (schema, kind) = (object.schema.as_deref(), object.kind.broad());
            let pool = objects.pools.entry((schema, kind));
            let pool = pool.or_insert_with(|| Pool { schema, kind, members: Vec::new() });
            pool.members.push((object, Cells::of_object(source, object, notes)));
            if object.kind != main_kind(kind) && !schema.is_some_and(is_system) {
                objects.mixed.insert(kind);
            }
            for (column, acl) in &object.columns {
                objects.columns.push((object, column, Cells::of_column(source, object, column, acl, notes)));
            }
        }
        objects
    }

    /// Everything there is to say, one grantee and one schema an entry.
    pub fn lines(&self, foreseen: &Foreseen) -> Vec<Line> {
        let mut lines = Vec::new();
        for pool in self.pools.values() {
            let grantees: BTreeSet<RoleId> = pool.members.iter().flat_map(|(_, cells)| cells.grantees()).collect();
            for grantee in grantees.into_iter().filter(|grantee| self.is_asked_for(pool.schema, pool.kind, *grantee)) {
                let place = (pool.schema.unwrap_or_default().to_owned(), grantee, pool.kind);
                let foreseen = foreseen.get(&place).copied().unwrap_or_default();
                for saying in sayings(grantee) {
                    lines.extend(self.of_pool(pool, grantee, saying, foreseen));
                }
            }
        }
        for (object, column, cells) in &self.columns {
            for grantee in cells.grantees() {
                for saying in sayings(grantee) {
                    let must = cells.demand(grantee, saying).map_or(Privileges::NONE, |demand| demand.must);
                    lines.extend(each(must).map(|privileges| Line {
                        columns: vec![(*column).to_owned()],
                        ..self.line(
                            object.schema.as_deref(),
                            object.kind,
                            these([*object]),
                            saying,
                            privileges,
                            grantee,
                        )
                    }));
                }
            }
        }
        lines
    }

    /// Whether `grantee` holds `privileges` on all objects of a kind in a schema that it does not own.
    pub fn all_held(&self, schema: &str, kind: Kind, grantee: RoleId, privileges: Privileges) -> bool {
        let Some(pool) = self.pools.get(&(Some(schema), kind.broad())) else { return true };
        let members = pool.members.iter().filter(|(object, _)| kind.covers(object.kind));
        members
            .filter_map(|(_, cells)| cells.demand(grantee, Saying::Held))
            .all(|demand| (demand.must_not & privileges).is_empty())
    }

    /// Of what does not lie in the schemas asked for only what concerns the roles asked for.
    fn is_asked_for(&self, schema: Option<&str>, kind: Kind, grantee: RoleId) -> bool {
        !self.source.limited || schema.is_some() || kind == Kind::Schema || grantee != RoleId::PUBLIC
    }

    fn of_pool(&self, pool: &Pool<'a>, grantee: RoleId, saying: Saying, foreseen: Privileges) -> Vec<Line> {
        let demands: Vec<(&Object, Demand)> =
            pool.members.iter().filter_map(|(object, cells)| Some((*object, cells.demand(grantee, saying)?))).collect();
        let mut rest = demands.iter().fold(Privileges::NONE, |sum, (_, demand)| sum | demand.must);
        let mut lines = Vec::new();
        if rest.is_empty() {
            return lines;
        }
        let wild = pool.schema.is_some_and(|schema| !is_system(schema));
        if wild {
            let alike = each(rest).filter(|one| names(&demands, *one, foreseen, true) == Names::All);
            let alike = alike.fold(Privileges::NONE, |sum, one| sum | one);
            let kind = if self.mixed.contains(&pool.kind) { pool.kind } else { main_kind(pool.kind) };
            lines.extend(each(alike).map(|one| self.line(pool.schema, kind, Names::All, saying, one, grantee)));
            rest -= alike;
        }
        let kinds: BTreeSet<Kind> = demands.iter().map(|(object, _)| object.kind).collect();
        for kind in kinds {
            let of_kind: Vec<(&Object, Demand)> =
                demands.iter().filter(|(object, _)| object.kind == kind).copied().collect();
            for one in each(rest).filter(|one| of_kind.iter().any(|(_, demand)| demand.must.contains(*one))) {
                let names = match names(&of_kind, one, foreseen, wild) {
                    // Each schema by itself, as it may get a template.
                    Names::These(schemas) if kind == Kind::Schema => {
                        schemas.into_iter().map(|schema| Names::These(vec![schema])).collect()
                    }
                    names => vec![names],
                };
                lines.extend(names.into_iter().map(|names| self.line(pool.schema, kind, names, saying, one, grantee)));
            }
        }
        lines
    }

    fn line(
        &self,
        schema: Option<&str>,
        kind: Kind,
        names: Names,
        saying: Saying,
        privileges: Privileges,
        to: RoleId,
    ) -> Line {
        let schemas = schema.map(Pattern::escape).into_iter().collect();
        let to = vec![self.source.present.names.name(to).to_owned()];
        Line { kind, schemas, names, columns: Vec::new(), saying, privileges, to }
    }
}

/// Which objects one privilege is about. A wildcard wants more than one object, or default privileges that say the same;
/// with these it bears more exceptions.
fn names(demands: &[(&Object, Demand)], one: Privileges, foreseen: Privileges, wild: bool) -> Names {
    let musts = demands.iter().filter(|(_, demand)| demand.must.contains(one)).map(|(object, _)| *object);
    let others = demands.iter().filter(|(_, demand)| demand.must_not.contains(one)).map(|(object, _)| *object);
    let (count, others): (usize, Vec<&Object>) = (musts.clone().count(), others.collect());
    if wild && others.is_empty() && (count > 1 || foreseen.contains(one)) {
        return Names::All;
    }
    // An exception that looks like a signature would also be taken for one.
    let plain = || demands.iter().all(|(object, _)| !object.name.contains('('));
    let bearable = if foreseen.contains(one) { count } else { count / 3 };
    if wild && !others.is_empty() && others.len() <= bearable && plain() {
        return Names::AllBut(named(others));
    }
    these(musts)
}

fn these<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Names {
    Names::These(named(objects))
}

/// Their names; the database one is connected to needs none.
fn named<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Vec<String> {
    let objects = objects.into_iter().filter(|object| object.kind != Kind::Database);
    objects.map(|object| Pattern::escape(&object.signature())).collect()
}

/// What can be said of a grantee: only PUBLIC lacks what it would have by default, and only roles pass something on.
fn sayings(grantee: RoleId) -> [Saying; 2] {
    let other = if grantee == RoleId::PUBLIC { Saying::Absent } else { Saying::GrantOption };
    [Saying::Held, other]
}

/// The privileges of a set one by one.
pub(super) fn each(privileges: Privileges) -> impl Iterator<Item = Privileges> {
    Privileges::KNOWN.iter().map(|known| known.set).filter(move |one| privileges.contains(*one))
}

/// The kind that stands for a broad one where there is no other.
fn main_kind(broad: Kind) -> Kind {
    match broad {
        Kind::Relation(_) => Kind::Relation(RelationKind::Table),
        Kind::Routine(_) => Kind::Routine(RoutineKind::Function),
        other => other,
    }
}
