//! The user or API token behind an identity, as the tables have it now.

use super::caller;
use super::catalog::{Key, Row};
use super::session::{to_unix_time, watched};
use crate::error::{Error, Refusal};
use pgrx::pg_sys;
use policy::identity::{Identity, Proof};
use policy::scope::Granted;
use std::collections::BTreeSet;
use std::ffi::CStr;

/// The role every user holds.
const USERS: &str = "users";
/// The role whose members may do everything.
pub const ADMINISTRATORS: &str = "admins";

/// What an identity amounts to.
pub(super) struct Account {
    pub user: Option<User>,
    pub roles: BTreeSet<String>,
    pub refusal: Option<Refusal>,
}

/// A user.
#[derive(Clone)]
pub struct User {
    pub id: String,
    pub username: String,
    pub email: Option<String>,
    /// Whether the name is his own choice, or an issuer's.
    pub chose_username: bool,
}

/// A user with what decides about his sessions.
struct Entry {
    user: User,
    disabled: bool,
    temporary_password: bool,
    generation: i64,
    /// In seconds since the epoch.
    revoked_at: Option<i64>,
    kept_token: Option<String>,
}

pub(super) fn load(identity: Option<&Identity>) -> Result<Account, Error> {
    let Some(identity) = identity else { return without_login() };
    if identity.proof == Proof::ApiToken {
        return api_token(&identity.subject);
    }
    let entry = find(c"users_pkey", Key::Text(&identity.subject))?;
    let refusal = match &entry {
        None => Some(Refusal::UserGone),
        Some(entry) if entry.disabled => Some(Refusal::Disabled),
        Some(entry) => proof_refusal(&identity.proof, entry)?,
    };
    let user = entry.map(|entry| entry.user);
    Ok(Account { roles: roles_of_user(user.as_ref())?, user, refusal })
}

/// A session without a token: the user its database role is linked to, or nobody.
fn without_login() -> Result<Account, Error> {
    let entry = find(c"users_database_role_key", Key::Oid(caller::session_user()))?;
    let refusal = match &entry {
        Some(entry) if entry.disabled => Some(Refusal::Disabled),
        None if login_required()? => Some(Refusal::LoginRequired),
        _ => None,
    };
    let user = entry.map(|entry| entry.user);
    Ok(Account { roles: roles_of_user(user.as_ref())?, user, refusal })
}

fn api_token(id: &str) -> Result<Account, Error> {
    let mut found: Option<Option<String>> = None;
    watched(c"api_tokens")?.scan(c"api_tokens_pkey", Some(Key::Text(id)), |row| found = Some(row.get(c"owner")))?;
    let refusal = match found {
        None => Some(Refusal::TokenRevoked),
        Some(Some(owner)) => match find(c"users_pkey", Key::Text(&owner))? {
            Some(owner) if !owner.disabled => None,
            _ => Some(Refusal::Disabled),
        },
        Some(None) => None,
    };
    let mut roles = held_by_everybody()?;
    watched(c"api_token_roles")?
        .scan(c"api_token_roles_pkey", Some(Key::Text(id)), |row| roles.extend(row.get::<String>(c"role")))?;
    Ok(Account { user: None, roles: containing(roles)?, refusal })
}

/// What has happened since the proof was given.
fn proof_refusal(proof: &Proof, entry: &Entry) -> Result<Option<Refusal>, Error> {
    let is_older = |issued_at: i64| entry.revoked_at.is_some_and(|revoked_at| issued_at <= revoked_at);
    Ok(match proof {
        Proof::Login { token, key, generation } => {
            let kept = entry.kept_token.as_ref() == Some(token);
            if (*generation != entry.generation && !kept) || !has_key(c"signing_keys", c"signing_keys_pkey", key, None)?
            {
                Some(Refusal::Revoked)
            } else {
                entry.temporary_password.then_some(Refusal::TemporaryPassword)
            }
        }
        Proof::Issuer { issuer, key, issued_at } => {
            let known = has_key(c"verification_keys", c"verification_keys_pkey", issuer, Some(key))?;
            (is_older(*issued_at) || !known).then_some(Refusal::Revoked)
        }
        Proof::Gateway { issued_at } => issued_at.is_some_and(is_older).then_some(Refusal::Revoked),
        Proof::Become { behind, .. } => administrator_refusal(behind.as_deref())?,
        Proof::ApiToken => None,
    })
}

