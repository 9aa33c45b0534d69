//! `rolecall add-user`: a login that may what a role may.

use super::print;
use crate::catalog::{DefaultAcl, Present, Reader, RoleId, snapshot};
use crate::cli::Cli;
use crate::diff::plural;
use crate::error::Error;
use crate::execute;
use crate::password;
use policy::spec::Privileges;
use policy::sql::{identifier, literal};

/// Makes the login and prints its temporary password.
///
/// # Errors
/// A name that is taken, a role that does not exist, and whatever the server says; then nothing was made.
pub fn add_user(cli: &Cli, name: &str, like: &str, json: bool) -> Result<u8, Error> {
    let mut client = cli.connection.connect(None)?;
    client.batch_execute("SET search_path = pg_catalog; BEGIN ISOLATION LEVEL REPEATABLE READ")?;
    let present = snapshot(&mut client, &Reader::default())?;
    let (new, group) = (identifier(name), identifier(like));
    let group_id = present.names.find(like).filter(|id| present.roles.contains_key(id));
    let Some(group_id) = group_id else {
        return Err(Error::mismatch(
            format!("role \"{like}\" does not exist"),
            "make it first, for instance with `rolecall apply`",
        ));
    };
    if present.names.find(name).is_some_and(|id| present.roles.contains_key(&id)) {
        let hint = format!("choose another name, or GRANT {group} TO {new}");
        return Err(Error::mismatch(format!("role \"{name}\" exists already"), hint));
    }
    let password = password::temporary();
    let verifier = literal(&password::verifier(&password));
    // Spelled out where it can be, since without it a member of 16 and later follows its own INHERIT at the time.
    let inherit = if present.session.version >= 160_000 { " WITH INHERIT TRUE" } else { "" };
    let mut sql = vec![format!("CREATE ROLE {new} LOGIN INHERIT"), format!("GRANT {group} TO {new}{inherit}")];
    for default in present.defaults.iter().filter(|default| default.creator == group_id) {
        sql.extend(copied(&present, default, &new));
    }
    client.batch_execute(&sql.join(";\n"))?;
    if present.session.superuser {
        execute::unrecorded(&mut client)?;
    }
    client.batch_execute(&format!("ALTER ROLE {new} PASSWORD {verifier}"))?;
    client.batch_execute("COMMIT")?;
    if json {
        let document = serde_json::json!({
            "format": "rolecall-user/1", "user": name, "member_of": like, "temporary_password": password,
        });
        print(&format!("{document}\n"))?;
    } else {
        print(&format!("{password}\n"))?;
        if !cli.quiet {
            anstream::eprintln!("{name} is a login and a member of {like}. Its temporary password is shown only now;");
            anstream::eprintln!("change it with psql's \\password after the first login.");
        }
    }
    Ok(0)
}

/// The default privileges of a row, for what the new role makes: who reads the group's tables shall read its own.
fn copied(present: &Present, default: &DefaultAcl, new: &str) -> Vec<String> {
    let statement = |action: &str, privileges: Privileges, grantee: RoleId| {
        let preposition = if action == "GRANT" { "TO" } else { "FROM" };
        let place = default.schema.as_ref().map_or(String::new(), |name| format!(" IN SCHEMA {}", identifier(name)));
        let on = plural(default.kind).to_uppercase();
        let whom = present.names.sql(grantee);
        format!("ALTER DEFAULT PRIVILEGES FOR ROLE {new}{place} {action} {privileges} ON {on} {preposition} {whom}")
    };
    let mut sql = Vec::new();
    for item in &default.acl {
        // The group's own entry counts for the new role's objects, except where it is only the built-in one.
        if item.grantee == default.creator && default.schema.is_none() {
            continue;
        }
        let plain = item.privileges - item.grant_options;
        if !plain.is_empty() {
            sql.push(statement("GRANT", plain, item.grantee));
        }
        if !item.grant_options.is_empty() {
            sql.push(statement("GRANT", item.grant_options, item.grantee) + " WITH GRANT OPTION");
        }
    }
    if default.schema.is_none() {
        let public = default.acl.iter().filter(|item| item.grantee == RoleId::PUBLIC);
        let kept = public.fold(Privileges::NONE, |sum, item| sum | item.privileges);
        let taken = default.kind.public_default() - kept;
        if !taken.is_empty() {
            sql.push(statement("REVOKE", taken, RoleId::PUBLIC));
        }
    }
    sql
}
