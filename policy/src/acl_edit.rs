//! Access-control lists written: what may be in one, and how it changes.

use crate::acl::{RIGHTS, Rights};
use serde_json::{Map, Value, json};

/// Who an entry is about.
#[derive(Clone, Copy, Debug)]
pub enum Member<'a> {
    /// A user, by id.
    User(&'a str),
    /// A role, by name.
    Role(&'a str),
}

impl Member<'_> {
    /// What an entry calls him.
    fn name(self) -> String {
        match self {
            // A bare name that begins like a role's would be read as one.
            Member::Role(name) if name.starts_with("role:") => format!("role:{name}"),
            Member::User(name) | Member::Role(name) => name.to_owned(),
        }
    }

    fn is(self, name: &str) -> bool {
        let role = |role| name.strip_prefix("role:") == Some(role);
        name == self.name() || matches!(self, Member::Role(name) if role(name))
    }
}

/// Why a value is no ACL, beginning with where; None where it is one.
pub fn fault(acl: &Value) -> Option<String> {
    let Value::Array(entries) = acl else { return Some("$ is no list".into()) };
    entries.iter().enumerate().find_map(|(at, entry)| entry_fault(entry).map(|fault| format!("$[{at}]{fault}")))
}

fn entry_fault(entry: &Value) -> Option<String> {
    let Value::Object(fields) = entry else { return Some(" is no object".into()) };
    match [fields.get("id"), fields.get("_id")] {
        [Some(Value::String(name)), None] | [None, Some(Value::String(name))] if !name.is_empty() => {}
        [None, None] => return Some(" names nobody: \"id\" is missing".into()),
        [Some(_), Some(_)] => return Some(" has both \"id\" and \"_id\"".into()),
        _ => return Some(".id is no user's id or role's name".into()),
    }
    if !matches!(fields.get("deny"), None | Some(Value::Null | Value::Bool(_))) {
        return Some(".deny is neither true nor false".into());
    }
    match fields.get("rights") {
        None => Some(" has no \"rights\"".into()),
        Some(rights) => read_rights(rights).err().map(|fault| format!(".rights{fault}")),
    }
}

fn read_rights(rights: &Value) -> Result<Rights, String> {
    match rights {
        Value::Array(names) => named(names.iter().map(|name| name.as_str().unwrap_or_default())),
        Value::Number(number) => number
            .as_i64()
            .and_then(Rights::numbered)
            .ok_or_else(|| format!(" is {number}; a number goes from 0 to 65535, or is -1")),
        _ => Err(" is neither a list nor a number".into()),
    }
}

/// The rights of these names, or which of them is none.
///
/// # Errors
/// The name that is no right's, and those that are.
pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Rights, String> {
    let mut rights = Rights::NONE;
    for name in names {
        let right = Rights::named(name);
        let right = right.ok_or_else(|| format!(" has {name:?}; rights are {}, full_control", RIGHTS.join(", ")))?;
        rights = rights.with(right);
    }
    Ok(rights)
}

/// The ACL of a new object that has none: full control for whoever made it, where anybody is known, and for
/// administrators.
pub fn default(creator: Option<&str>) -> Value {
    let full = |name: &str| json!({"id": name, "rights": Rights::ALL.names().collect::<Vec<_>>()});
    creator.into_iter().chain(["admins"]).map(full).collect()
}

/// Adds rights for somebody, or a denial of them. `acl` is a list.
pub fn grant(acl: &mut Value, member: Member, rights: Rights, deny: bool) {
    let Value::Array(entries) = acl else { return };
    let openflow = entries.iter().any(|entry| entry.get("_id").is_some());
    let entry = entries.iter_mut().find_map(|entry| about(entry, member, deny));
    let all =
        |entry: &Map<String, Value>| entry.get("rights").and_then(|it| read_rights(it).ok()).map(|it| it.with(rights));
    match entry {
        Some(entry) => {
            let rights = all(entry).unwrap_or(rights);
            write_rights(entry, rights);
        }
        None => {
            let mut entry = Map::new();
            entry.insert(if openflow { "_id" } else { "id" }.into(), member.name().into());
            entry.insert("rights".into(), if openflow { rights.number().into() } else { Value::Null });
            if deny {
                entry.insert("deny".into(), true.into());
            }
            write_rights(&mut entry, rights);
            entries.push(entry.into());
        }
    }
}

/// Takes rights, or a denial of them, from somebody. An entry that says nothing any more goes.
pub fn revoke(acl: &mut Value, member: Member, rights: Rights, deny: bool) {
    let Value::Array(entries) = acl else { return };
    entries.retain_mut(|entry| {
        let Some(entry) = about(entry, member, deny) else { return true };
        let left = entry.get("rights").and_then(|it| read_rights(it).ok()).unwrap_or(Rights::NONE).without(rights);
        write_rights(entry, left);
        left != Rights::NONE
    });
}

