//! Whether the catalogs say what they must after a spec was applied.

use crate::provisioner_random_facts::{Facts, Held, Place};
use crate::provisioner_random_model::{Model, Wanted, at};
use crate::provisioner_random_words::broad;
use serde_json::Value;
use std::collections::BTreeSet;

/// What is not as it must be, in words.
pub fn faults(model: &Model<'_>, before: &Facts, after: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    privileges(model, before, after, &mut faults);
    defaults(model, before, after, &mut faults);
    memberships(model, before, after, &mut faults);
    roles(model, before, after, &mut faults);
    for (object, owner) in &model.owners {
        let is_there = after.owners.get(object) == Some(owner) || object.kind == "parameter";
        if !is_there {
            faults.push(format!("{object:?} should be {owner}'s"));
        }
    }
    faults
}

fn privileges(model: &Model<'_>, before: &Facts, after: &Facts, faults: &mut Vec<String>) {
    let nothing = Wanted::default();
    let places: BTreeSet<&Place> = model.wanted.keys().chain(before.held.keys()).chain(after.held.keys()).collect();
    for place in places {
        let (object, column, to) = place;
        let Some(owner) = model.owners.get(object) else {
            faults.push(format!("{object:?} came out of nothing"));
            continue;
        };
        let (was, is) = (at(&before.held, place), at(&after.held, place));
        let changes_hands = before.owners.get(object).is_some_and(|before| before != owner);
        if to == owner || changes_hands {
            // What happens to a new owner's grants is the server's business.
            // A parameter of which nobody holds anything has no entry at all.
            let is_written = before.owners.contains_key(object) && object.kind != "parameter";
            if was != is && !changes_hands && is_written {
                faults.push(format!("the owner's {place:?} was {was:?} and is {is:?}"));
            }
            continue;
        }
        let is_new = object.kind == "schema" && !before.owners.contains_key(object);
        let by_default = (owner.clone(), None, "schema", to.clone());
        let was = if is_new { at(&before.defaults, &by_default) } else { was };
        let wanted = model.wanted.get(place).unwrap_or(&nothing);
        let mut forbidden = wanted.absent.clone();
        if column.is_some() {
            // What is taken from the whole table is taken from its columns.
            let table = model.wanted.get(&(object.clone(), None, to.clone())).unwrap_or(&nothing);
            forbidden.extend(table.absent.difference(&wanted.held).cloned());
        }
        let given = if column.is_none() { given_by_default(model, place, owner) } else { Wanted::default() };
        judge(place, wanted, &forbidden, (was, is), (model.is_judged(place), &given), faults);
    }
}

/// What declared default privileges give on an object when it is made.
fn given_by_default(model: &Model<'_>, (object, _, to): &Place, owner: &str) -> Wanted {
    let mut given = Wanted::default();
    let scopes = [None, object.schema.clone()];
    for scope in scopes.iter().take(if object.schema.is_some() { 2 } else { 1 }) {
        let place = (owner.to_owned(), scope.clone(), broad(&object.kind), to.clone());
        if let Some(wanted) = model.defaults.get(&place) {
            given.held.extend(wanted.held.iter().cloned());
            given.option.extend(wanted.option.iter().cloned());
        }
    }
    given
}

/// Compares what was and what is held at one place with what is wanted there.
fn judge(
    place: &dyn std::fmt::Debug,
    wanted: &Wanted,
    forbidden: &BTreeSet<String>,
    (was, is): (&Held, &Held),
    (is_judged, given): (bool, &Wanted),
    faults: &mut Vec<String>,
) {
    let mut fault = |what: &str, privilege: &str| faults.push(format!("{what}: {privilege} {place:?}"));
    for privilege in &wanted.held {
        match is.get(privilege) {
            None => fault("declared and not held", privilege),
            Some(false) if wanted.option.contains(privilege) => fault("declared without its grant option", privilege),
            _ => {}
        }
    }
    for (privilege, option) in is {
        let is_declared = wanted.held.contains(privilege);
        if forbidden.contains(privilege) {
            fault("declared absent and held", privilege);
        } else if !is_declared && !was.contains_key(privilege) {
            fault("not declared and gained", privilege);
        } else if is_judged && !is_declared && !given.held.contains(privilege) {
            fault("undeclared and not taken away", privilege);
        }
        let may_pass_on = wanted.option.contains(privilege);
        if *option && !may_pass_on && was.get(privilege) != Some(&true) {
            fault("grant option not declared and gained", privilege);
        } else if *option && is_judged && !may_pass_on && !given.option.contains(privilege) {
            fault("undeclared grant option not taken away", privilege);
        }
    }
    for (privilege, option) in was {
        let is_kept = wanted.held.contains(privilege) || given.held.contains(privilege) || !is_judged;
        let keeps_option = wanted.option.contains(privilege) || given.option.contains(privilege) || !is_judged;
        match is.get(privilege) {
            _ if forbidden.contains(privilege) => {}
            None if is_kept => fault("lost", privilege),
            Some(false) if *option && keeps_option => fault("grant option lost", privilege),
            _ => {}
        }
    }
}

