//! What a run needs before it looks at a server: the spec, the passwords, the connections.

use crate::catalog::rows;
use crate::cli::{Cli, RunArgs};
use crate::connection::env;
use crate::diff::{Request, Stage};
use crate::error::Error;
use crate::execute::Job;
use crate::plan::{DatabasePlan, Plan, Saved, printable};
use crate::progress::Progress;
use policy::spec::{Contents, Desired, PasswordSource, Spec, Undeclared};
use policy::sql::literal;
use postgres::Client;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

/// A run that is about to happen.
pub struct Work<'a> {
    run: &'a RunArgs,
    /// What the spec is called.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What may be done beyond adding.
    pub allowed: Undeclared,
    /// The plan that was kept, if that is what shall be applied.
    pub saved: Option<Plan>,
    desired: Desired,
    passwords: BTreeMap<String, String>,
    parts: Vec<Part>,
    clients: Vec<Client>,
    progress: Progress,
}

/// What is done in one database at one time.
struct Part {
    database: String,
    client: usize,
    stage: Stage,
    contents: Contents,
}

impl<'a> Work<'a> {
    /// Reads the spec or the saved plan, and connects.
    ///
    /// # Errors
    /// A file or spec that is not as it should be, a password that is not there, a server that does not answer.
    pub fn start(cli: &Cli, run: &'a RunArgs) -> Result<Self, Error> {
        let mut name = run.spec.display().to_string();
        let mut text = read(&run.spec)?;
        let mut allowed = Undeclared {
            revoke_privileges: run.revoke,
            revoke_members: run.revoke,
            drop_roles: run.drop,
            change_owners: run.owner,
        };
        let mut saved = None;
        if let Some(kept) = Saved::read(&text) {
            let failed = |reason: String| Error::Saved { path: run.spec.clone(), reason };
            let kept = kept.map_err(failed)?;
            if allowed != Undeclared::default() {
                return Err(failed("a saved plan says itself what may be done; leave the flags out".to_owned()));
            }
            allowed = kept.allowed();
            (name, text) = (kept.name, kept.spec);
            saved = Some(Plan { spec: name.clone(), databases: kept.databases });
        }
        let spec = Spec::parse(&text).and_then(|spec| spec.expand());
        let desired = spec.map_err(|source| Error::Spec { file: name.clone(), source })?;
        if saved.is_none() {
            let Undeclared { revoke_privileges, revoke_members, drop_roles, change_owners } = desired.manage.undeclared;
            allowed.revoke_privileges |= revoke_privileges;
            allowed.revoke_members |= revoke_members;
            allowed.drop_roles |= drop_roles;
            allowed.change_owners |= change_owners;
        }
        let passwords = passwords(&desired)?;
        let progress = Progress::new(cli.quiet);
        let mut work = Self {
            run,
            name,
            text,
            allowed,
            saved,
            desired,
            passwords,
            parts: Vec::new(),
            clients: Vec::new(),
            progress,
        };
        work.connect(cli)?;
        Ok(work)
    }

    fn connect(&mut self, cli: &Cli) -> Result<(), Error> {
        let mut client = cli.connection.connect(None)?;
        let row = client.query_one("SELECT current_database()::text", &[])?;
        let here: String = row.get(0);
        let left_in =
            if self.allowed.drop_roles { left_elsewhere(&mut client, &self.desired)? } else { BTreeSet::new() };
        let mut elsewhere: BTreeSet<&String> = self.desired.databases.keys().collect();
        elsewhere.extend(&left_in);
        elsewhere.remove(&here);
        self.clients.push(client);
        let stage = if left_in.is_empty() { Stage::Alone } else { Stage::First };
        let contents = merged(&self.desired, &here);
        self.parts.push(Part { database: here.clone(), client: 0, stage, contents });
        for name in elsewhere {
            self.clients.push(cli.connection.connect(Some(name))?);
            let contents = self.desired.databases.get(name).cloned().unwrap_or_default();
            let client = self.clients.len() - 1;
            self.parts.push(Part { database: name.clone(), client, stage: Stage::Further, contents });
        }
        if stage == Stage::First {
            self.parts.push(Part { database: here, client: 0, stage: Stage::Last, contents: Contents::default() });
        }
        Ok(())
    }

    /// Whether some passwords are typed where they are missing.
    pub fn may_ask(&self) -> bool {
        self.desired.roles.values().any(|role| role.password == Some(PasswordSource::Prompt))
    }

    /// Asks for the passwords that a plan is going to set.
    ///
    /// # Errors
    /// No terminal, and passwords that are not typed twice alike.
    pub fn ask_for(&mut self, plan: &Plan) -> Result<(), Error> {
        for operation in plan.operations().filter(|operation| operation.asks) {
            self.passwords.insert(operation.who.clone(), ask(&operation.who)?);
        }
        Ok(())
    }

