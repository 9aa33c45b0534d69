//! Templates: what roles of two or more schemas may alike, said once.

use super::collect::Source;
use super::compress::{Objects, each};
use super::line::{DefaultLine, Line, Names, Saying};
use policy::spec::{Kind, Pattern, Privileges};
use std::collections::{BTreeMap, BTreeSet};

/// What a role may in a schema, as far as a template can say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Profile {
    pub grants: BTreeMap<Kind, Privileges>,
    pub defaults: BTreeMap<Kind, Privileges>,
}

/// A template as it is written.
pub(super) struct Template {
    pub name: String,
    /// Another one of which it holds everything.
    pub inherits: Option<String>,
    /// What it holds beyond that.
    pub own: Profile,
}

/// A schema as it is written.
#[derive(Default)]
pub(super) struct Use {
    /// Whose future objects its templates are about.
    pub creators: Vec<String>,
    /// Roles by template.
    pub templates: BTreeMap<String, Vec<String>>,
}

/// Templates, the schemas that use them, and what is left to say otherwise.
pub(super) struct Templates {
    pub templates: Vec<Template>,
    pub schemas: BTreeMap<String, Use>,
    pub lines: Vec<Line>,
    pub defaults: Vec<DefaultLine>,
}

/// A schema and a role.
type Place = (String, String);

impl Profile {
    /// The privileges on all objects of a kind.
    fn granted(&self, kind: Kind) -> Privileges {
        let covering = self.grants.iter().filter(|(granted, _)| granted.covers(kind));
        covering.fold(Privileges::NONE, |sum, (_, privileges)| sum | *privileges)
    }

    fn includes(&self, other: &Self) -> bool {
        other.grants.iter().all(|(kind, privileges)| self.granted(*kind).contains(*privileges))
            && other.defaults.iter().all(|(kind, privileges)| self.future(*kind).contains(*privileges))
    }

    fn future(&self, kind: Kind) -> Privileges {
        self.defaults.get(&kind).copied().unwrap_or_default()
    }

    fn without(&self, other: &Self) -> Self {
        let rest = |mine: &BTreeMap<Kind, Privileges>, of_other: &dyn Fn(Kind) -> Privileges| {
            let rest = mine.iter().map(|(kind, privileges)| (*kind, *privileges - of_other(*kind)));
            rest.filter(|(_, privileges)| !privileges.is_empty()).collect()
        };
        Self {
            grants: rest(&self.grants, &|kind| other.granted(kind)),
            defaults: rest(&self.defaults, &|kind| other.future(kind)),
        }
    }

    fn size(&self) -> usize {
        self.grants.values().chain(self.defaults.values()).map(|privileges| privileges.words().len()).sum()
    }
}

/// Finds templates in entries of one schema and one grantee each.
pub(super) fn find(source: &Source, objects: &Objects<'_>, lines: Vec<Line>, defaults: Vec<DefaultLine>) -> Templates {
    let creators = creators(&defaults);
    let profiles = profiles(source, &lines, &defaults, &creators);
    let (chosen, candidates) = choose(source, objects, &profiles);
    let names = names(&candidates, &chosen);
    let mut found = Templates { templates: Vec::new(), schemas: BTreeMap::new(), lines, defaults };
    for (number, profile) in candidates.iter().enumerate() {
        let parents = (0..candidates.len()).filter(|other| *other != number && profile.includes(&candidates[*other]));
        let parent = parents.max_by_key(|other| (candidates[*other].size(), std::cmp::Reverse(*other)));
        found.templates.push(Template {
            name: names[number].clone(),
            inherits: parent.map(|parent| names[parent].clone()),
            own: parent.map_or_else(|| profile.clone(), |parent| profile.without(&candidates[parent])),
        });
    }
    found.templates.sort_by_key(|template| template.inherits.is_some());
    for ((schema, role), number) in &chosen {
        let used = found.schemas.entry(schema.clone()).or_default();
        used.templates.entry(names[*number].clone()).or_default().push(role.clone());
        if !candidates[*number].defaults.is_empty() {
            used.creators = creators.get(schema).into_iter().flatten().cloned().collect();
        }
    }
    let covered: BTreeMap<(&str, &str), &Profile> = chosen
        .iter()
        .map(|((schema, role), number)| ((schema.as_str(), role.as_str()), &candidates[*number]))
        .collect();
    found.lines = found.lines.iter().flat_map(|line| rest_of_line(source, line, &covered)).collect();
    found.defaults.retain(|line| !is_covered(line, &covered, &creators));
    found
}