/// What has happened to the administrator behind `become()`.
fn administrator_refusal(behind: Option<&Identity>) -> Result<Option<Refusal>, Error> {
    let account = load(behind)?;
    let has_powers = behind.is_none() && caller::session_has_powers_of(watched(c"users")?.owner());
    Ok(match account.refusal {
        None if has_powers || account.roles.contains(ADMINISTRATORS) => None,
        Some(Refusal::Revoked) => Some(Refusal::Revoked),
        _ => Some(Refusal::NoAdministrator),
    })
}

fn has_key(table: &CStr, index: &CStr, first: &str, version: Option<&str>) -> Result<bool, Error> {
    let mut found = false;
    watched(table)?.scan(index, Some(Key::Text(first)), |row| {
        found |= version.is_none_or(|version| row.get::<String>(c"version").as_deref() == Some(version));
    })?;
    Ok(found)
}

fn find(index: &CStr, key: Key) -> Result<Option<Entry>, Error> {
    let mut found = None;
    watched(c"users")?.scan(index, Some(key), |row| found = entry(&row))?;
    Ok(found)
}

fn entry(row: &Row) -> Option<Entry> {
    Some(Entry {
        user: User {
            id: row.get(c"id")?,
            username: row.get(c"username")?,
            email: row.get(c"email"),
            chose_username: row.get(c"chose_username")?,
        },
        disabled: row.get(c"disabled")?,
        temporary_password: row.get(c"must_change_password")?,
        generation: row.get(c"session_generation")?,
        revoked_at: row.get(c"sessions_revoked_at").map(to_unix_time),
        kept_token: row.get(c"kept_token"),
    })
}

/// Whether administrators have closed the database to sessions without a login, and this is none of theirs.
fn login_required() -> Result<bool, Error> {
    let settings = watched(c"settings")?;
    let mut required = false;
    settings.scan(c"settings_pkey", None, |row| required = row.get(c"login_required").unwrap_or(true))?;
    Ok(required && !caller::session_has_powers_of(settings.owner()))
}

/// The roles of the session's user: his own, those linked to the session's database role, and all that those are members
/// of.
fn roles_of_user(user: Option<&User>) -> Result<BTreeSet<String>, Error> {
    let mut roles = own_roles(user)?;
    roles.extend(linked(caller::session_is_member_of)?);
    containing(roles)
}

/// What a user has in whatever session.
pub struct Held {
    pub user: User,
    /// Granted, implied, linked to a database role that his own is a member of, and all that those are members of.
    pub roles: BTreeSet<String>,
    pub disabled: bool,
}

/// What the user of that id has; None where there is no such user. Read fresh.
pub fn held_by(id: &str) -> Result<Option<Held>, Error> {
    let mut found: Option<(Entry, Option<pg_sys::Oid>)> = None;
    watched(c"users")?.scan(c"users_pkey", Some(Key::Text(id)), |row| {
        found = entry(&row).map(|entry| (entry, row.get(c"database_role")));
    })?;
    let Some((entry, database_role)) = found else { return Ok(None) };
    let mut roles = own_roles(Some(&entry.user))?;
    if let Some(database_role) = database_role {
        roles.extend(linked(|role| caller::is_member_of(database_role, role))?);
    }
    Ok(Some(Held { roles: containing(roles)?, disabled: entry.disabled, user: entry.user }))
}

/// The roles granted and implied.
fn own_roles(user: Option<&User>) -> Result<BTreeSet<String>, Error> {
    let mut roles = held_by_everybody()?;
    if let Some(user) = user {
        roles.insert(USERS.to_owned());
        roles.extend(granted(&user.id)?);
    }
    Ok(roles)
}

fn linked(is_held: impl Fn(pg_sys::Oid) -> bool) -> Result<BTreeSet<String>, Error> {
    let mut roles = BTreeSet::new();
    watched(c"roles")?.scan(c"roles_database_role", None, |row| {
        if row.get(c"database_role").is_some_and(&is_held) {
            roles.extend(row.get::<String>(c"name"));
        }
    })?;
    Ok(roles)
}

