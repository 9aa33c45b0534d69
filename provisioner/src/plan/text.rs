//! A plan as a person reads it: a line for each intent, under the schema it concerns.

use super::{DatabasePlan, Operation, Plan, Sign};
use anstyle::{AnsiColor, Style};
use std::fmt::Write;

const HEADING: Style = Style::new().bold();
const WARNING: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();

/// The plan's lines; styled, which a stream that is no terminal takes out again.
pub fn text(plan: &Plan, hints: bool) -> String {
    let mut out = String::new();
    for database in &plan.databases {
        head(&mut out, plan, database);
        let sections = sections(&database.operations);
        for section in sections {
            let _ = writeln!(out, "\n{HEADING}{}{HEADING:#}", printable(section));
            let operations: Vec<&Operation> =
                database.operations.iter().filter(|operation| operation.section == section).collect();
            let width = operations.iter().map(|operation| operation.who.chars().count()).max().unwrap_or(0).min(40);
            for operation in operations {
                let _ = writeln!(out, "  {}", line(operation, width));
            }
        }
        if !database.warnings.is_empty() {
            let _ = writeln!(out);
            for warning in &database.warnings {
                let _ = writeln!(out, "{WARNING}! {}{WARNING:#}", printable(warning));
            }
        }
    }
    foot(&mut out, plan, hints);
    out
}

fn head(out: &mut String, plan: &Plan, database: &DatabasePlan) {
    let superuser = if database.superuser { "superuser" } else { "not superuser" };
    let (name, executor, version) = (&database.database, &database.executor, &database.version);
    let _ = writeln!(
        out,
        "{DIM}database {name} as {executor} (PostgreSQL {version}, {superuser}), spec {}{DIM:#}",
        plan.spec
    );
}

/// Headings in the order they first appear.
fn sections(operations: &[Operation]) -> Vec<&str> {
    let mut sections: Vec<&str> = Vec::new();
    for operation in operations {
        if !sections.contains(&operation.section.as_str()) {
            sections.push(&operation.section);
        }
    }
    sections
}

fn line(operation: &Operation, width: usize) -> String {
    let (sign, color) = match operation.sign {
        Sign::Add => ("+", AnsiColor::Green),
        Sign::Change => ("~", AnsiColor::Yellow),
        Sign::Remove => ("-", AnsiColor::Red),
    };
    let style = color.on_default();
    let mut notes = Vec::new();
    if !operation.reason.is_empty() {
        notes.push(printable(&operation.reason));
    }
    if let Some(flag) = operation.needs {
        notes.push(format!("needs {}", flag.text()));
    }
    let notes = if notes.is_empty() { String::new() } else { format!("  {DIM}({}){DIM:#}", notes.join("; ")) };
    let (who, what) = (printable(&operation.who), printable(&operation.what));
    format!("{style}{sign} {who:width$}  {what}{style:#}{notes}")
}

/// Names may hold anything, a terminal should not be told anything.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn foot(out: &mut String, plan: &Plan, hints: bool) {
    if plan.is_empty() {
        let _ = writeln!(out, "Nothing to do.");
        return;
    }
    let (add, change, remove) = (plan.count(Sign::Add), plan.count(Sign::Change), plan.count(Sign::Remove));
    let done = plan.operations().filter(|operation| operation.needs.is_none());
    let statements: usize = done.map(|operation| operation.sql.len() + operation.secret.len()).sum();
    let _ = writeln!(out, "\nPlan: {add} to add, {change} to change, {remove} to take away; {statements} statements.");
    for (flag, count) in plan.waiting() {
        let _ = writeln!(out, "Left without {}: {count}.", flag.text());
    }
    if hints {
        let _ = writeln!(out, "{DIM}--format sql shows the statements.{DIM:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Flag;

    #[test]
    fn names_cannot_break_lines_or_command_the_terminal() {
        let odd = "a\nb\u{1b}[2J";
        let operation = Operation::new(odd, Sign::Remove, odd, odd, Vec::new()).unless(false, Flag::Revoke);
        let database = DatabasePlan {
            database: "d".to_owned(),
            executor: "e".to_owned(),
            superuser: false,
            version: "15".to_owned(),
            operations: vec![operation.because(odd)],
            warnings: Vec::new(),
        };
        let plan = Plan { spec: "spec".to_owned(), databases: vec![database] };
        let plain = anstream::adapter::strip_str(&text(&plan, false)).to_string();
        let shown = "a\\nb\\u{1b}[2J";
        assert!(plain.contains(&format!("\n  - {shown}  {shown}  ({shown}; needs --revoke)\n")), "{plain}");
        assert!(plain.contains(&format!("\n{shown}\n")), "{plain}");
        assert!(plain.contains("Left without --revoke: 1."), "{plain}");
    }
}