/// The creators that most default privileges of a schema are about.
fn creators(defaults: &[DefaultLine]) -> BTreeMap<String, BTreeSet<String>> {
    let mut by_subject: BTreeMap<(&str, &str, Kind, Privileges), BTreeSet<String>> = BTreeMap::new();
    for line in defaults.iter().filter(|line| line.saying == Saying::Held) {
        if let ([schema], [to]) = (line.schemas.as_slice(), line.to.as_slice()) {
            let subject = (schema.as_str(), to.as_str(), line.kind, line.privileges);
            by_subject.entry(subject).or_default().extend(line.creators.iter().cloned());
        }
    }
    let mut counts: BTreeMap<&str, BTreeMap<BTreeSet<String>, usize>> = BTreeMap::new();
    for ((schema, ..), creators) in by_subject {
        *counts.entry(schema).or_default().entry(creators).or_default() += 1;
    }
    let most = |counts: BTreeMap<BTreeSet<String>, usize>| {
        counts.into_iter().max_by_key(|(creators, count)| (*count, creators.len())).map(|(creators, _)| creators)
    };
    counts.into_iter().filter_map(|(schema, counts)| Some((schema.to_owned(), most(counts)?))).collect()
}

fn profiles(
    source: &Source,
    lines: &[Line],
    defaults: &[DefaultLine],
    creators: &BTreeMap<String, BTreeSet<String>>,
) -> BTreeMap<Place, Profile> {
    let mut profiles: BTreeMap<Place, Profile> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.saying == Saying::Held && line.columns.is_empty()) {
        let (Some(schema), [to]) = (schema_of(source, line), line.to.as_slice()) else { continue };
        let privileges = line.privileges - Privileges::MAINTAIN;
        if !privileges.is_empty() {
            let profile = profiles.entry((schema.to_owned(), to.clone())).or_default();
            *profile.grants.entry(line.kind).or_default() |= privileges;
        }
    }
    // A default privilege counts where it is there for each of the schema's creators.
    let mut by_subject: BTreeMap<(&str, &str, Kind, Privileges), BTreeSet<&String>> = BTreeMap::new();
    for line in defaults.iter().filter(|line| line.saying == Saying::Held) {
        if let ([schema], [to]) = (line.schemas.as_slice(), line.to.as_slice()) {
            let subject = (schema.as_str(), to.as_str(), line.kind, line.privileges - Privileges::MAINTAIN);
            by_subject.entry(subject).or_default().extend(&line.creators);
        }
    }
    for ((schema, to, kind, privileges), given) in by_subject {
        let needed = creators.get(schema).into_iter().flatten();
        if !privileges.is_empty() && needed.clone().all(|creator| given.contains(creator)) {
            let profile = profiles.entry((schema.to_owned(), to.to_owned())).or_default();
            *profile.defaults.entry(kind).or_default() |= privileges;
        }
    }
    profiles
}

/// The schema a line is about as a whole, be it itself or all objects of a kind in it.
fn schema_of<'a>(source: &'a Source, line: &Line) -> Option<&'a str> {
    match line.names {
        Names::These(_) if line.kind != Kind::Schema => None,
        _ => place_of(source, line),
    }
}

/// The schema a line is about or whose objects it is about, unless it is the system's.
fn place_of<'a>(source: &'a Source, line: &Line) -> Option<&'a str> {
    let text = match (&line.names, line.kind) {
        (Names::These(names), Kind::Schema) => names.first(),
        _ => line.schemas.first(),
    };
    let name = Pattern::new(text?.as_str());
    source.schemas.get(name.as_str()).map(String::as_str)
}

/// For each place the largest profile that fits it and is worth a template.
fn choose(
    source: &Source,
    objects: &Objects<'_>,
    profiles: &BTreeMap<Place, Profile>,
) -> (BTreeMap<Place, usize>, Vec<Profile>) {
    let mut counts: BTreeMap<&Profile, usize> = BTreeMap::new();
    for profile in profiles.values().filter(|profile| profile.grants.len() + profile.defaults.len() > 1) {
        *counts.entry(profile).or_default() += 1;
    }
    let mut candidates: Vec<(&Profile, usize)> = counts.into_iter().collect();
    candidates.sort_by_key(|(profile, count)| std::cmp::Reverse((profile.size(), *count)));
    let mut candidates: Vec<Profile> = candidates.into_iter().map(|(profile, _)| profile.clone()).collect();
    loop {
        let mut chosen: BTreeMap<Place, usize> = BTreeMap::new();
        let mut uses: Vec<BTreeMap<&str, Vec<&str>>> = vec![BTreeMap::new(); candidates.len()];
        for (place, profile) in profiles {
            let fitting = candidates.iter().position(|candidate| fits(source, objects, candidate, place, profile));
            if let Some(number) = fitting {
                chosen.insert(place.clone(), number);
                uses[number].entry(&place.0).or_default().push(&place.1);
            }
        }
        let is_worth = candidates.iter().zip(&uses).map(|(candidate, uses)| is_worth_it(candidate, uses));
        let mut is_worth = is_worth.collect::<Vec<_>>().into_iter();
        if is_worth.clone().all(|is_worth| is_worth) {
            return (chosen, candidates);
        }
        candidates.retain(|_| is_worth.next().unwrap_or_default());
    }
}