/// The role of everybody, whatever it is called.
pub fn held_by_everybody() -> Result<BTreeSet<String>, Error> {
    let mut roles = BTreeSet::new();
    watched(c"roles")?.scan(c"roles_everybody", None, |row| roles.extend(row.get::<String>(c"name")))?;
    Ok(roles)
}

/// The scopes of roles.
pub(super) fn scopes(roles: &BTreeSet<String>) -> Result<Granted, Error> {
    let mut granted = Granted::new(roles.get(ADMINISTRATORS).cloned());
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    let table = watched(c"role_scopes")?;
    let (role, scope) = (table.column(c"role"), table.column(c"scope"));
    table.scan(c"role_scopes_pkey", Some(Key::Texts(&roles)), |row| {
        if let (Some(role), Some(scope)) = (row.text(role), row.text(scope)) {
            granted.add(role, scope);
        }
    })?;
    Ok(granted)
}

/// The scopes that a role itself was granted. Read fresh.
pub fn scopes_of(role: &str) -> Result<BTreeSet<String>, Error> {
    let mut scopes = BTreeSet::new();
    watched(c"role_scopes")?
        .scan(c"role_scopes_pkey", Some(Key::Text(role)), |row| scopes.extend(row.get::<String>(c"scope")))?;
    Ok(scopes)
}

fn granted(user: &str) -> Result<BTreeSet<String>, Error> {
    let mut roles = BTreeSet::new();
    watched(c"user_roles")?
        .scan(c"user_roles_pkey", Some(Key::Text(user)), |row| roles.extend(row.get::<String>(c"role")))?;
    Ok(roles)
}

/// `roles` and every role they are members of, to any depth.
pub fn containing(roles: BTreeSet<String>) -> Result<BTreeSet<String>, Error> {
    related(roles, c"role_members_pkey", c"role")
}

/// `roles` and every role found from them along `column` of `role_members`, all of one level at once.
fn related(roles: BTreeSet<String>, index: &CStr, column: &CStr) -> Result<BTreeSet<String>, Error> {
    let members = watched(c"role_members")?;
    let column = members.column(column);
    let mut level: Vec<String> = roles.iter().cloned().collect();
    let mut all = roles;
    while !level.is_empty() {
        let keys: Vec<&str> = level.iter().map(String::as_str).collect();
        let mut next = Vec::new();
        members.scan(index, Some(Key::Texts(&keys)), |row| {
            if let Some(role) = row.text(column)
                && !all.contains(role)
            {
                all.insert(role.to_owned());
                next.push(role.to_owned());
            }
        })?;
        level = next;
    }
    Ok(all)
}

/// Whether a name is a role's. Read fresh.
pub(super) fn is_role(name: &str) -> Result<bool, Error> {
    let mut found = false;
    watched(c"roles")?.scan(c"roles_pkey", Some(Key::Text(name)), |_| found = true)?;
    Ok(found)
}

/// Whether a name is a user's id. Read fresh.
pub(super) fn is_user(id: &str) -> Result<bool, Error> {
    Ok(find(c"users_pkey", Key::Text(id))?.is_some())
}

/// Whether there is a user who may act and is an administrator. Read fresh, whatever the transaction's snapshot.
pub fn has_administrator() -> Result<bool, Error> {
    let roles = related(BTreeSet::from([ADMINISTRATORS.to_owned()]), c"role_members_role", c"member")?;
    let mut holders: Vec<String> = Vec::new();
    let user_roles = watched(c"user_roles")?;
    for role in roles {
        user_roles
            .scan(c"user_roles_role", Some(Key::Text(&role)), |row| holders.extend(row.get::<String>(c"user_id")))?;
    }
    for holder in holders {
        if find(c"users_pkey", Key::Text(&holder))?.is_some_and(|entry| !entry.disabled) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether there is any user. Read fresh.
pub fn has_user() -> Result<bool, Error> {
    let mut found = false;
    watched(c"users")?.scan_while(c"users_pkey", None, |_| {
        found = true;
        false
    })?;
    Ok(found)
}
