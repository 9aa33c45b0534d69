//! Grants and default privileges.

use super::error::SpecError;
use super::fields::{Cursor, Fields, unknown};
use super::kind::{Kind, RelationKind, WORDS};
use super::model::{Creator, DefaultPrivilege, DefaultScope, Ensure, Grant, Grantee, Ownership, Target, TemplateGrant};
use super::pattern::Pattern;
use super::privilege::Privileges;
use super::read::patterns;
use super::reference::Reference;

const ENSURE: &[(&str, Ensure)] = &[("present", Ensure::Present), ("absent", Ensure::Absent)];

pub(super) fn grant(cursor: &Cursor<'_>) -> Result<Grant, SpecError> {
    let mut fields = cursor.fields()?;
    let to = grantees(&fields.need("to")?)?;
    grant_to(cursor, fields, to)
}

/// A grant of a role's own list: `[PRIVILEGES, ON]`, or a mapping without `to`.
pub(super) fn grant_of_role(cursor: &Cursor<'_>, role: &str) -> Result<Grant, SpecError> {
    let to = vec![Grantee::Role(role.to_owned())];
    if !cursor.is_list() {
        return grant_to(cursor, cursor.fields()?, to);
    }
    let pair = cursor.items();
    let [granted, on] = pair.as_slice() else {
        return Err(cursor.error("expected [PRIVILEGES, OBJECTS]"));
    };
    let on = target(on)?;
    let (privileges, all) = privileges(granted, on.kind, of_target(&on))?;
    let (except, grant_option, ensure) = (Vec::new(), false, Ensure::Present);
    Ok(Grant { at: cursor.at(), to, privileges, all, on, except, grant_option, ensure })
}

/// The privileges there are on what is meant.
fn of_target(on: &Target) -> Privileges {
    if on.columns.is_empty() { on.kind.privileges() } else { Kind::COLUMN }
}

fn grant_to(cursor: &Cursor<'_>, mut fields: Fields<'_>, to: Vec<Grantee>) -> Result<Grant, SpecError> {
    let on = target(&fields.need("on")?)?;
    let (privileges, all) = privileges(&fields.need("privileges")?, on.kind, of_target(&on))?;
    let except = fields.take("except").map(|names| patterns(&names)).transpose()?.unwrap_or_default();
    let grant_option = fields.take("grant_option").map(|flag| flag.bool()).transpose()?.unwrap_or_default();
    let ensure = ensure(&mut fields)?;
    fields.end()?;
    if grant_option && to.contains(&Grantee::Public) {
        return Err(cursor.error("PUBLIC cannot hold a grant option"));
    }
    Ok(Grant { at: cursor.at(), to, privileges, all, on, except, grant_option, ensure })
}

pub(super) fn ensure(fields: &mut Fields<'_>) -> Result<Ensure, SpecError> {
    Ok(fields.take("ensure").map(|word| word.word(ENSURE)).transpose()?.unwrap_or_default())
}

/// Objects and whose they shall be.
pub(super) fn ownership(cursor: &Cursor<'_>) -> Result<Ownership, SpecError> {
    let mut fields = cursor.fields()?;
    let owner = fields.need("owner")?.text()?.to_owned();
    let at_target = fields.need("on")?;
    let on = target(&at_target)?;
    if !on.columns.is_empty() || on.kind == Kind::Parameter {
        let what = if on.kind == Kind::Parameter { "parameter" } else { "column" };
        return Err(at_target.error(format!("a {what} has no owner")));
    }
    let except = fields.take("except").map(|names| patterns(&names)).transpose()?.unwrap_or_default();
    fields.end()?;
    Ok(Ownership { at: cursor.at(), owner, on, except })
}

pub(super) fn grantees(cursor: &Cursor<'_>) -> Result<Vec<Grantee>, SpecError> {
    let names = cursor.texts()?;
    if names.is_empty() {
        return Err(cursor.error("expected at least one role"));
    }
    Ok(names
        .into_iter()
        .map(|name| if name.eq_ignore_ascii_case("public") { Grantee::Public } else { Grantee::Role(name) })
        .collect())
}