    /// Does the same in every database.
    ///
    /// # Errors
    /// What keeps it from being done; what was done in databases before stays.
    pub fn each(
        &mut self,
        act: fn(&mut Client, &Job<'_>) -> Result<DatabasePlan, Error>,
        writes: bool,
        agreed: Option<&Plan>,
    ) -> Result<Plan, Error> {
        let names: Vec<String> = self.parts.iter().map(|part| part.database.clone()).collect();
        let mut databases: Vec<DatabasePlan> = Vec::new();
        for (number, part) in self.parts.iter().enumerate() {
            let request = Request {
                desired: &self.desired,
                contents: &part.contents,
                stage: part.stage,
                allowed: self.allowed,
                passwords: &self.passwords,
            };
            let job = Job {
                request,
                lock_timeout: self.run.lock_timeout.as_deref(),
                statement_timeout: self.run.statement_timeout.as_deref(),
                agreed: agreed.and_then(|plan| plan.databases.get(number)),
                progress: &self.progress,
            };
            let done = act(&mut self.clients[part.client], &job);
            databases.push(done.map_err(|error| in_database(error, &names, number, writes))?);
        }
        let compares = databases.iter().all(|database| database.superuser);
        let given = self.desired.roles.values().filter_map(|role| role.password.as_ref());
        if given.filter(|source| **source != PasswordSource::Prompt).count() > 0 && !compares {
            anstream::eprintln!(
                "note: only a superuser can compare passwords; those of existing roles are left as they are"
            );
        }
        Ok(Plan { spec: self.name.clone(), databases })
    }
}

/// A new password, typed twice.
fn ask(role: &str) -> Result<String, Error> {
    let failed = |_| {
        let message = format!("the password of \"{role}\" should be typed, and nobody can be asked");
        Error::mismatch(message, "run apply on a terminal, or write {from_env: VARIABLE} instead of {prompt: true}")
    };
    let role_shown = printable(role);
    let first = rpassword::prompt_password(format!("New password of {role_shown}: ")).map_err(failed)?;
    let second = rpassword::prompt_password(format!("Once more, of {role_shown}: ")).map_err(failed)?;
    if first.is_empty() || first != second {
        let message = format!("the password of \"{role}\" was not typed twice alike");
        return Err(Error::mismatch(message, "run it again"));
    }
    Ok(first)
}

/// An error in one of several databases says in which, and what has become of the others.
fn in_database(error: Error, names: &[String], failed: usize, writes: bool) -> Error {
    if names.len() < 2 {
        return error;
    }
    let (done, undone) = names.split_at(failed);
    let done = if done.is_empty() { "none".to_owned() } else { done.join(", ") };
    let progress = writes.then(|| format!("done: {done}; not done: {}", undone.join(", ")));
    Error::OneOfSeveral { failed: names[failed].clone(), source: Box::new(error), progress }
}

/// The databases in which something hangs on a role that shall be gone.
fn left_elsewhere(client: &mut Client, desired: &Desired) -> Result<BTreeSet<String>, Error> {
    let roles = rows(client, "SELECT rolname FROM pg_roles")?;
    let going: Vec<String> =
        roles.iter().filter_map(|row| row.get(0)).filter(|name| desired.wants_gone(name)).map(literal).collect();
    if going.is_empty() {
        return Ok(BTreeSet::new());
    }
    let sql = format!(
        "SELECT DISTINCT d.datname FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid JOIN pg_roles r ON \
         r.oid = s.refobjid WHERE s.refclassid = 'pg_authid'::regclass AND d.datname <> current_database() \
         AND r.rolname IN ({})",
        going.join(", ")
    );
    Ok(rows(client, &sql)?.iter().filter_map(|row| row.get(0)).map(str::to_owned).collect())
}

/// What the spec says at its top and, by its name, about the database one is connected to.
fn merged(desired: &Desired, here: &str) -> Contents {
    let mut contents = desired.here.clone();
    if let Some(named) = desired.databases.get(here) {
        contents.schemas.extend(named.schemas.clone());
        contents.grants.extend(named.grants.iter().cloned());
        contents.default_privileges.extend(named.default_privileges.iter().cloned());
        contents.owners.extend(named.owners.iter().cloned());
        if let Some(access) = &named.access {
            contents.access.get_or_insert_default().extend(access.clone());
        }
    }
    contents
}

fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    if path != Path::new("-") {
        return std::fs::read_to_string(path).map_err(failed);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(failed)?;
    Ok(text)
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
            PasswordSource::Prompt => continue,
        };
        if password.is_empty() || password.contains('\0') {
            let message = format!("the password of \"{role}\" is empty or holds a NUL character");
            return Err(Error::mismatch(message, "choose another one"));
        }
        passwords.insert(role.clone(), password);
    }
    Ok(passwords)
}
