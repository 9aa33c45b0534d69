//! Whose the objects are.

use super::objects::{Index, Wish};
use super::privileges::{few, section};
use super::statements::on;
use super::{Request, role};
use crate::catalog::{Object, Present, Resolved, RoleId};
use crate::error::Error;
use crate::plan::{Flag, Operation, Requirement, Sign};
use policy::spec::Kind;
use std::collections::{BTreeMap, HashMap};

/// Also enters the owners that change into `present`, if they may change.
pub(super) fn diff(request: &Request<'_>, present: &mut Present, resolved: &Resolved) -> Result<Vec<Operation>, Error> {
    if request.contents.owners.is_empty() {
        return Ok(Vec::new());
    }
    let index = Index::new(&present.objects);
    let mut wanted: BTreeMap<usize, (RoleId, bool)> = BTreeMap::new();
    for entry in &request.contents.owners {
        let owner = role(request, present, &entry.owner)?;
        for (number, by_name) in index.targets(Wish::of_ownership(entry), present, resolved)? {
            let said = wanted.get(&number).copied();
            match said {
                // What is said by name counts more than what a wildcard says.
                Some((other, other_by_name)) if other != owner && other_by_name == by_name => {
                    let label = present.objects[number].label();
                    let (one, other) = (present.names.name(owner), present.names.name(other));
                    let message = format!("{label} shall belong to both \"{one}\" and \"{other}\"");
                    return Err(Error::mismatch(message, "take one of the two entries out"));
                }
                Some((_, true)) if !by_name => {}
                _ => drop(wanted.insert(number, (owner, by_name))),
            }
        }
    }
    let mut groups: BTreeMap<(String, Kind, RoleId, RoleId), Vec<usize>> = BTreeMap::new();
    for (number, (owner, _)) in &wanted {
        let object = &present.objects[*number];
        // A sequence of a column belongs to whom its table belongs to.
        if object.owner != *owner && !present.links.contains_key(&object.oid) {
            let key = (section(object), object.kind, *owner, object.owner);
            groups.entry(key).or_default().push(*number);
        }
    }
    let mut operations = Vec::new();
    for ((section, kind, owner, was), numbers) in &groups {
        let names = &present.names;
        let objects: Vec<&Object> = numbers.iter().map(|number| &present.objects[*number]).collect();
        let to = names.sql(*owner);
        let sql = objects.iter().map(|object| format!("ALTER {} {} OWNER TO {to}", on(*kind), object.reference));
        let what = format!("owner of {}, was {}", few(&objects), names.name(*was));
        let may = numbers.iter().map(|number| Requirement::Own(*number));
        let schema = objects.first().and_then(|object| object.schema.as_deref()).and_then(|name| present.schema(name));
        let may = may.chain(schema.map(|schema| Requirement::CreatorIn(*owner, schema)));
        let may = may.chain((*kind == Kind::Database).then_some(Requirement::CreateDatabase));
        operations.push(
            Operation::new(section, Sign::Change, names.name(*owner), what, sql.collect())
                .requiring(may.chain([Requirement::Become(*owner)]))
                .unless(request.allowed.change_owners, Flag::Owner),
        );
    }
    if request.allowed.change_owners {
        let mut owner_by_oid = HashMap::new();
        for ((_, _, owner, _), numbers) in groups {
            for number in numbers {
                present.objects[number].change_owner(owner);
                owner_by_oid.insert(present.objects[number].oid, owner);
            }
        }
        let links = &present.links;
        for object in present.objects.iter_mut().filter(|object| object.kind == Kind::Sequence) {
            if let Some(owner) = links.get(&object.oid).and_then(|table| owner_by_oid.get(table)) {
                object.change_owner(*owner);
            }
        }
    }
    Ok(operations)
}