/// A list of privileges, or one text with commas; `ALL` is all of the kind.
pub(super) fn privileges(
    cursor: &Cursor<'_>,
    kind: Kind,
    of_kind: Privileges,
) -> Result<(Privileges, bool), SpecError> {
    let mut set = Privileges::NONE;
    let mut all = false;
    for item in cursor.items() {
        for word in item.text()?.split(',').map(str::trim) {
            if word.eq_ignore_ascii_case("all") || word.eq_ignore_ascii_case("all privileges") {
                all = true;
                set |= of_kind;
                continue;
            }
            match Privileges::from_word(word) {
                Some(privilege) if of_kind.contains(privilege) => set |= privilege,
                Some(privilege) => {
                    let message = format!("there is no privilege {privilege} on a {}", kind.word());
                    return Err(item.error(message).hint(format!("there are: {of_kind}")));
                }
                None => return Err(unknown(item.at(), &item.path, "privilege", word, &of_kind.words())),
            }
        }
    }
    if set.is_empty() {
        return Err(cursor.error("expected at least one privilege"));
    }
    Ok((set, all))
}

pub(super) fn kind(cursor: &Cursor<'_>) -> Result<Kind, SpecError> {
    let word = cursor.text()?.to_lowercase();
    let singular = word.strip_suffix('s').unwrap_or(&word);
    let found = WORDS.iter().find(|(known, _)| *known == word || *known == singular);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let known: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
        unknown(cursor.at(), &cursor.path, "type", &word, &known)
    })
}

/// Objects, in one line such as `table shop.orders` or as a mapping.
fn target(cursor: &Cursor<'_>) -> Result<Target, SpecError> {
    if cursor.is_text() {
        return target_in_a_line(cursor);
    }
    let mut fields = cursor.fields()?;
    let word = fields.need("type")?;
    let by_column = word.is_text() && word.text()?.trim_end_matches('s') == "column";
    let kind = if by_column { Kind::Relation(RelationKind::Any) } else { kind(&word)? };
    let schema = fields.take("schema");
    let table = if by_column { Some(fields.need("table")?) } else { None };
    let name = fields.take("name");
    let mut columns = Vec::new();
    if by_column || matches!(kind, Kind::Relation(_)) {
        columns = fields.take("columns").map(|names| names.texts()).transpose()?.unwrap_or_default();
    }
    fields.end()?;
    let names = match (table, name) {
        (Some(table), name) => {
            columns.extend(name.map(|name| name.texts()).transpose()?.unwrap_or_default());
            if columns.is_empty() {
                return Err(cursor.error("which columns?").hint("name them under \"name\" or \"columns\""));
            }
            patterns(&table)?
        }
        (None, Some(name)) => patterns(&name)?,
        (None, None) if kind == Kind::Database => Vec::new(),
        (None, None) => return Err(cursor.error("\"name\" is missing").hint("\"*\" means all there are")),
    };
    let schemas = match schema {
        Some(schema) if kind.lies_in_schema() => patterns(&schema)?,
        Some(schema) => return Err(schema.error(format!("a {} does not lie in a schema", kind.word()))),
        None if kind.lies_in_schema() => return Err(cursor.error("\"schema\" is missing")),
        None => Vec::new(),
    };
    Ok(Target { kind, schemas, names, columns })
}

fn target_in_a_line(cursor: &Cursor<'_>) -> Result<Target, SpecError> {
    let text = cursor.text()?;
    if text.trim().eq_ignore_ascii_case("database") {
        return Ok(Target { kind: Kind::Database, schemas: Vec::new(), names: Vec::new(), columns: Vec::new() });
    }
    let Reference { kind, schema, name, arguments, column } =
        Reference::parse(text).map_err(|error| cursor.error(error.message).hint(error.hint))?;
    let Some(kind) = kind else {
        return Err(cursor.error(format!("\"{text}\" is of what kind?")).hint(format!("write \"table {text}\"")));
    };
    if kind.lies_in_schema() && schema.is_none() {
        return Err(cursor.error(format!("in which schema is \"{text}\"?")).hint("write \"KIND SCHEMA.NAME\""));
    }
    let name = match arguments {
        Some(arguments) => Pattern::literal(format!("{}({arguments})", name.as_str())),
        None => name,
    };
    Ok(Target { kind, schemas: Vec::from_iter(schema), names: vec![name], columns: Vec::from_iter(column) })
}

