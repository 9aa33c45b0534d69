//! What a spec must come to, worked out from its text in another way than the program's.

use crate::provisioner_random_facts::{DefaultPlace, Facts, Held, Object, Place};
use crate::provisioner_random_present::privileges;
use crate::provisioner_random_words::{broad, is_like, kinds, list, short, texts, with_inherited, words_of};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is said about one place.
#[derive(Default)]
pub struct Said {
    /// By wildcards and by name.
    held: [BTreeSet<String>; 2],
    absent: [BTreeSet<String>; 2],
    option: BTreeSet<String>,
}

/// What that comes to.
#[derive(Default)]
pub struct Wanted {
    pub held: BTreeSet<String>,
    pub absent: BTreeSet<String>,
    pub option: BTreeSet<String>,
}

/// What the command line says.
#[derive(Clone, Copy)]
pub struct Flags {
    pub revoke: bool,
    pub owner: bool,
}

/// A spec and the state it meets.
pub struct Model<'a> {
    spec: &'a Value,
    before: &'a Facts,
    database: &'a str,
    version: u32,
    revoke: bool,
    pub wanted: BTreeMap<Place, Wanted>,
    pub defaults: BTreeMap<DefaultPlace, Wanted>,
    /// All objects, those to come included, with the owners they are going to have.
    pub owners: BTreeMap<Object, String>,
    pub memberships: BTreeMap<(String, String), Value>,
    pub declared_roles: BTreeMap<String, Value>,
}

impl<'a> Model<'a> {
    /// Works everything out; an error where the program must see one.
    pub fn new(
        spec: &'a Value,
        before: &'a Facts,
        flags: Flags,
        database: &'a str,
        version: u32,
    ) -> Result<Self, String> {
        let mut model = Self {
            spec,
            before,
            database,
            version,
            revoke: flags.revoke || spec["manage"]["undeclared"] == "revoke",
            wanted: BTreeMap::new(),
            defaults: BTreeMap::new(),
            owners: before.owners.clone(),
            memberships: BTreeMap::new(),
            declared_roles: BTreeMap::new(),
        };
        for (name, options) in spec["roles"].as_object().expect("roles") {
            model.declared_roles.insert(name.clone(), options.clone());
        }
        for entry in list(&spec["memberships"]) {
            let pair = (entry["role"].as_str().expect("role"), entry["member"].as_str().expect("member"));
            model.memberships.insert((pair.0.to_owned(), pair.1.to_owned()), entry.clone());
        }
        for (name, entry) in spec["schemas"].as_object().into_iter().flatten() {
            let object = model.schema(name);
            if flags.owner || !before.owners.contains_key(&object) {
                model.owners.insert(object, entry["owner"].as_str().expect("an owner").to_owned());
            }
        }
        let (mut grants, mut defaults) = (list(&spec["grants"]), list(&spec["default_privileges"]));
        for (name, entry) in spec["schemas"].as_object().into_iter().flatten() {
            model.write_out(name, entry, &mut grants, &mut defaults);
        }
        let mut said = BTreeMap::new();
        for grant in &grants {
            model.grant(grant, &mut said)?;
        }
        let mut said_of_defaults = BTreeMap::new();
        for entry in &defaults {
            model.default_privilege(entry, &mut said_of_defaults);
        }
        for (place, said) in said {
            model.wanted.insert(place, settled(said)?);
        }
        for (place, said) in said_of_defaults {
            model.defaults.insert(place, settled(said)?);
        }
        Ok(model)
    }

    pub fn schema(&self, name: &str) -> Object {
        Object { kind: "schema".to_owned(), schema: None, name: name.to_owned(), arguments: String::new() }
    }

