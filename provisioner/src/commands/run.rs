//! `rolecall plan`, `apply` and `check`.

use super::print;
use super::work::Work;
use crate::cli::{Cli, Format, RunArgs};
use crate::error::Error;
use crate::execute;
use crate::plan::{Plan, Saved, json, script, text};
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

/// Shows what would change.
///
/// # Errors
/// A spec or a server that is not as it should be.
pub fn plan(cli: &Cli, run: &RunArgs, format: Format, out: Option<&Path>) -> Result<u8, Error> {
    let mut work = Work::start(cli, run)?;
    let plan = work.each(execute::plan, false, None)?;
    match format {
        Format::Text => print(&text(&plan, !cli.quiet))?,
        Format::Json => print(&json(&plan))?,
        Format::Sql => print(&script(&plan))?,
    }
    let code = if plan.is_empty() { 0 } else { 2 };
    if let Some(path) = out {
        Saved::new(work.name, work.text, work.allowed, plan.databases).write(path)?;
    }
    Ok(code)
}

/// Shows drift and nothing else.
///
/// # Errors
/// A spec or a server that is not as it should be.
pub fn check(cli: &Cli, run: &RunArgs) -> Result<u8, Error> {
    let plan = Work::start(cli, run)?.each(execute::plan, false, None)?;
    if cli.json {
        print(&json(&plan))?;
    } else if !cli.quiet && (!plan.is_empty() || plan.has_warnings()) {
        print(&text(&plan, false))?;
    }
    Ok(if plan.is_empty() { 0 } else { 2 })
}

/// Changes it, after asking; a saved plan was looked at when it was made.
///
/// # Errors
/// A spec or a server that is not as it should be; then nothing was changed in the database at hand.
pub fn apply(cli: &Cli, run: &RunArgs, yes: bool) -> Result<u8, Error> {
    let mut work = Work::start(cli, run)?;
    let saved = work.saved.take();
    let asks = !yes && saved.is_none();
    if asks && !std::io::stdin().is_terminal() {
        return Err(Error::NotATerminal);
    }
    let mut agreed = saved;
    if asks {
        let plan = work.each(execute::plan, false, None)?;
        print(&text(&plan, false))?;
        if plan.operations().all(|operation| operation.needs.is_some()) {
            return Ok(left(&plan));
        }
        confirm()?;
        work.ask_for(&plan)?;
        agreed = Some(plan);
    } else if agreed.is_some() || work.may_ask() {
        // Before the first database is changed: all or nothing as far as that can be had.
        let plan = work.each(execute::plan, false, None)?;
        if agreed.as_ref().is_some_and(|saved| !saved.does_the_same(&plan)) {
            print(&text(&plan, false))?;
            return Err(Error::Stale);
        }
        work.ask_for(&plan)?;
    }
    let done = work.each(execute::apply, true, agreed.as_ref())?;
    if cli.json {
        print(&json(&done))?;
    } else if !cli.quiet {
        print(&if asks { "Done.\n".to_owned() } else { text(&done, false) })?;
    }
    Ok(left(&done))
}

fn left(plan: &Plan) -> u8 {
    if plan.waiting().is_empty() { 0 } else { 3 }
}

fn confirm() -> Result<(), Error> {
    let mut out = std::io::stderr().lock();
    write!(out, "Apply? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(Error::Declined) }
}
