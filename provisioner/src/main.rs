//! The `rolecall` program: makes a cluster's roles and privileges match one spec file.

mod access;
mod catalog;
mod cli;
mod commands;
mod connection;
mod diff;
mod effective;
mod error;
mod execute;
mod explain;
mod export;
mod password;
mod plan;
mod progress;
mod report;
mod waited;

use clap::Parser;
use clap::error::ErrorKind;
use cli::Cli;
use error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own code for a wrong command line is 2, which here means that there are changes.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if asked { 0 } else { 1 });
        }
    };
    match commands::run(&cli) {
        Ok(code) => ExitCode::from(code),
        // Who reads no further, as `| head` does, is no error worth a message.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(1),
        Err(error) => {
            report(&error);
            ExitCode::from(1)
        }
    }
}

fn report(error: &Error) {
    use anstyle::{AnsiColor, Style};
    use plan::printable;
    let (red, bold) = (AnsiColor::Red.on_default().bold(), Style::new().bold());
    anstream::eprintln!("{red}error:{red:#} {}", printable(&error.to_string()));
    if let Some(detail) = error.detail() {
        anstream::eprintln!("{bold}detail:{bold:#} {}", printable(&detail));
    }
    if let Some(hint) = error.hint() {
        anstream::eprintln!("{bold}hint:{bold:#} {}", printable(&hint));
    }
}