pub(super) fn creator(cursor: &Cursor<'_>) -> Result<Creator, SpecError> {
    if !cursor.is_map() {
        return Ok(Creator::Role(cursor.text()?.to_owned()));
    }
    let mut fields = cursor.fields()?;
    let role = fields.need("members_of")?.text()?.to_owned();
    fields.end()?;
    Ok(Creator::MembersOf(role))
}

/// One entry; several owners or schemas make several.
pub(super) fn default_privilege(cursor: &Cursor<'_>) -> Result<Vec<DefaultPrivilege>, SpecError> {
    let mut fields = cursor.fields()?;
    let owners = fields.need("owner")?.items().iter().map(creator).collect::<Result<Vec<_>, _>>()?;
    let scopes = match (fields.take("schema"), fields.take("scope")) {
        (Some(schema), None) => schema.texts()?.into_iter().map(DefaultScope::Schema).collect(),
        (None, Some(scope)) => {
            scope.word(&[("global", ())])?;
            vec![DefaultScope::Global]
        }
        (Some(_), Some(scope)) => return Err(scope.error("give \"schema\" or \"scope: global\", not both")),
        (None, None) => return Err(cursor.error("give \"schema\" or \"scope: global\"")),
    };
    let on = fields.need("on")?;
    let kind = kind(&on)?.broad();
    if !kind.has_default_privileges() {
        return Err(on.error(format!("there are no default privileges for a {}", kind.word())));
    }
    let to = grantees(&fields.need("to")?)?;
    let (privileges, all) = privileges(&fields.need("privileges")?, kind, kind.privileges())?;
    let grant_option = fields.take("grant_option").map(|flag| flag.bool()).transpose()?.unwrap_or_default();
    let ensure = ensure(&mut fields)?;
    fields.end()?;
    let mut entries = Vec::new();
    for creator in owners {
        for scope in &scopes {
            if matches!(scope, DefaultScope::Schema(_)) {
                check_schema_scope(cursor, kind, &to, privileges, ensure)?;
            }
            entries.push(DefaultPrivilege {
                at: cursor.at(),
                creator: creator.clone(),
                scope: scope.clone(),
                kind,
                to: to.clone(),
                privileges,
                all,
                grant_option,
                ensure,
            });
        }
    }
    Ok(entries)
}

/// Default privileges of a schema only add to the global ones: what cannot come true is refused.
fn check_schema_scope(
    cursor: &Cursor<'_>,
    kind: Kind,
    to: &[Grantee],
    privileges: Privileges,
    ensure: Ensure,
) -> Result<(), SpecError> {
    if matches!(kind, Kind::Schema | Kind::LargeObject) {
        return Err(cursor.error(format!("default privileges for a {} are global", kind.word())));
    }
    let hopeless =
        ensure == Ensure::Absent && to.contains(&Grantee::Public) && !(kind.public_default() & privileges).is_empty();
    if hopeless {
        let message = format!("PUBLIC's {} cannot be taken away in one schema", kind.public_default());
        return Err(cursor.error(message).hint("write \"scope: global\""));
    }
    Ok(())
}

/// A short grant of a template: `[PRIVILEGES, TYPE]`, or a mapping with `privileges`, `on` and `except`.
pub(super) fn template_grant(cursor: &Cursor<'_>) -> Result<TemplateGrant, SpecError> {
    let (granted, on, except) = if cursor.is_list() {
        let pair = cursor.items();
        let [granted, on] = pair.as_slice() else {
            return Err(cursor.error("expected [PRIVILEGES, TYPE]"));
        };
        (granted.clone(), on.clone(), Vec::<Pattern>::new())
    } else {
        let mut fields = cursor.fields()?;
        let granted = fields.need("privileges")?;
        let on = fields.need("on")?;
        let except = fields.take("except").map(|names| patterns(&names)).transpose()?.unwrap_or_default();
        fields.end()?;
        (granted, on, except)
    };
    let kind = kind(&on)?;
    if kind != Kind::Schema && !kind.lies_in_schema() {
        return Err(on.error(format!("a template is about a schema and what lies in it, not about a {}", kind.word())));
    }
    let (privileges, all) = privileges(&granted, kind, kind.privileges())?;
    Ok(TemplateGrant { privileges, all, kind, except })
}
