//! What the page shows, as small as it can be.

use super::AccessModel;
use super::findings::{Finding, findings};
use super::matrix::Matrix;
use crate::catalog::{DefaultAcl, RoleId};
use crate::diff::plural;
use crate::effective::{Access, Grants, How, Line};
use crate::explain::{Answers, how_word, options};
use policy::spec::{Kind, Privileges};
use serde::Serialize;
use std::collections::HashMap;

/// Everything on the page. Texts that repeat are numbers of `texts`, roles and schemas are numbers too.
#[derive(Serialize)]
pub struct Data {
    program: &'static str,
    server: String,
    database: String,
    owner: String,
    executor: String,
    now: String,
    tables: usize,
    schemas: Vec<Schema>,
    roles: Vec<Role>,
    texts: Vec<String>,
    findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<AccessModel>,
}

#[derive(Serialize)]
struct Schema {
    name: String,
    owner: usize,
    tables: usize,
}

#[derive(Serialize, Default)]
struct Role {
    name: String,
    login: bool,
    superuser: bool,
    predefined: bool,
    options: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    settings: Vec<String>,
    /// Group, and a sum: 1 inherits, 2 may SET ROLE, 4 may admit others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<(usize, u8)>,
    /// Schema, letters, those without membership, whether the schema may be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cells: Vec<(usize, usize, usize, u8)>,
    /// Schema or -1, what is held.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<(i64, usize)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    defaults: Vec<usize>,
}

#[derive(Default)]
struct Texts {
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Texts {
    fn number(&mut self, text: String) -> usize {
        *self.numbers.entry(text).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            self.texts.len() - 1
        })
    }
}

impl Data {
    /// Gathers it.
    pub fn new(answers: &Answers<'_>, model: Option<AccessModel>) -> Self {
        let access = &answers.access;
        let present = access.present;
        let grants = Grants::new(access);
        let mut roles = shown_roles(access);
        roles.sort_by_key(|role| (*role != RoleId::PUBLIC, access.name(*role).starts_with("pg_"), access.name(*role)));
        let numbers: HashMap<RoleId, usize> = roles.iter().enumerate().map(|(number, role)| (*role, number)).collect();
        let mut schemas: Vec<_> = present.objects.iter().filter(|object| object.kind == Kind::Schema).collect();
        schemas.sort_by_key(|schema| schema.name.as_str());
        let names: Vec<&str> = schemas.iter().map(|schema| schema.name.as_str()).collect();
        let places: HashMap<&str, i64> = names.iter().copied().zip(0..).collect();
        let matrix = Matrix::new(access, &grants, &names);
        let mut tables: HashMap<&str, usize> = HashMap::new();
        for object in present.objects.iter().filter(|object| matches!(object.kind, Kind::Relation(_))) {
            *tables.entry(object.schema.as_deref().unwrap_or_default()).or_default() += 1;
        }
        let mut texts = Texts::default();
        let mut data = Self {
            program: concat!("rolecall ", env!("CARGO_PKG_VERSION")),
            server: present.session.version_text.clone(),
            database: present.session.database.clone(),
            owner: access.database().map_or(String::new(), |database| access.name(database.owner).to_owned()),
            executor: present.session.executor.clone(),
            now: answers.details.now.clone(),
            tables: tables.values().sum(),
            schemas: Vec::new(),
            roles: Vec::new(),
            texts: Vec::new(),
            findings: findings(access, &grants, &answers.details),
            access: model,
        };
        for schema in schemas {
            data.schemas.push(Schema {
                name: schema.name.clone(),
                owner: numbers.get(&schema.owner).copied().unwrap_or_default(),
                tables: tables.get(schema.name.as_str()).copied().unwrap_or_default(),
            });
        }
        for id in &roles {
            let mut role = described(answers, *id, &numbers);
            for cell in matrix.row(*id) {
                let (letters, direct) = (texts.number(cell.letters), texts.number(cell.direct));
                role.cells.push((cell.schema, letters, direct, cell.usable.into()));
            }
            for line in grants.of(*id) {
                let schema = line.schema.as_deref().and_then(|name| places.get(name)).copied().unwrap_or(-1);
                role.lines.push((schema, texts.number(held(access, &grants, line))));
            }
            for default in present.defaults.iter().filter(|default| default.creator == *id) {
                role.defaults.extend(defaults(access, default).into_iter().map(|text| texts.number(text)));
            }
            data.roles.push(role);
        }
        data.texts = texts.texts;
        data
    }

