//! Who may do what with one object.

use super::Answers;
use super::layout::{Cell, DIM, HEADING, PART, PLAIN, YES, line, width};
use super::object::{label, object_value, reasons, value, word};
use crate::catalog::RoleId;
use crate::effective::{Answer, Found, Obstacle, Reason, obstacles};
use crate::plan::printable;
use serde_json::{Value, json};
use std::fmt::Write;

/// One role and what it may.
struct Holder {
    role: RoleId,
    answers: Vec<Answer>,
    obstacles: Vec<Obstacle>,
}

impl Holder {
    fn may_anything(&self) -> bool {
        self.answers.iter().any(|answer| answer.is_held() || answer.grant_option || !answer.columns.is_empty())
    }

    fn after_set_role(&self) -> bool {
        self.answers.iter().any(|answer| !answer.after_set_role.is_empty())
    }

    /// Whether it may more than everybody.
    fn is_special(&self) -> bool {
        self.holds_own() || self.after_set_role()
    }

    fn holds_own(&self) -> bool {
        let own = |reason: &Reason| reason.source.holder != RoleId::PUBLIC;
        let special = |answer: &Answer| {
            answer.grant_option
                || answer.reasons.iter().any(own)
                || answer.columns.iter().any(|(_, reasons)| reasons.iter().any(own))
        };
        self.answers.iter().any(special)
    }
}

/// Everybody but superusers who may anything, PUBLIC first, then by name.
fn holders(answers: &Answers<'_>, found: &Found) -> Vec<Holder> {
    let access = &answers.access;
    let mut roles: Vec<RoleId> = access.present.roles.keys().copied().collect();
    roles.retain(|role| !access.is_superuser(*role));
    roles.sort_by_key(|role| access.name(*role));
    let roles = [RoleId::PUBLIC].into_iter().chain(roles);
    let holder = |role| Holder {
        role,
        answers: access.answers(role, found),
        obstacles: obstacles(access, &answers.details, role, found),
    };
    roles.map(holder).filter(|holder| holder.may_anything() || holder.after_set_role()).collect()
}

fn superusers<'a>(answers: &'a Answers<'_>) -> Vec<&'a str> {
    let access = &answers.access;
    let superusers = access.present.roles.keys().filter(|role| access.is_superuser(**role));
    let mut names: Vec<&str> = superusers.map(|role| access.name(*role)).collect();
    names.sort_unstable();
    names
}

/// For programs.
pub fn who_json(answers: &Answers<'_>, found: &Found) -> Value {
    let session = &answers.access.present.session;
    let roles = holders(answers, found).into_iter().map(|holder| {
        let in_the_way = holder.obstacles.iter().map(|one| json!({"code": one.code, "text": one.text}));
        json!({
            "role": answers.access.name(holder.role),
            "public": holder.role == RoleId::PUBLIC,
            "login": answers.access.present.roles.get(&holder.role).is_some_and(|role| role.login),
            "privileges": holder.answers.iter().map(|answer| value(answers, answer)).collect::<Vec<_>>(),
            "obstacles": in_the_way.collect::<Vec<_>>(),
        })
    });
    json!({
        "format": "rolecall-who/1",
        "database": session.database,
        "server": session.version_text,
        "object": object_value(answers, found),
        "roles": roles.collect::<Vec<_>>(),
        "superusers": superusers(answers),
    })
}

/// For people.
pub fn who_text(answers: &Answers<'_>, found: &Found) -> String {
    let access = &answers.access;
    let mut out = String::new();
    let _ = writeln!(out, "{HEADING}{}{HEADING:#}", printable(&label(answers, found)));
    let about = format!("{}; owner {}", answers.server(), access.name(access.object(found).owner));
    let _ = writeln!(out, "{DIM}{}{DIM:#}", printable(&about));
    let all = holders(answers, found);
    let (public, others): (Vec<&Holder>, Vec<&Holder>) = all.iter().partition(|holder| holder.role == RoleId::PUBLIC);
    let special: Vec<&Holder> = others.into_iter().filter(|holder| holder.is_special()).collect();
    let is_login = |holder: &&Holder| access.present.roles.get(&holder.role).is_some_and(|role| role.login);
    let is_predefined = |holder: &&Holder| access.name(holder.role).starts_with("pg_");
    let (predefined, special): (Vec<&Holder>, Vec<&Holder>) = special.into_iter().partition(is_predefined);
    let (logins, groups): (Vec<&Holder>, Vec<&Holder>) = special.into_iter().partition(is_login);
    let name_width = width(all.iter().map(|holder| access.name(holder.role)), 30);
    for (heading, part) in
        [("everybody", &public), ("logins", &logins), ("groups", &groups), ("predefined roles", &predefined)]
    {
        if !part.is_empty() {
            let _ = writeln!(out, "\n{HEADING}{heading}{HEADING:#}");
        }
        for holder in part {
            lines(&mut out, answers, holder, name_width);
        }
    }
    if all.is_empty() {
        let _ = writeln!(out, "\nNobody but superusers.");
    }
    let superusers = superusers(answers);
    let _ = writeln!(out, "\n{HEADING}superusers{HEADING:#}");
    line(&mut out, 2, &[], &format!("{}: nothing is refused to them", superusers.join(", ")), PLAIN);
    out
}

fn lines(out: &mut String, answers: &Answers<'_>, holder: &Holder, name_width: usize) {
    let all = holder.answers.len();
    let mut name = answers.access.name(holder.role);
    for (texts, is_held, words) in by_reasons(answers, holder) {
        let mut words = if words.len() == all && all > 2 { "everything".to_owned() } else { words.join(", ") };
        for text in texts {
            let style = if is_held { YES } else { DIM };
            line(out, 2, &[Cell(name, PLAIN, name_width), Cell(&words, style, 22)], &text, PLAIN);
            name = "";
            words.clear();
        }
    }
    // What keeps a role from using what everybody has is told with PUBLIC.
    let worth_it = holder.role == RoleId::PUBLIC || holder.holds_own();
    for obstacle in holder.obstacles.iter().filter(|obstacle| worth_it && obstacle.code != "nologin") {
        line(out, 2, &[Cell("", PLAIN, name_width), Cell("but", PART, 3)], &obstacle.text, PLAIN);
    }
}

/// Privileges that are held, or not, for the same reasons; what a role has only as everybody has it is left out.
fn by_reasons(answers: &Answers<'_>, holder: &Holder) -> Vec<(Vec<String>, bool, Vec<&'static str>)> {
    let mut found: Vec<(Vec<String>, bool, Vec<&'static str>)> = Vec::new();
    for answer in &holder.answers {
        let is_held = answer.is_held() || !answer.columns.is_empty();
        let mut texts = reasons(answers, answer, holder.role != RoleId::PUBLIC);
        if !answer.is_held() && answer.grant_option {
            texts.push("not held, but its owner may grant it".to_owned());
        }
        match found.iter_mut().find(|(known, held, _)| *known == texts && *held == is_held) {
            Some((.., words)) => words.push(word(answer.privilege)),
            None if texts.is_empty() => {}
            None => found.push((texts, is_held, vec![word(answer.privilege)])),
        }
    }
    found
}