/// The entry, where it is about this member and allows, or denies.
fn about<'a>(entry: &'a mut Value, member: Member, deny: bool) -> Option<&'a mut Map<String, Value>> {
    let fields = entry.as_object_mut()?;
    let name = fields.get("id").or_else(|| fields.get("_id")).and_then(Value::as_str);
    let denies = fields.get("deny").and_then(Value::as_bool).unwrap_or(false);
    (denies == deny && name.is_some_and(|name| member.is(name))).then_some(fields)
}

/// Keeps to the form, a list or a number, that the entry has.
fn write_rights(entry: &mut Map<String, Value>, rights: Rights) {
    let value = match entry.get("rights") {
        Some(Value::Number(_)) => rights.number().into(),
        _ => rights.names().collect(),
    };
    entry.insert("rights".into(), value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(names: &str) -> Rights {
        named(names.split(' ')).unwrap()
    }

    #[test]
    fn what_is_no_acl_says_where_it_is_wrong() {
        for good in [
            json!([]),
            json!([{"id": "u1", "rights": ["read", "full_control"], "deny": null, "name": "Ada"}]),
            json!([{"_id": "u1", "rights": 65535, "deny": true}, {"id": "x", "rights": -1}]),
        ] {
            assert_eq!(fault(&good), None, "{good}");
        }
        for (bad, says) in [
            (json!({}), "$ is no list"),
            (json!([1]), "$[0] is no object"),
            (json!([{"rights": []}]), "$[0] names nobody"),
            (json!([{"id": "", "rights": []}]), "$[0].id is no"),
            (json!([{"_id": 7, "rights": []}]), "$[0].id is no"),
            (json!([{"id": "x", "_id": "x", "rights": []}]), "$[0] has both"),
            (json!([{"id": "x", "rights": []}, {"id": "x"}]), "$[1] has no \"rights\""),
            (json!([{"id": "x", "rights": ["raed"]}]), "$[0].rights has \"raed\""),
            (json!([{"id": "x", "rights": [1]}]), "$[0].rights has \"\""),
            (json!([{"id": "x", "rights": "read"}]), "$[0].rights is neither"),
            (json!([{"id": "x", "rights": -2}]), "$[0].rights is -2"),
            (json!([{"id": "x", "rights": 1.5}]), "$[0].rights is 1.5"),
            (json!([{"id": "x", "rights": 65536}]), "$[0].rights is 65536"),
            (json!([{"id": "x", "rights": [], "deny": "no"}]), "$[0].deny is neither"),
        ] {
            assert!(fault(&bad).is_some_and(|fault| fault.starts_with(says)), "{bad}: {:?}", fault(&bad));
        }
    }

    #[test]
    fn rights_are_added_to_the_entry_of_the_member_in_its_form() {
        let mut acl = json!([{"id": "a", "rights": ["read"]}, {"id": "role:b", "rights": 2, "deny": false}]);
        grant(&mut acl, Member::User("a"), rights("update"), false);
        grant(&mut acl, Member::Role("b"), rights("invoke"), false);
        grant(&mut acl, Member::Role("a"), rights("read"), true);
        assert_eq!(
            acl,
            json!([
                {"id": "a", "rights": ["read", "update"]}, {"id": "role:b", "rights": 18, "deny": false},
                {"id": "a", "rights": ["read"], "deny": true}
            ])
        );
        let mut openflow = json!([{"_id": "a", "rights": -1}]);
        grant(&mut openflow, Member::User("b"), rights("read delete"), false);
        assert_eq!(openflow, json!([{"_id": "a", "rights": -1}, {"_id": "b", "rights": 10}]));
    }

    #[test]
    fn what_is_taken_back_leaves_the_rest() {
        let mut acl = json!([
            {"id": "a", "rights": ["read", "update"]}, {"id": "a", "rights": ["read"], "deny": true},
            {"id": "b", "rights": 65535}
        ]);
        revoke(&mut acl, Member::User("a"), rights("read"), false);
        revoke(&mut acl, Member::User("a"), Rights::ALL, true);
        revoke(&mut acl, Member::User("b"), rights("delete"), false);
        revoke(&mut acl, Member::User("c"), Rights::ALL, false);
        assert_eq!(acl, json!([{"id": "a", "rights": ["update"]}, {"id": "b", "rights": 23}]));
    }

    #[test]
    fn a_new_object_is_its_creators() {
        let all = json!(["create", "read", "update", "delete", "invoke"]);
        assert_eq!(default(Some("u1")), json!([{"id": "u1", "rights": all}, {"id": "admins", "rights": all}]));
        assert_eq!(default(None), json!([{"id": "admins", "rights": all}]));
    }
}
