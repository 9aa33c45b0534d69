//! The commands, one file each.

mod add_user;
mod doctor;
mod explain;
mod export;
mod init;
mod report;
mod run;
mod schema;
mod work;

use crate::cli::{Cli, Command, Format};
use crate::error::Error;
use std::io::Write;

/// Does what the command line says; the exit code.
///
/// # Errors
/// Whatever keeps it from being done.
pub fn run(cli: &Cli) -> Result<u8, Error> {
    match &cli.command {
        Command::Init { template } => init::init(*template),
        Command::Plan { run, format, out } => {
            let format = if cli.json { Format::Json } else { *format };
            run::plan(cli, run, format, out.as_deref())
        }
        Command::Apply { run, yes } => run::apply(cli, run, *yes),
        Command::Check { run } => run::check(cli, run),
        Command::AddUser { name, like } => add_user::add_user(cli, name, like, cli.json),
        Command::Export { schemas } => export::export(cli, schemas),
        Command::Explain { role, object } => explain::explain(cli, role, object.as_deref()),
        Command::Who { object } => explain::who(cli, object),
        Command::Doctor => doctor::doctor(cli),
        Command::Report { html } => report::report(cli, html),
        Command::Schema => schema::schema(),
    }
}

/// Writes to standard output, without styles if that is no terminal.
fn print(text: &str) -> Result<(), Error> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
