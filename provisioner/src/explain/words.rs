//! Reasons and roles in words.

use super::Answers;
use crate::catalog::{PresentRole, RoleId};
use crate::effective::{Access, DATABASE_OWNER, How, Reason, Source};
use policy::spec::Privileges;
use serde_json::{Value, json};

/// How a role comes to hold something: "through analysts -> shop_reader, granted by shop_owner".
pub(super) fn reason(access: &Access<'_>, reason: &Reason, privilege: Privileges) -> Vec<String> {
    let Reason { source, chains, set_role } = reason;
    let asker = chains.first().and_then(|chain| chain.first()).copied().unwrap_or(source.holder);
    let mut end = match (source.how, source.grantor) {
        (How::Granted, Some(grantor)) => format!("granted by {}", access.name(grantor)),
        (how, _) => how_word(how).to_owned(),
    };
    if source.how == How::Granted && source.grant_options.contains(privilege) {
        end += ", with grant option";
    }
    let first = set_role.map_or(String::new(), |role| format!("after SET ROLE {}: ", access.name(role)));
    if source.holder == RoleId::PUBLIC && asker != RoleId::PUBLIC && source.how != How::Free {
        return vec![format!("{first}through PUBLIC, {end}")];
    }
    chains.iter().map(|chain| format!("{first}{}{end}", through(access, chain))).collect()
}

/// The way from a role to a holder: "through a -> b, " or nothing.
fn through(access: &Access<'_>, chain: &[RoleId]) -> String {
    way(access, chain).map_or(String::new(), |way| format!("through {way}, "))
}

/// The roles after the first, if there are any.
pub(super) fn way(access: &Access<'_>, chain: &[RoleId]) -> Option<String> {
    let names: Vec<&str> = chain.iter().skip(1).map(|role| access.name(*role)).collect();
    let note = if names.contains(&DATABASE_OWNER) { " (whose member the database's owner is)" } else { "" };
    (!names.is_empty()).then(|| format!("{}{note}", names.join(" -> ")))
}

/// How something is held without anybody having granted it.
pub fn how_word(how: How) -> &'static str {
    match how {
        How::Superuser => "as a superuser",
        How::Owner => "as owner",
        How::Granted => "granted",
        How::Default => "as the kind's default",
        How::Predefined => "as a predefined role",
        How::Free => "anybody may set it",
    }
}

pub(super) fn how_code(how: How) -> &'static str {
    match how {
        How::Superuser => "superuser",
        How::Owner => "owner",
        How::Granted => "grant",
        How::Default => "default",
        How::Predefined => "predefined",
        How::Free => "free",
    }
}

/// A reason for programs.
pub(super) fn reason_json(access: &Access<'_>, reason: &Reason, privilege: Privileges) -> Value {
    let Source { holder, how, grantor, grant_options, .. } = reason.source;
    let names = |chain: &Vec<RoleId>| chain.iter().map(|role| access.name(*role)).collect::<Vec<_>>();
    json!({
        "how": how_code(how),
        "holder": access.name(holder),
        "grantor": grantor.map(|role| access.name(role)),
        "grant_option": grant_options.contains(privilege),
        "chains": reason.chains.iter().map(names).collect::<Vec<_>>(),
        "set_role": reason.set_role.map(|role| access.name(role)),
    })
}

/// What a role is, in the words of CREATE ROLE; what everybody has by default is left out.
pub fn options(answers: &Answers<'_>, id: RoleId, role: &PresentRole) -> Vec<String> {
    let mut words = vec![if role.login { "LOGIN" } else { "NOLOGIN" }.to_owned()];
    let flags = [
        (role.superuser, "SUPERUSER"),
        (role.createdb, "CREATEDB"),
        (role.createrole, "CREATEROLE"),
        (role.replication, "REPLICATION"),
        (role.bypassrls, "BYPASSRLS"),
        (!role.inherit, "NOINHERIT"),
    ];
    words.extend(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, word)| (*word).to_owned()));
    if role.connection_limit >= 0 {
        words.push(format!("CONNECTION LIMIT {}", role.connection_limit));
    }
    if let Some((time, past)) = answers.details.expiry.get(&id) {
        words.push(format!("VALID UNTIL {time}{}", if *past { " (expired)" } else { "" }));
    }
    words
}
