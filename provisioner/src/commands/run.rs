//! `rolecall plan`, `apply` and `check`.

use super::print;
use crate::cli::{Cli, Format, RunArgs};
use crate::connection::env;
use crate::diff::Request;
use crate::error::Error;
use crate::execute::{self, Job};
use crate::plan::{DatabasePlan, Plan, json, script, text};
use policy::spec::{Contents, Desired, PasswordSource, Spec};
use postgres::Client;
use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::Path;

/// Shows what would change.
///
/// # Errors
/// A spec or a server that is not as it should be.
pub fn plan(cli: &Cli, run: &RunArgs, format: Format) -> Result<u8, Error> {
    let plan = Work::start(cli, run)?.each(execute::plan, None)?;
    match format {
        Format::Text => print(&text(&plan, !cli.quiet))?,
        Format::Json => print(&json(&plan))?,
        Format::Sql => print(&script(&plan))?,
    }
    Ok(if plan.is_empty() { 0 } else { 2 })
}

/// Shows drift and nothing else.
///
/// # Errors
/// A spec or a server that is not as it should be.
pub fn check(cli: &Cli, run: &RunArgs) -> Result<u8, Error> {
    let plan = Work::start(cli, run)?.each(execute::plan, None)?;
    if !plan.is_empty() && !cli.quiet {
        print(&text(&plan, false))?;
    }
    Ok(if plan.is_empty() { 0 } else { 2 })
}

/// Changes it, after asking.
///
/// # Errors
/// A spec or a server that is not as it should be; then nothing was changed in the database at hand.
pub fn apply(cli: &Cli, run: &RunArgs, yes: bool, as_json: bool) -> Result<u8, Error> {
    if !yes && !std::io::stdin().is_terminal() {
        return Err(Error::NotATerminal);
    }
    let mut work = Work::start(cli, run)?;
    let mut agreed = None;
    if !yes {
        let plan = work.each(execute::plan, None)?;
        print(&text(&plan, false))?;
        if plan.operations().all(|operation| operation.needs.is_some()) {
            return Ok(left(&plan));
        }
        confirm()?;
        agreed = Some(plan);
    }
    let done = work.each(execute::apply, agreed.as_ref())?;
    if as_json {
        print(&json(&done))?;
    } else if !cli.quiet {
        print(&if yes { text(&done, false) } else { "Done.\n".to_owned() })?;
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

/// Everything read that a run needs before it looks at a server.
struct Work<'a> {
    run: &'a RunArgs,
    desired: Desired,
    passwords: BTreeMap<String, String>,
    clients: Vec<(Client, Contents)>,
}

impl<'a> Work<'a> {
    fn start(cli: &Cli, run: &'a RunArgs) -> Result<Self, Error> {
        let desired = read_spec(&run.spec)?;
        let passwords = passwords(&desired)?;
        let mut client = cli.connection.connect(None)?;
        let row = client.query_one("SELECT current_database()::text", &[])?;
        let here: String = row.get(0);
        let mut clients = vec![(client, merged(&desired, &here))];
        for (name, contents) in desired.databases.iter().filter(|(name, _)| **name != here) {
            clients.push((cli.connection.connect(Some(name))?, contents.clone()));
        }
        Ok(Self { run, desired, passwords, clients })
    }

    /// Does the same in every database, roles with the first.
    fn each(
        &mut self,
        act: fn(&mut Client, &Job<'_>) -> Result<DatabasePlan, Error>,
        agreed: Option<&Plan>,
    ) -> Result<Plan, Error> {
        let mut databases = Vec::new();
        for (number, (client, contents)) in self.clients.iter_mut().enumerate() {
            let request = Request {
                desired: &self.desired,
                contents,
                cluster: number == 0,
                revoke: self.run.revoke || self.desired.manage.revoke,
                owner: self.run.owner,
                passwords: &self.passwords,
            };
            let job = Job {
                request,
                lock_timeout: self.run.lock_timeout.as_deref(),
                statement_timeout: self.run.statement_timeout.as_deref(),
                agreed: agreed.and_then(|plan| plan.databases.get(number)),
            };
            databases.push(act(client, &job)?);
        }
        if !self.passwords.is_empty() && databases.iter().any(|database| !database.superuser) {
            anstream::eprintln!(
                "note: only a superuser can compare passwords; those of existing roles are left as they are"
            );
        }
        Ok(Plan { spec: self.run.spec.display().to_string(), databases })
    }
}

/// What the spec says at its top and, by its name, about the database one is connected to.
fn merged(desired: &Desired, here: &str) -> Contents {
    let mut contents = desired.here.clone();
    if let Some(named) = desired.databases.get(here) {
        contents.schemas.extend(named.schemas.clone());
        contents.grants.extend(named.grants.iter().cloned());
        contents.default_privileges.extend(named.default_privileges.iter().cloned());
    }
    contents
}

fn read_spec(path: &Path) -> Result<Desired, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(failed)?;
        text
    } else {
        std::fs::read_to_string(path).map_err(failed)?
    };
    Spec::parse(&text)
        .and_then(|spec| spec.expand())
        .map_err(|source| Error::Spec { file: path.display().to_string(), source })
}

fn passwords(desired: &Desired) -> Result<BTreeMap<String, String>, Error> {
    let mut passwords = BTreeMap::new();
    for (role, options) in &desired.roles {
        let Some(source) = &options.password else { continue };
        let password = match source {
            PasswordSource::Environment(variable) => env(variable).ok_or_else(|| {
                let message = format!("the password of \"{role}\" should be in {variable}, which is not set");
                Error::mismatch(message, format!("export {variable} before running rolecall"))
            })?,
            PasswordSource::File(path) => {
                let read = std::fs::read_to_string(path);
                let text = read.map_err(|source| Error::File { path: path.into(), source })?;
                text.strip_suffix('\n').unwrap_or(&text).to_owned()
            }
        };
        if password.is_empty() || password.contains('\0') {
            let message = format!("the password of \"{role}\" is empty or holds a NUL character");
            return Err(Error::mismatch(message, "choose another one"));
        }
        passwords.insert(role.clone(), password);
    }
    Ok(passwords)
}
