//! The top of a spec.

use super::error::SpecError;
use super::fields::{Cursor, Fields};
use super::kind::Kind;
use super::model::{Contents, Manage, Ownership, Spec, Target, Undeclared};
use super::node::Node;
use super::pattern::Pattern;
use super::{read_access, read_grants, read_roles, read_schemas};

pub(super) fn spec(text: &str) -> Result<Spec, SpecError> {
    let node = Node::parse(text)?;
    let top = Cursor::new(&node, "");
    let mut fields = top.fields()?;
    if let Some(version) = fields.take("version")
        && version.integer()? != 1
    {
        return Err(version.error("only version 1 of the format is known"));
    }
    let mut spec = Spec::default();
    if let Some(roles) = fields.take("roles") {
        spec.roles = read_roles::roles(&roles)?;
    }
    if let Some(memberships) = fields.take("memberships") {
        spec.memberships = read_roles::memberships(&memberships)?;
    }
    if let Some(templates) = fields.take("templates") {
        spec.templates = read_schemas::templates(&templates)?;
    }
    if let Some(name) = fields.take("role_name") {
        spec.role_name = Some(read_schemas::role_name(&name)?);
    }
    if let Some(retire) = fields.take("retire") {
        spec.retire = read_roles::retire(&retire, &spec.roles)?;
    }
    let creators = fields.take("creators");
    spec.here = contents(&mut fields, &spec, creators.as_ref())?;
    for role in spec.roles.values_mut() {
        spec.here.grants.append(&mut role.grants);
    }
    if let Some(databases) = fields.take("databases") {
        for (name, body) in databases.named()? {
            spec.databases.insert(name.to_owned(), database(name, &body, &spec, creators.as_ref())?);
        }
    }
    if let Some(cursor) = fields.take("manage") {
        spec.manage = manage(&cursor)?;
    }
    fields.end()?;
    Ok(spec)
}

fn database(name: &str, body: &Cursor<'_>, spec: &Spec, creators: Option<&Cursor<'_>>) -> Result<Contents, SpecError> {
    let mut fields = body.fields()?;
    let owner = fields.take("owner");
    let mut contents = contents(&mut fields, spec, creators)?;
    fields.end()?;
    if let Some(owner) = owner {
        let names = vec![Pattern::literal(name)];
        let on = Target { kind: Kind::Database, schemas: Vec::new(), names, columns: Vec::new() };
        contents.owners.push(Ownership { at: owner.at(), owner: owner.text()?.to_owned(), on, except: Vec::new() });
    }
    Ok(contents)
}

fn contents(fields: &mut Fields<'_>, spec: &Spec, creators: Option<&Cursor<'_>>) -> Result<Contents, SpecError> {
    let mut contents = Contents::default();
    if let Some(schemas) = fields.take("schemas") {
        contents.schemas = read_schemas::schemas(&schemas, &spec.templates, creators)?;
    }
    if let Some(owners) = fields.take("owners") {
        contents.owners = owners.list()?.iter().map(read_grants::ownership).collect::<Result<_, _>>()?;
    }
    if let Some(grants) = fields.take("grants") {
        for grant in grants.list()? {
            contents.grants.push(read_grants::grant(&grant)?);
        }
    }
    if let Some(defaults) = fields.take("default_privileges") {
        for default in defaults.list()? {
            contents.default_privileges.extend(read_grants::default_privilege(&default)?);
        }
    }
    if let Some(access) = fields.take("rolecall") {
        contents.access = Some(read_access::access(&access)?);
    }
    Ok(contents)
}

fn manage(cursor: &Cursor<'_>) -> Result<Manage, SpecError> {
    let mut fields = cursor.fields()?;
    let mut manage = Manage::default();
    if let Some(roles) = fields.take("roles") {
        manage.roles = Some(patterns(&roles)?);
    }
    if let Some(schemas) = fields.take("schemas") {
        manage.schemas = Some(patterns(&schemas)?);
    }
    if let Some(ignore) = fields.take("ignore") {
        manage.ignore = patterns(&ignore)?;
    }
    if let Some(cursor) = fields.take("undeclared") {
        manage.undeclared = undeclared(&cursor)?;
    }
    fields.end()?;
    Ok(manage)
}

/// Words that stand for flags, or what happens to each sort of undeclared things.
fn undeclared(cursor: &Cursor<'_>) -> Result<Undeclared, SpecError> {
    let mut undeclared = Undeclared::default();
    if !cursor.is_map() {
        for item in cursor.items() {
            match item.word(&[("report", ""), ("revoke", "revoke"), ("drop", "drop"), ("owner", "owner")])? {
                "revoke" => (undeclared.revoke_privileges, undeclared.revoke_members) = (true, true),
                "drop" => undeclared.drop_roles = true,
                "owner" => undeclared.change_owners = true,
                _ => {}
            }
        }
        return Ok(undeclared);
    }
    let mut fields = cursor.fields()?;
    let mut flag = |key, word| match fields.take(key) {
        Some(value) => value.word(&[("report", false), (word, true)]),
        None => Ok(false),
    };
    undeclared.revoke_privileges = flag("privileges", "revoke")?;
    undeclared.revoke_members = flag("members", "revoke")?;
    undeclared.drop_roles = flag("roles", "drop")?;
    undeclared.change_owners = flag("owners", "change")?;
    fields.end()?;
    Ok(undeclared)
}

pub(super) fn patterns(cursor: &Cursor<'_>) -> Result<Vec<Pattern>, SpecError> {
    Ok(cursor.texts()?.into_iter().map(Pattern::new).collect())
}
