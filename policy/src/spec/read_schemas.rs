//! Templates, and the schemas they are given to.

use super::error::SpecError;
use super::fields::{Cursor, unknown};
use super::model::{Creator, Schema, Template, TemplateUse};
use super::read_grants::{creator, template_grant};
use std::collections::BTreeMap;

pub(super) fn templates(cursor: &Cursor<'_>) -> Result<BTreeMap<String, Template>, SpecError> {
    let named = cursor.named()?;
    let known: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    let mut templates = BTreeMap::new();
    for (name, body) in &named {
        templates.insert((*name).to_owned(), template(body, &known)?);
    }
    for (name, body) in &named {
        if includes(&templates, name, name) {
            return Err(body.error(format!("template \"{name}\" inherits from itself")));
        }
    }
    Ok(templates)
}

fn template(cursor: &Cursor<'_>, known: &[&str]) -> Result<Template, SpecError> {
    let mut fields = cursor.fields()?;
    let mut template = Template { at: cursor.at(), ..Template::default() };
    if let Some(inherits) = fields.take("inherits") {
        for item in inherits.items() {
            let name = item.text()?;
            if !known.contains(&name) {
                return Err(unknown(item.at(), &item.path, "template", name, known));
            }
            template.inherits.push(name.to_owned());
        }
    }
    if let Some(grants) = fields.take("grants") {
        template.grants = grants.list()?.iter().map(template_grant).collect::<Result<_, _>>()?;
    }
    if let Some(defaults) = fields.take("default_privileges") {
        for item in defaults.list()? {
            let grant = template_grant(&item)?;
            if !grant.kind.lies_in_schema() || !grant.except.is_empty() {
                return Err(item.error("default privileges are for kinds of objects in the schema, without exceptions"));
            }
            template.default_privileges.push(grant);
        }
    }
    fields.end()?;
    Ok(template)
}

/// Whether `from` reaches `goal` along what it inherits, by at least one step.
fn includes(templates: &BTreeMap<String, Template>, from: &str, goal: &str) -> bool {
    let mut seen = Vec::new();
    let mut open: Vec<&str> = templates[from].inherits.iter().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if name == goal {
            return true;
        }
        if !seen.contains(&name) {
            seen.push(name);
            open.extend(templates[name].inherits.iter().map(String::as_str));
        }
    }
    false
}

pub(super) fn role_name(cursor: &Cursor<'_>) -> Result<String, SpecError> {
    let name = cursor.text()?;
    let bare = name.replace("{schema}", "").replace("{template}", "");
    if bare.contains(['{', '}']) {
        return Err(cursor.error("the placeholders are {schema} and {template}"));
    }
    Ok(name.to_owned())
}

pub(super) fn schemas(
    cursor: &Cursor<'_>,
    templates: &BTreeMap<String, Template>,
    creators: Option<&Cursor<'_>>,
) -> Result<BTreeMap<String, Schema>, SpecError> {
    let mut schemas = BTreeMap::new();
    for (name, body) in cursor.named()? {
        if name.is_empty() || name.len() > 63 || name.starts_with("pg_") {
            return Err(body.error(format!("\"{name}\" cannot be the name of a schema")));
        }
        schemas.insert(name.to_owned(), schema(&body, templates, creators_of(name, creators)?)?);
    }
    Ok(schemas)
}

/// The creators of a schema that names none: those of all schemas, or those that are listed for it elsewhere.
fn creators_of(schema: &str, creators: Option<&Cursor<'_>>) -> Result<Vec<Creator>, SpecError> {
    let Some(cursor) = creators else { return Ok(Vec::new()) };
    if cursor.is_map() && cursor.fields()?.take("members_of").is_none() {
        let listed = cursor.named()?.into_iter().find(|(name, _)| *name == schema);
        return listed.map_or(Ok(Vec::new()), |(_, list)| list.items().iter().map(creator).collect());
    }
    cursor.items().iter().map(creator).collect()
}

fn schema(
    cursor: &Cursor<'_>,
    templates: &BTreeMap<String, Template>,
    creators: Vec<Creator>,
) -> Result<Schema, SpecError> {
    let mut fields = cursor.fields()?;
    let mut schema = Schema { at: cursor.at(), creators, ..Schema::default() };
    schema.owner = fields.take("owner").map(|owner| owner.text().map(str::to_owned)).transpose()?;
    if let Some(creators) = fields.take("creators") {
        schema.creators = creators.items().iter().map(creator).collect::<Result<_, _>>()?;
    }
    if let Some(uses) = fields.take("templates") {
        schema.templates = template_uses(&uses, templates)?;
    }
    fields.end()?;
    let promises = schema.templates.iter().any(|used| gives_defaults(templates, &used.template));
    if promises && schema.owner.is_none() && schema.creators.is_empty() {
        return Err(cursor
            .error("whose future objects are the templates' default privileges for?")
            .hint("name the schema's \"owner\" or its \"creators\""));
    }
    Ok(schema)
}

/// A list of templates, or a mapping from templates to the roles that get them.
fn template_uses(cursor: &Cursor<'_>, templates: &BTreeMap<String, Template>) -> Result<Vec<TemplateUse>, SpecError> {
    let known: Vec<&str> = templates.keys().map(String::as_str).collect();
    let check = |at, name: &str| {
        if templates.contains_key(name) { Ok(()) } else { Err(unknown(at, &cursor.path, "template", name, &known)) }
    };
    let mut uses = Vec::new();
    if cursor.is_map() {
        for (name, roles) in cursor.named()? {
            check(roles.at(), name)?;
            uses.push(TemplateUse { at: roles.at(), template: name.to_owned(), roles: Some(roles.texts()?) });
        }
    } else {
        for item in cursor.items() {
            check(item.at(), item.text()?)?;
            uses.push(TemplateUse { at: item.at(), template: item.text()?.to_owned(), roles: None });
        }
    }
    Ok(uses)
}

fn gives_defaults(templates: &BTreeMap<String, Template>, name: &str) -> bool {
    let template = &templates[name];
    !template.default_privileges.is_empty() || template.inherits.iter().any(|name| gives_defaults(templates, name))
}