    /// The page's title.
    pub fn title(&self) -> String {
        format!("Roles and privileges in {}", self.database)
    }

    /// What was written, for the person who asked for it.
    pub fn summary(&self) -> String {
        let counts = [
            (self.roles.len(), "role"),
            (self.schemas.len(), "schema"),
            (self.tables, "table"),
            (self.findings.len(), "finding"),
        ];
        let words = counts.map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }));
        words.into_iter().chain(self.access.as_ref().map(AccessModel::summary)).collect::<Vec<_>>().join(", ")
    }
}

/// All but the predefined roles that only predefined roles are members of.
fn shown_roles(access: &Access<'_>) -> Vec<RoleId> {
    let roles = access.present.roles.keys().copied();
    let predefined = |role: RoleId| access.name(role).starts_with("pg_");
    let has_members = |role: RoleId| access.graph.members(role).iter().any(|edge| !predefined(edge.role));
    let shown = roles.filter(|role| !predefined(*role) || has_members(*role));
    // What is shown refers to its groups.
    let mut all: Vec<RoleId> = shown.collect();
    let mut next = 0;
    while let Some(role) = all.get(next).copied() {
        for edge in access.graph.groups(role) {
            if !all.contains(&edge.role) {
                all.push(edge.role);
            }
        }
        next += 1;
    }
    all.push(RoleId::PUBLIC);
    all
}

fn described(answers: &Answers<'_>, id: RoleId, numbers: &HashMap<RoleId, usize>) -> Role {
    let access = &answers.access;
    let name = access.name(id).to_owned();
    let Some(of_role) = access.present.roles.get(&id) else { return Role { name, ..Role::default() } };
    let groups = access.graph.groups(id).iter().filter_map(|edge| {
        let options = u8::from(edge.inherit) + 2 * u8::from(edge.set) + 4 * u8::from(edge.admin);
        Some((*numbers.get(&edge.role)?, options))
    });
    let settings = of_role.config.iter().flat_map(|(database, settings)| {
        let place = database.as_ref().map_or(String::new(), |name| format!(" in database {name}"));
        settings.iter().map(move |(name, value)| format!("{name} = {value}{place}"))
    });
    Role {
        predefined: name.starts_with("pg_"),
        name,
        login: of_role.login,
        superuser: of_role.superuser,
        options: options(answers, id, of_role).join(", "),
        comment: of_role.comment.clone(),
        settings: settings.collect(),
        groups: groups.collect(),
        ..Role::default()
    }
}

fn held(access: &Access<'_>, grants: &Grants, line: &Line) -> String {
    let mut text = grants.text(access, line);
    if line.how != How::Granted {
        text += &format!(", {}", how_word(line.how));
    }
    if line.grant_option {
        text += ", with grant option";
    }
    text
}

/// What others get on the objects to come of a role.
fn defaults(access: &Access<'_>, default: &DefaultAcl) -> Vec<String> {
    let place = default.schema.as_ref().map_or("in every schema".to_owned(), |name| format!("in {name}"));
    let mut texts = Vec::new();
    for item in default.acl.iter().filter(|item| item.grantee != default.creator) {
        let option = if item.grant_options.is_empty() { "" } else { ", with grant option" };
        let (what, whom) = (item.privileges, access.name(item.grantee));
        texts.push(format!("{what} on {} {place} to {whom}{option}", plural(default.kind)));
    }
    if default.schema.is_none() {
        let public = default.acl.iter().filter(|item| item.grantee == RoleId::PUBLIC);
        let taken = default.kind.public_default() - public.fold(Privileges::NONE, |sum, item| sum | item.privileges);
        if !taken.is_empty() {
            texts.push(format!("no {taken} on {} {place} to PUBLIC", plural(default.kind)));
        }
    }
    texts
}
