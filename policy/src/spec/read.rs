//! The top of a spec.

use super::error::SpecError;
use super::fields::{Cursor, Fields};
use super::model::{Contents, Manage, Spec};
use super::node::Node;
use super::pattern::Pattern;
use super::{read_grants, read_roles, read_schemas};

pub(super) fn spec(text: &str) -> Result<Spec, SpecError> {
    let node = Node::parse(text)?;
    let top = Cursor::new(&node, "");
    let mut fields = top.fields()?;
    if let Some(version) = fields.take("version")
        && version.integer()? != 1
    {
        return Err(version.error("only version 1 of the format is known"));
    }
    fields.not_yet(&["retire", "rolecall"])?;
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
    spec.here = contents(&mut fields, &spec)?;
    if let Some(databases) = fields.take("databases") {
        for (name, database) in databases.named()? {
            let mut fields = database.fields()?;
            let contents = contents(&mut fields, &spec)?;
            fields.end()?;
            spec.databases.insert(name.to_owned(), contents);
        }
    }
    if let Some(cursor) = fields.take("manage") {
        spec.manage = manage(&cursor)?;
    }
    fields.end()?;
    Ok(spec)
}

fn contents(fields: &mut Fields<'_>, spec: &Spec) -> Result<Contents, SpecError> {
    let mut contents = Contents::default();
    if let Some(schemas) = fields.take("schemas") {
        contents.schemas = read_schemas::schemas(&schemas, &spec.templates)?;
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
    if let Some(undeclared) = fields.take("undeclared") {
        manage.revoke = undeclared.word(&[("report", false), ("revoke", true)])?;
    }
    fields.end()?;
    Ok(manage)
}

pub(super) fn patterns(cursor: &Cursor<'_>) -> Result<Vec<Pattern>, SpecError> {
    Ok(cursor.texts()?.into_iter().map(Pattern::new).collect())
}