fn defaults(model: &Model<'_>, before: &Facts, after: &Facts, faults: &mut Vec<String>) {
    let nothing = Wanted::default();
    for place in
        model.defaults.keys().chain(before.defaults.keys()).chain(after.defaults.keys()).collect::<BTreeSet<_>>()
    {
        let (was, is) = (at(&before.defaults, place), at(&after.defaults, place));
        let wanted = model.defaults.get(place).unwrap_or(&nothing);
        // A global row, once written, also says what its creator has: that is no gain.
        if place.0 == place.3 && place.1.is_none() {
            continue;
        }
        // A role that is new had nothing, and what is built in is no gain.
        let is_new = !before.roles.contains_key(&place.0);
        let was = if is_new { at(&after.defaults, place) } else { was };
        judge(place, wanted, &wanted.absent, (was, is), (model.is_judged_default(place), &nothing), faults);
    }
}

fn memberships(model: &Model<'_>, before: &Facts, after: &Facts, faults: &mut Vec<String>) {
    for (pair, wanted) in &model.memberships {
        let edges = after.members.get(pair).map_or(&[][..], Vec::as_slice);
        let admin = edges.iter().any(|edge| edge[0] == Some(true));
        let had_admin = before.members.get(pair).is_some_and(|edges| edges.iter().any(|edge| edge[0] == Some(true)));
        let expected = match wanted["admin"].as_bool() {
            Some(admin) => admin,
            None => had_admin && !model.is_revoking(),
        };
        if edges.is_empty() || admin != expected {
            faults.push(format!("membership {pair:?} should be {wanted} and is {edges:?}"));
        }
        for (at, option) in [(1, "inherit"), (2, "set")] {
            let wrong = |wanted| edges.iter().any(|edge| edge[at].is_some_and(|is| is != wanted));
            if wanted[option].as_bool().is_some_and(wrong) {
                faults.push(format!("membership {pair:?} should be {wanted} and is {edges:?}"));
            }
        }
    }
    for (pair, edges) in &before.members {
        let is_there = after.members.contains_key(pair);
        if is_there == model.is_dismissed(pair) {
            faults.push(format!("membership {pair:?} {edges:?} there afterwards: {is_there}"));
        }
        if is_there && !model.memberships.contains_key(pair) && after.members[pair] != *edges {
            faults.push(format!("membership {pair:?} was {edges:?} and is {:?}", after.members[pair]));
        }
    }
    for pair in after.members.keys() {
        if !before.members.contains_key(pair) && !model.memberships.contains_key(pair) {
            faults.push(format!("membership {pair:?} came out of nothing"));
        }
    }
}

fn roles(model: &Model<'_>, before: &Facts, after: &Facts, faults: &mut Vec<String>) {
    let fresh = serde_json::json!({"login": false, "superuser": false, "createdb": false, "createrole": false,
        "inherit": true, "replication": false, "bypassrls": false, "connection_limit": -1, "valid_until": null, "comment": ""});
    let mut settings = before.settings.clone();
    for name in
        after.roles.keys().chain(before.roles.keys()).chain(model.declared_roles.keys()).collect::<BTreeSet<_>>()
    {
        let mut expected = before.roles.get(name).unwrap_or(&fresh).clone();
        for (key, value) in model.declared_roles.get(name).and_then(Value::as_object).into_iter().flatten() {
            match (key.as_str(), value.as_str()) {
                ("config", _) => {
                    for (setting, value) in value.as_object().expect("settings") {
                        settings.insert((name.clone(), None, setting.clone()), stored(value));
                    }
                }
                ("valid_until", Some("infinity") | None) => expected[key] = Value::Null,
                ("valid_until", Some(_)) => expected[key] = "1938081600".into(),
                _ => expected[key] = value.clone(),
            }
        }
        let is_known = before.roles.contains_key(name) || model.declared_roles.contains_key(name);
        if !is_known || after.roles.get(name) != Some(&expected) {
            faults.push(format!("role {name:?} should be {expected} and is {:?}", after.roles.get(name)));
        }
    }
    if settings != after.settings {
        faults.push(format!("settings should be {settings:?} and are {:?}", after.settings));
    }
}

/// A setting as the server stores it.
fn stored(value: &Value) -> String {
    match value {
        Value::Array(_) => "shop, \"A.b \"\"c\"\"\"".to_owned(),
        Value::Bool(on) => if *on { "on" } else { "off" }.to_owned(),
        Value::Number(number) => number.to_string(),
        other => other.as_str().expect("text").to_owned(),
    }
}