    /// The templates of a schema as grants and default privileges.
    fn write_out(&mut self, schema: &str, entry: &Value, grants: &mut Vec<Value>, defaults: &mut Vec<Value>) {
        let templates = &self.spec["templates"];
        let is_public = |role: &Value| role == "PUBLIC";
        // Template by template: which of its own grants go to whom.
        let mut given: Vec<(String, Value)> = Vec::new();
        match &entry["templates"] {
            Value::Object(uses) => {
                for (name, roles) in uses {
                    for template in with_inherited(templates, name) {
                        given.push((template, roles.clone()));
                    }
                }
            }
            uses => {
                for name in texts(uses) {
                    for template in with_inherited(templates, &name) {
                        let role = self.template_role(schema, &template);
                        self.declared_roles.entry(role.clone()).or_insert(json!({}))["login"] = json!(false);
                        for group in texts(&templates[&template]["inherits"]) {
                            let group = self.template_role(schema, &group);
                            let pair = json!({"role": group, "member": role});
                            self.memberships.insert((group, role.clone()), pair);
                        }
                        given.push((template, json!(role)));
                    }
                }
            }
        }
        let gives_create = |on: &Value, privileges: &Value| {
            let words = words_of(privileges);
            on == "schema" && words.iter().any(|word| word == "CREATE" || word == "ALL")
        };
        let mut creators = list(&entry["creators"]);
        if creators.is_empty() {
            creators.push(entry["owner"].clone());
            for grant in list(&self.spec["grants"]) {
                let named = texts(&grant["on"]["name"]).iter().any(|name| is_like(schema, name));
                if grant["ensure"].is_null() && gives_create(&grant["on"]["type"], &grant["privileges"]) && named {
                    creators.extend(list(&grant["to"]).into_iter().filter(|to| !is_public(to)));
                }
            }
            for (template, roles) in &given {
                for granted in list(&templates[template]["grants"]) {
                    let (privileges, on, _) = short(&granted);
                    if gives_create(&on, &privileges) {
                        creators.extend(list(roles).into_iter().filter(|to| !is_public(to)));
                    }
                }
            }
        }
        for (template, roles) in &given {
            for granted in list(&templates[template]["grants"]) {
                let (privileges, on, except) = short(&granted);
                let target = if on == "schema" {
                    json!({"type": "schema", "name": schema})
                } else {
                    json!({"type": on, "schema": schema, "name": "*"})
                };
                grants.push(json!({"to": roles, "privileges": privileges, "on": target, "except": except}));
            }
            for granted in list(&templates[template]["default_privileges"]) {
                let (privileges, on, _) = short(&granted);
                defaults.push(
                    json!({"owner": creators, "schema": schema, "on": on, "to": roles, "privileges": privileges}),
                );
            }
        }
    }

    fn template_role(&self, schema: &str, template: &str) -> String {
        match self.spec["role_name"].as_str() {
            Some(_) => format!("{template} of {schema}"),
            None => format!("{schema}_{template}"),
        }
    }

    /// Privileges in full.
    fn expanded(&self, value: &Value, word: &str) -> Vec<String> {
        let mut all = Vec::new();
        for one in words_of(value) {
            if one == "ALL" {
                all.extend(privileges(word).iter().map(|word| (*word).to_owned()));
                if self.version >= 170_000 && broad(word) == "table" {
                    all.push("MAINTAIN".to_owned());
                }
            } else {
                all.push(one);
            }
        }
        all
    }

