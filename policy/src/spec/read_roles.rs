//! Roles and memberships.

use super::error::SpecError;
use super::fields::{Cursor, Fields};
use super::model::{Membership, PasswordSource, Retirement, Role, RoleOptions, Settings, ValidUntil};
use super::read_grants::{ensure, grant_of_role};
use std::collections::BTreeMap;

pub(super) fn roles(cursor: &Cursor<'_>) -> Result<BTreeMap<String, Role>, SpecError> {
    let mut roles = BTreeMap::new();
    if cursor.is_list() {
        for name in cursor.items() {
            roles.insert(role_name(&name, name.text()?)?, Role { at: name.at(), ..Role::default() });
        }
        return Ok(roles);
    }
    for (name, body) in cursor.named()? {
        roles.insert(role_name(&body, name)?, role(name, &body)?);
    }
    Ok(roles)
}

pub(super) fn role_name(cursor: &Cursor<'_>, name: &str) -> Result<String, SpecError> {
    if name.is_empty() || name.len() > 63 {
        return Err(cursor.error("a role's name has 1 to 63 bytes"));
    }
    if name.eq_ignore_ascii_case("public") || name.starts_with("pg_") || name == "none" {
        return Err(cursor.error(format!("PostgreSQL reserves the name \"{name}\"")));
    }
    Ok(name.to_owned())
}

fn role(name: &str, cursor: &Cursor<'_>) -> Result<Role, SpecError> {
    let mut fields = cursor.fields()?;
    let mut role = Role { at: cursor.at(), options: options(&mut fields)?, ..Role::default() };
    if let Some(groups) = fields.take("member_of") {
        for group in groups.items() {
            role.member_of.push(group_of(name, &group)?);
        }
    }
    if let Some(grants) = fields.take("grants") {
        role.grants = grants.list()?.iter().map(|grant| grant_of_role(grant, name)).collect::<Result<_, _>>()?;
    }
    fields.end()?;
    Ok(role)
}

fn options(fields: &mut Fields<'_>) -> Result<RoleOptions, SpecError> {
    let mut flag = |key| fields.take(key).map(|value| value.bool()).transpose();
    let mut options = RoleOptions {
        login: flag("login")?,
        superuser: flag("superuser")?,
        createdb: flag("createdb")?,
        createrole: flag("createrole")?,
        inherit: flag("inherit")?,
        replication: flag("replication")?,
        bypassrls: flag("bypassrls")?,
        ..RoleOptions::default()
    };
    options.connection_limit = fields.take("connection_limit").map(|value| value.integer()).transpose()?;
    if let Some(time) = fields.take("valid_until") {
        options.valid_until = Some(valid_until(&time)?);
    }
    if let Some(comment) = fields.take("comment") {
        options.comment = Some(if comment.is_null() { String::new() } else { comment.text()?.to_owned() });
    }
    if let Some(password) = fields.take("password") {
        options.password = Some(password_source(&password)?);
    }
    if let Some(variable) = fields.take("password_env") {
        if options.password.is_some() {
            return Err(variable.error("the password's source is given twice"));
        }
        options.password = Some(PasswordSource::Environment(variable.text()?.to_owned()));
    }
    if let Some(config) = fields.take("config") {
        options.config = settings(&config)?;
    }
    if let Some(databases) = fields.take("config_in_database") {
        for (database, config) in databases.named()? {
            options.config_in_database.insert(database.to_owned(), settings(&config)?);
        }
    }
    Ok(options)
}

fn valid_until(cursor: &Cursor<'_>) -> Result<ValidUntil, SpecError> {
    if cursor.is_null() {
        return Ok(ValidUntil::Infinity);
    }
    match cursor.text()? {
        "infinity" => Ok(ValidUntil::Infinity),
        "" => Err(cursor.error("expected a time such as \"2031-01-02T03:04:05Z\", or infinity")),
        time => Ok(ValidUntil::Time(time.to_owned())),
    }
}

