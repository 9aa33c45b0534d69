//! Which objects a grant is about.

use crate::catalog::{Object, Present, Resolved};
use crate::error::Error;
use foldhash::fast::RandomState;
use policy::spec::{Ensure, Grant, Kind, Ownership, Pattern, Target};
use std::collections::{BTreeSet, HashMap};

type Place<'a> = (Kind, Option<&'a str>);

/// What an entry of the spec is about.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    on: &'a Target,
    except: &'a [Pattern],
    /// Whether it is an error if something named is not there.
    must_exist: bool,
}

impl<'a> Wish<'a> {
    pub fn of_grant(grant: &'a Grant) -> Self {
        Self { on: &grant.on, except: &grant.except, must_exist: grant.ensure == Ensure::Present }
    }

    pub fn of_ownership(ownership: &'a Ownership) -> Self {
        Self { on: &ownership.on, except: &ownership.except, must_exist: true }
    }
}

/// The objects by kind, schema and name.
pub(super) struct Index<'a> {
    by_place: HashMap<Place<'a>, Vec<usize>, RandomState>,
    by_name: HashMap<(Place<'a>, &'a str), Vec<usize>, RandomState>,
    by_oid: HashMap<u32, usize>,
    schemas: BTreeSet<&'a str>,
}

impl<'a> Index<'a> {
    pub fn new(objects: &'a [Object]) -> Self {
        let mut index = Self {
            by_place: HashMap::default(),
            by_name: HashMap::default(),
            by_oid: HashMap::new(),
            schemas: BTreeSet::new(),
        };
        for (number, object) in objects.iter().enumerate() {
            let place = (object.kind.broad(), object.schema.as_deref());
            index.by_place.entry(place).or_default().push(number);
            index.by_name.entry((place, &object.name)).or_default().push(number);
            if matches!(object.kind, Kind::Routine(_)) {
                index.by_oid.insert(object.oid, number);
            }
            if object.kind == Kind::Schema {
                index.schemas.insert(&object.name);
            }
        }
        index
    }

    /// The objects a wish is about, each with whether the spec names it itself.
    pub fn targets(&self, wish: Wish<'_>, present: &Present, resolved: &Resolved) -> Result<Vec<(usize, bool)>, Error> {
        let kind = wish.on.kind;
        if kind == Kind::Database && wish.on.names.is_empty() {
            let name = Pattern::literal(&present.session.database);
            return self.named(wish, None, &name, present, resolved);
        }
        let mut found = Vec::new();
        // In schemas that a wildcard finds, what is named need not be everywhere.
        let anywhere = Wish { must_exist: wish.must_exist && !wish.on.schemas.iter().any(Pattern::is_wild), ..wish };
        for place in self.places(wish)? {
            for name in &wish.on.names {
                if name.is_wild() {
                    let all = self.by_place.get(&(kind.broad(), place));
                    let matching = all.into_iter().flatten().copied().filter(|number| {
                        let object = &present.objects[*number];
                        kind.covers(object.kind) && name.matches(&object.name) && !is_system(object, name)
                    });
                    found.extend(matching.map(|number| (number, false)));
                } else {
                    found.extend(self.named(anywhere, place, name, present, resolved)?);
                }
            }
        }
        if let Some(name) =
            wish.on.names.iter().find(|name| !name.is_wild()).filter(|_| wish.must_exist && found.is_empty())
        {
            let message = format!("{} \"{}\" does not exist in any of these schemas", kind.word(), name.as_str());
            return Err(Error::mismatch(message, "create it first, or take the grant out"));
        }
        if !wish.except.is_empty() {
            found.retain(|(number, _)| !self.is_excepted(wish, &present.objects[*number], resolved));
        }
        Ok(found)
    }

    /// The schemas the objects lie in; nothing for objects that lie in none.
    fn places(&self, wish: Wish<'_>) -> Result<Vec<Option<&'a str>>, Error> {
        if !wish.on.kind.lies_in_schema() {
            return Ok(vec![None]);
        }
        let mut places = Vec::new();
        for schema in &wish.on.schemas {
            if schema.is_wild() {
                let matching = self.schemas.iter().filter(|name| schema.matches(name) && !is_system_schema(name));
                places.extend(matching.copied().map(Some));
            } else if let Some(name) = self.schemas.get(schema.as_str()) {
                places.push(Some(name));
            } else if wish.must_exist {
                let message = format!("schema \"{}\" does not exist", schema.as_str());
                return Err(Error::mismatch(message, "declare it under \"schemas\" to have it made"));
            }
        }
        Ok(places)
    }

    fn named(
        &self,
        wish: Wish<'_>,
        place: Option<&str>,
        name: &Pattern,
        present: &Present,
        resolved: &Resolved,
    ) -> Result<Vec<(usize, bool)>, Error> {
        let kind = wish.on.kind;
        let (bare, arguments) = if matches!(kind, Kind::Routine(_)) { name.signature() } else { (name.as_str(), None) };
        let candidates: Vec<usize> = if arguments.is_some() {
            let schema = place.unwrap_or_default().to_owned();
            let oid = resolved.routines.get(&(schema, name.as_str().to_owned()));
            oid.and_then(|oid| self.by_oid.get(oid)).copied().into_iter().collect()
        } else {
            self.by_name.get(&((kind.broad(), place), bare)).cloned().unwrap_or_default()
        };
        let found: Vec<_> = candidates
            .iter()
            .filter(|number| kind.covers(present.objects[**number].kind))
            .map(|number| (*number, true))
            .collect();
        if !found.is_empty() || !wish.must_exist {
            return Ok(found);
        }
        let label = place.map_or(name.as_str().to_owned(), |schema| format!("{schema}.{}", name.as_str()));
        Err(match candidates.first().map(|number| present.objects[*number].kind) {
            Some(other) => Error::mismatch(
                format!("\"{label}\" is a {}, not a {}", other.word(), kind.word()),
                format!("write \"type: {}\"", other.word()),
            ),
            None => Error::mismatch(
                format!("{} \"{label}\" does not exist", kind.word()),
                "create it first, or take the grant out",
            ),
        })
    }

    fn is_excepted(&self, wish: Wish<'_>, object: &Object, resolved: &Resolved) -> bool {
        wish.except.iter().any(|pattern| {
            if pattern.matches(&object.name) {
                return true;
            }
            let schema = object.schema.as_deref().unwrap_or_default().to_owned();
            resolved.routines.get(&(schema, pattern.as_str().to_owned())) == Some(&object.oid) && object.oid != 0
        })
    }
}

fn is_system_schema(name: &str) -> bool {
    name.starts_with("pg_") || name == "information_schema"
}

/// A schema that only a name of its own reaches.
fn is_system(object: &Object, pattern: &Pattern) -> bool {
    object.kind == Kind::Schema && is_system_schema(&object.name) && pattern.is_wild()
}