    fn grant(&mut self, grant: &Value, said: &mut BTreeMap<Place, Said>) -> Result<(), String> {
        let on = &grant["on"];
        let word = on["type"].as_str().expect("a type");
        let columns = if word == "column" { texts(&on["name"]) } else { texts(&on["columns"]) };
        let names = match word {
            "column" => texts(&on["table"]),
            "database" => vec![self.database.to_owned()],
            _ => texts(&on["name"]),
        };
        if word == "parameter" {
            for name in &names {
                let object =
                    Object { kind: "parameter".to_owned(), schema: None, name: name.clone(), arguments: String::new() };
                self.owners.entry(object).or_insert("postgres".to_owned());
            }
        }
        let privileges = self.expanded(&grant["privileges"], if columns.is_empty() { word } else { "column" });
        let is_absent = grant["ensure"] == "absent";
        for name in &names {
            let by_name = !name.contains('*');
            let schemas = list(&on["schema"]);
            let found: Vec<&Object> =
                self.owners.keys().filter(|object| is_target(object, word, &schemas, name)).collect();
            if by_name && found.is_empty() && !is_absent {
                return Err("does not exist".to_owned());
            }
            for object in found {
                let excepted = |pattern: &String| is_like(&object.name, pattern) || is_signature(object, pattern);
                if texts(&grant["except"]).iter().any(excepted) {
                    continue;
                }
                for to in texts(&grant["to"]).into_iter().filter(|to| *to != self.owners[object]) {
                    let columns: Vec<Option<String>> =
                        if columns.is_empty() { vec![None] } else { columns.iter().cloned().map(Some).collect() };
                    for column in columns {
                        let said = said.entry((object.clone(), column, to.clone())).or_default();
                        let side = if is_absent { &mut said.absent } else { &mut said.held };
                        side[usize::from(by_name)].extend(privileges.iter().cloned());
                        if grant["grant_option"] == true {
                            said.option.extend(privileges.iter().cloned());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn default_privilege(&self, entry: &Value, said: &mut BTreeMap<DefaultPlace, Said>) {
        let schema = entry["schema"].as_str().map(str::to_owned);
        let word = entry["on"].as_str().expect("a type");
        let privileges = self.expanded(&entry["privileges"], word);
        let mut creators = Vec::new();
        for owner in list(&entry["owner"]) {
            match owner["members_of"].as_str() {
                Some(group) => creators.extend(self.members(group)),
                None => creators.push(owner.as_str().expect("a role").to_owned()),
            }
        }
        for creator in creators {
            for to in texts(&entry["to"]).into_iter().filter(|to| *to != creator || schema.is_some()) {
                let said = said.entry((creator.clone(), schema.clone(), broad(word), to)).or_default();
                let side = if entry["ensure"] == "absent" { &mut said.absent } else { &mut said.held };
                side[1].extend(privileges.iter().cloned());
                if entry["grant_option"] == true {
                    said.option.extend(privileges.iter().cloned());
                }
            }
        }
    }

    /// Everybody in `group`, at whatever remove, once the spec is applied.
    fn members(&self, group: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![group.to_owned()];
        while let Some(group) = open.pop() {
            let kept = self.before.members.keys().filter(|pair| !self.is_dismissed(pair));
            for (role, member) in kept.chain(self.memberships.keys()) {
                if *role == group && found.insert(member.clone()) {
                    open.push(member.clone());
                }
            }
        }
        found
    }
}

/// What is looked at when something is not declared.
impl Model<'_> {
    /// Whether what is undeclared goes.
    pub fn is_revoking(&self) -> bool {
        self.revoke
    }

    /// Whether what a role holds is looked at.
    pub fn is_managed(&self, role: &str) -> bool {
        let matches = |patterns: &Value| texts(patterns).iter().any(|pattern| is_like(role, pattern));
        let manage = &self.spec["manage"];
        let named =
            if manage["roles"].is_null() { self.declared_roles.contains_key(role) } else { matches(&manage["roles"]) };
        role != "PUBLIC" && !role.starts_with("pg_") && named && !matches(&manage["ignore"])
    }

    /// Whether what is held in a schema, or outside of all, is looked at.
    pub fn is_managed_schema(&self, schema: Option<&str>) -> bool {
        match &self.spec["manage"]["schemas"] {
            Value::Null => true,
            patterns => schema.is_some_and(|schema| texts(patterns).iter().any(|pattern| is_like(schema, pattern))),
        }
    }

    /// Whether a privilege at this place is taken away when it is not declared.
    pub fn is_judged(&self, (object, _, to): &Place) -> bool {
        let here = object.kind != "database" || object.name == self.database;
        let schema = if object.kind == "schema" { Some(object.name.as_str()) } else { object.schema.as_deref() };
        // Of large objects, which can be millions, only those count that the spec names.
        let named =
            |grant: &Value| grant["on"]["type"] == "large_object" && grant["on"]["name"] == object.name.as_str();
        let counts = object.kind != "large_object" || list(&self.spec["grants"]).iter().any(named);
        self.revoke && counts && self.is_managed(to) && here && self.is_managed_schema(schema)
    }

    /// Whether a membership is taken away because it is not declared.
    pub fn is_dismissed(&self, pair: &(String, String)) -> bool {
        self.revoke && !self.memberships.contains_key(pair) && self.is_managed(&pair.0) && self.is_managed(&pair.1)
    }

    /// Whether default privileges at this place are taken away when they are not declared.
    pub fn is_judged_default(&self, (creator, schema, _, to): &DefaultPlace) -> bool {
        self.revoke && self.is_managed(to) && to != creator && self.is_managed_schema(schema.as_deref())
    }
}

fn is_target(object: &Object, word: &str, schemas: &[Value], name: &str) -> bool {
    let in_schema = match &object.schema {
        Some(schema) => schemas.iter().any(|pattern| is_like(schema, pattern.as_str().expect("a schema"))),
        None => schemas.is_empty(),
    };
    kinds(word).contains(&object.kind.as_str())
        && in_schema
        && (is_like(&object.name, name) || is_signature(object, name))
}

fn is_signature(object: &Object, name: &str) -> bool {
    matches!(object.kind.as_str(), "function" | "procedure") && format!("{}({})", object.name, object.arguments) == name
}

/// What is said by name counts more than what is said by a wildcard; otherwise both must agree.
fn settled(said: Said) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    let all: BTreeSet<&String> = said.held.iter().chain(&said.absent).flatten().collect();
    for privilege in all {
        let is_named = said.held[1].contains(privilege) || said.absent[1].contains(privilege);
        let side = usize::from(is_named);
        match (said.held[side].contains(privilege), said.absent[side].contains(privilege)) {
            (true, true) => return Err("both given".to_owned()),
            (true, false) => {
                wanted.held.insert(privilege.clone());
                if said.option.contains(privilege) {
                    wanted.option.insert(privilege.clone());
                }
            }
            _ => drop(wanted.absent.insert(privilege.clone())),
        }
    }
    Ok(wanted)
}

/// What is held at a place, nothing being nothing.
pub fn at<'a, K: Ord>(held: &'a BTreeMap<K, Held>, place: &K) -> &'a Held {
    static NOTHING: Held = Held::new();
    held.get(place).unwrap_or(&NOTHING)
}