fn password_source(cursor: &Cursor<'_>) -> Result<PasswordSource, SpecError> {
    if cursor.is_text() {
        // The value itself is kept out of the message: it is somebody's password.
        return Err(cursor
            .error("a password does not belong into the spec")
            .hint("write {from_env: VARIABLE}, {from_file: PATH} or {prompt: true}"));
    }
    let mut fields = cursor.fields()?;
    let prompt = fields.take("prompt").map(|flag| flag.bool()).transpose()?.filter(|asks| *asks);
    let source = match (fields.take("from_env"), fields.take("from_file"), prompt) {
        (Some(variable), None, None) => PasswordSource::Environment(variable.text()?.to_owned()),
        (None, Some(path), None) => PasswordSource::File(path.text()?.to_owned()),
        (None, None, Some(_)) => PasswordSource::Prompt,
        _ => return Err(cursor.error("give one of from_env, from_file and prompt: true")),
    };
    fields.end()?;
    Ok(source)
}

fn settings(cursor: &Cursor<'_>) -> Result<Settings, SpecError> {
    let mut settings = Settings::new();
    for (name, value) in cursor.named()? {
        settings.insert(name.to_owned(), if value.is_null() { None } else { Some(value.setting()?) });
    }
    Ok(settings)
}

/// An entry of `member_of`: a role's name, or that with options.
fn group_of(member: &str, cursor: &Cursor<'_>) -> Result<Membership, SpecError> {
    if !cursor.is_map() {
        return Ok(Membership::plain(cursor.at(), cursor.text()?, member));
    }
    let mut fields = cursor.fields()?;
    let membership = membership_options(cursor, &mut fields, member.to_owned())?;
    fields.end()?;
    Ok(membership)
}

fn membership_options(cursor: &Cursor<'_>, fields: &mut Fields<'_>, member: String) -> Result<Membership, SpecError> {
    let role = fields.need("role")?.text()?.to_owned();
    if role == member {
        return Err(cursor.error(format!("\"{role}\" cannot be a member of itself")));
    }
    let mut flag = |key| fields.take(key).map(|value| value.bool()).transpose();
    Ok(Membership {
        at: cursor.at(),
        role,
        member,
        admin: flag("admin")?,
        inherit: flag("inherit")?,
        set: flag("set")?,
        grantor: fields.take("grantor").map(|name| name.text().map(str::to_owned)).transpose()?,
        ensure: ensure(fields)?,
    })
}

pub(super) fn memberships(cursor: &Cursor<'_>) -> Result<Vec<Membership>, SpecError> {
    let mut memberships = Vec::new();
    for item in cursor.list()? {
        let mut fields = item.fields()?;
        let members = fields.need("member")?.texts()?;
        let entry = membership_options(&item, &mut fields, members.first().cloned().unwrap_or_default())?;
        fields.end()?;
        for member in members {
            memberships.push(Membership { member, ..entry.clone() });
        }
    }
    Ok(memberships)
}

/// Roles to go: a list of names, or a mapping from names to what becomes of their belongings.
pub(super) fn retire(
    cursor: &Cursor<'_>,
    roles: &BTreeMap<String, Role>,
) -> Result<BTreeMap<String, Retirement>, SpecError> {
    let mut retired = BTreeMap::new();
    if cursor.is_map() {
        for (name, body) in cursor.named()? {
            let mut fields = body.fields()?;
            let mut retirement = Retirement { at: body.at(), ..Retirement::default() };
            retirement.reassign_to =
                fields.take("reassign_to").map(|heir| heir.text().map(str::to_owned)).transpose()?;
            let terminate = fields.take("terminate_sessions").map(|flag| flag.bool()).transpose()?;
            retirement.terminate_sessions = terminate.unwrap_or_default();
            fields.end()?;
            if retirement.reassign_to.as_deref() == Some(name) {
                return Err(body.error(format!("\"{name}\" cannot be its own heir")));
            }
            retired.insert(role_name(&body, name)?, retirement);
        }
    } else {
        for name in cursor.items() {
            retired.insert(role_name(&name, name.text()?)?, Retirement { at: name.at(), ..Retirement::default() });
        }
    }
    for (name, retirement) in &retired {
        if roles.contains_key(name) {
            let message = format!("\"{name}\" is declared under \"roles\" as well");
            return Err(SpecError::new(retirement.at, &cursor.path, message).hint("take one of the two out"));
        }
        if let Some(heir) = retirement.reassign_to.as_ref().filter(|heir| retired.contains_key(*heir)) {
            let message = format!("the heir of \"{name}\", \"{heir}\", shall be gone too");
            return Err(SpecError::new(retirement.at, &cursor.path, message).hint("name a role that stays"));
        }
    }
    Ok(retired)
}
