//! The commands, one file each.

mod add_user;
mod init;
mod run;

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
        Command::Plan { run, format, json } => {
            let format = if *json { Format::Json } else { *format };
            run::plan(cli, run, format)
        }
        Command::Apply { run, yes, json } => run::apply(cli, run, *yes, *json),
        Command::Check { run } => run::check(cli, run),
        Command::AddUser { name, like, json } => add_user::add_user(cli, name, like, *json),
    }
}

/// Writes to standard output, without styles if that is no terminal.
fn print(text: &str) -> Result<(), Error> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