/// Whether a template takes fewer words than entries that list the schemas and roles it serves.
fn is_worth_it(template: &Profile, uses: &BTreeMap<&str, Vec<&str>>) -> bool {
    let entries = template.grants.len() + template.defaults.len();
    let mut by_roles: BTreeMap<&[&str], usize> = BTreeMap::new();
    for roles in uses.values() {
        *by_roles.entry(roles).or_default() += 1;
    }
    let listed: usize = by_roles.iter().map(|(roles, schemas)| roles.len() + schemas).sum();
    let used: usize = uses.values().map(Vec::len).sum();
    uses.len() > 1 && used + entries <= entries * listed
}

/// Whether a template says nothing that is not so. Where there is no object of a kind yet, it may say what default
/// privileges say.
fn fits(source: &Source, objects: &Objects<'_>, template: &Profile, place: &Place, profile: &Profile) -> bool {
    let (schema, role) = place;
    let mut future = template.defaults.iter();
    future.all(|(kind, privileges)| profile.future(*kind).contains(*privileges))
        && template.grants.iter().all(|(kind, privileges)| {
            let more = *privileges - profile.granted(*kind);
            let foreseen = profile.defaults.iter().filter(|(foreseen, _)| foreseen.broad() == kind.broad());
            let foreseen = foreseen.fold(Privileges::NONE, |sum, (_, privileges)| sum | *privileges);
            let id = source.present.names.find(role).unwrap_or(crate::catalog::RoleId::PUBLIC);
            more.is_empty() || foreseen.contains(more) && objects.all_held(schema, *kind, id, more)
        })
}

/// What a template leaves of a line; where it says more than the line, the exceptions.
fn rest_of_line(source: &Source, line: &Line, covered: &BTreeMap<(&str, &str), &Profile>) -> Vec<Line> {
    let profile = match (place_of(source, line), line.to.as_slice()) {
        (Some(schema), [to]) if line.saying == Saying::Held && line.columns.is_empty() => {
            covered.get(&(schema, to.as_str()))
        }
        _ => None,
    };
    let Some(profile) = profile else { return vec![line.clone()] };
    let said = line.privileges & profile.granted(line.kind);
    let mut rest = vec![Line { privileges: line.privileges - said, ..line.clone() }];
    if let Names::AllBut(names) = &line.names {
        let names = Names::These(names.clone());
        rest.push(Line { saying: Saying::Absent, names, privileges: said, ..line.clone() });
    }
    rest.retain(|line| !line.privileges.is_empty());
    rest
}

fn is_covered(
    line: &DefaultLine,
    covered: &BTreeMap<(&str, &str), &Profile>,
    creators: &BTreeMap<String, BTreeSet<String>>,
) -> bool {
    let ([schema], [to], Saying::Held) = (line.schemas.as_slice(), line.to.as_slice(), line.saying) else {
        return false;
    };
    let of_schema = creators.get(schema);
    covered
        .get(&(schema.as_str(), to.as_str()))
        .is_some_and(|profile| profile.future(line.kind).contains(line.privileges))
        && of_schema.is_some_and(|of_schema| line.creators.iter().all(|creator| of_schema.contains(creator)))
}

/// A name for each: what the roles' names end in alike, else what it is for.
fn names(candidates: &[Profile], chosen: &BTreeMap<Place, usize>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (number, profile) in candidates.iter().enumerate() {
        let places = || chosen.iter().filter(|(_, other)| **other == number).map(|(place, _)| place);
        let beside_schema = places().map(|(schema, role)| {
            let rest = role.strip_prefix(schema.as_str()).or_else(|| role.strip_suffix(schema.as_str()))?;
            Some(rest.trim_matches(['_', '-', '.']))
        });
        let last_words = places().map(|(_, role)| role.rsplit_once('_').map(|(_, word)| word));
        let several = places().map(|(_, role)| role).collect::<BTreeSet<_>>().len() > 1;
        let common = same(beside_schema).or_else(|| same(last_words).filter(|_| several));
        let name = common.map_or_else(|| purpose(profile).to_owned(), str::to_owned);
        let numbered = (2..).map(|number| format!("{name}{number}"));
        let mut free = std::iter::once(name.clone()).chain(numbered).filter(|name| !names.contains(name));
        names.push(free.next().unwrap_or(name));
    }
    names
}

/// What all are, if it is something.
fn same<'a>(mut words: impl Iterator<Item = Option<&'a str>>) -> Option<&'a str> {
    let first = words.next()??;
    (!first.is_empty() && words.all(|word| word == Some(first))).then_some(first)
}

fn purpose(profile: &Profile) -> &'static str {
    let changing = Privileges::INSERT | Privileges::UPDATE | Privileges::DELETE | Privileges::TRUNCATE;
    let all = profile.grants.values().chain(profile.defaults.values());
    let all = all.fold(Privileges::NONE, |sum, privileges| sum | *privileges);
    match () {
        () if each(changing | Privileges::CREATE).any(|one| all.contains(one)) => "write",
        () if all == Privileges::USAGE | Privileges::EXECUTE => "execute",
        () => "read",
    }
}
