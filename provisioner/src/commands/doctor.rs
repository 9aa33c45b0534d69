//! `rolecall doctor`: what leads past the extension's rules, and what mends it.

use super::print;
use crate::cli::Cli;
use crate::error::Error;
use crate::plan::printable;
use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use std::fmt::Write;

/// One row of `rolecall.doctor()`.
struct Finding {
    level: String,
    check: String,
    object: String,
    advice: String,
}

/// Shows what the extension finds.
///
/// # Errors
/// A database without the extension, and whatever the server says.
pub fn doctor(cli: &Cli) -> Result<u8, Error> {
    let mut client = cli.connection.connect(None)?;
    let installed = "SELECT FROM pg_catalog.pg_extension WHERE extname = 'rolecall'";
    if client.query_opt(installed, &[])?.is_none() {
        let hint = "say which database (--dbname), or install it there: CREATE EXTENSION rolecall";
        return Err(Error::mismatch("the extension is not installed in this database", hint));
    }
    let query = r#"SELECT level, "check", object, advice FROM rolecall.doctor()"#;
    let findings: Vec<_> = client
        .query(query, &[])?
        .iter()
        .map(|row| Finding { level: row.get(0), check: row.get(1), object: row.get(2), advice: row.get(3) })
        .collect();
    if cli.json {
        print(&format!("{:#}\n", json(&findings)))?;
    } else if !(cli.quiet && findings.is_empty()) {
        print(&text(&findings))?;
    }
    Ok(if findings.iter().all(|finding| finding.level == "notice") { 0 } else { 2 })
}

fn json(findings: &[Finding]) -> Value {
    let one = |Finding { level, check, object, advice }: &Finding| json!({"level": level, "check": check, "object": object, "advice": advice});
    json!({"format": "rolecall-doctor/1", "findings": findings.iter().map(one).collect::<Vec<_>>()})
}

/// The findings under their level, each above the statement that mends it, on a line of its own to copy.
fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "Nothing found.\n".to_owned();
    }
    let mut out = String::new();
    for level in ["error", "warning", "notice"] {
        let of_level: Vec<_> = findings.iter().filter(|finding| finding.level == level).collect();
        if of_level.is_empty() {
            continue;
        }
        let color = match level {
            "error" => AnsiColor::Red.on_default().bold(),
            "warning" => AnsiColor::Yellow.on_default().bold(),
            _ => Style::new().bold(),
        };
        let space = if out.is_empty() { "" } else { "\n" };
        let _ = writeln!(out, "{space}{color}{level}: {}{color:#}", of_level.len());
        for Finding { check, object, advice, .. } in of_level {
            let _ = writeln!(out, "  {check}: {}\n    {}", printable(object), printable(advice));
        }
    }
    out
}
