//! What one role may do with one object.

use super::Answers;
use super::layout::{Cell, DIM, HEADING, PART, PLAIN, YES, line, width};
use super::words::{reason, reason_json};
use crate::catalog::RoleId;
use crate::effective::{Answer, Found, Reason, full_label, obstacles};
use crate::plan::printable;
use policy::spec::Privileges;
use serde_json::{Value, json};
use std::fmt::Write;

/// The object with its column.
pub(super) fn label(answers: &Answers<'_>, found: &Found) -> String {
    let object = answers.access.object(found);
    match &found.column {
        Some(column) => format!("column {}.{column}", object.label()),
        None => full_label(object),
    }
}

/// For people.
pub fn object_text(answers: &Answers<'_>, role: RoleId, found: &Found) -> String {
    let access = &answers.access;
    let object = access.object(found);
    let mut out = String::new();
    let heading = format!("{} on {}", access.name(role), label(answers, found));
    let _ = writeln!(out, "{HEADING}{}{HEADING:#}", printable(&heading));
    let about = format!("{}; owner {}", answers.server(), access.name(object.owner));
    let _ = writeln!(out, "{DIM}{}{DIM:#}\n", printable(&about));
    let given = access.answers(role, found);
    let word_width = width(given.iter().map(|answer| word(answer.privilege)), 20);
    for answer in &given {
        let (verdict, style) = verdict(answer);
        let mut reasons = reasons(answers, answer, false);
        if reasons.is_empty() {
            reasons.push(String::new());
        }
        for (number, text) in reasons.iter().enumerate() {
            let (privilege, verdict) = if number == 0 { (word(answer.privilege), verdict) } else { ("", "") };
            line(&mut out, 2, &[Cell(privilege, style, word_width), Cell(verdict, style, 4)], text, PLAIN);
        }
    }
    let may_anything = given.iter().any(|answer| answer.is_held() || !answer.columns.is_empty());
    let in_the_way = obstacles(access, &answers.details, role, found);
    if may_anything && !in_the_way.is_empty() {
        out.push('\n');
        for obstacle in in_the_way {
            line(&mut out, 2, &[Cell("but", PART, 3)], &obstacle.text, PLAIN);
        }
    }
    out
}

/// For programs.
pub fn object_json(answers: &Answers<'_>, role: RoleId, found: &Found) -> Value {
    let access = &answers.access;
    let session = &access.present.session;
    let in_the_way = obstacles(access, &answers.details, role, found);
    let in_the_way = in_the_way.iter().map(|obstacle| json!({"code": obstacle.code, "text": obstacle.text}));
    json!({
        "format": "rolecall-explain/1",
        "database": session.database,
        "server": session.version_text,
        "role": access.name(role),
        "object": object_value(answers, found),
        "privileges": access.answers(role, found).iter().map(|answer| value(answers, answer)).collect::<Vec<_>>(),
        "obstacles": in_the_way.collect::<Vec<_>>(),
    })
}

pub(super) fn object_value(answers: &Answers<'_>, found: &Found) -> Value {
    let object = answers.access.object(found);
    json!({
        "kind": object.kind.word(),
        "schema": object.schema.as_deref(),
        "name": object.signature(),
        "column": found.column,
        "owner": answers.access.name(object.owner),
    })
}

/// One privilege for programs.
pub(super) fn value(answers: &Answers<'_>, answer: &Answer) -> Value {
    let all = |reasons: &[Reason]| {
        let values = reasons.iter().map(|reason| reason_json(&answers.access, reason, answer.privilege));
        values.collect::<Vec<_>>()
    };
    let columns = answer.columns.iter().map(|(name, reasons)| json!({"name": name, "reasons": all(reasons)}));
    json!({
        "privilege": word(answer.privilege),
        "held": answer.is_held(),
        "grant_option": answer.grant_option,
        "reasons": all(&answer.reasons),
        "after_set_role": all(&answer.after_set_role),
        "columns": columns.collect::<Vec<_>>(),
    })
}

pub(super) fn word(privilege: Privileges) -> &'static str {
    privilege.words().first().copied().unwrap_or_default()
}

fn verdict(answer: &Answer) -> (&'static str, anstyle::Style) {
    match (answer.is_held(), answer.columns.is_empty()) {
        (true, _) => ("yes", YES),
        (false, false) => ("part", PART),
        (false, true) => ("no", DIM),
    }
}

/// Every reason as a line; privileges on columns only where the whole is not held. What everybody has can be left out.
pub(super) fn reasons(answers: &Answers<'_>, answer: &Answer, beyond_public: bool) -> Vec<String> {
    let words = |reasons: &[Reason]| -> Vec<String> {
        let told = reasons.iter().filter(|reason| !beyond_public || reason.source.holder != RoleId::PUBLIC);
        told.flat_map(|one| reason(&answers.access, one, answer.privilege)).collect()
    };
    let mut lines = words(&answer.reasons);
    if !answer.is_held() {
        // Columns that are held for the same reasons share a line.
        let mut by_reasons: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
        for (column, reasons) in &answer.columns {
            let texts = words(reasons);
            if texts.is_empty() {
                continue;
            }
            match by_reasons.iter_mut().find(|(known, _)| *known == texts) {
                Some((_, columns)) => columns.push(column),
                None => by_reasons.push((texts, vec![column])),
            }
        }
        for (texts, columns) in by_reasons {
            let many = if columns.len() == 1 { "column" } else { "columns" };
            lines.push(format!("only {many} {}: {}", columns.join(", "), texts.join("; ")));
        }
        lines.extend(words(&answer.after_set_role));
    }
    lines
}
