//! What can go wrong, told in one line, with detail and advice.

use policy::spec::SpecError;
use std::path::PathBuf;

/// An error of the program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spec cannot be read from disk.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The spec says something that cannot be.
    #[error("{file}: {source}")]
    Spec {
        /// Its name.
        file: String,
        /// What.
        source: SpecError,
    },
    /// The spec and the server do not fit.
    #[error("{message}")]
    Mismatch {
        /// What does not.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// There is no connection.
    #[error("cannot connect: {message}")]
    Connection {
        /// Why not.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The server refused a statement.
    #[error("{}", describe(.0))]
    Server(#[from] postgres::Error),
    /// What somebody looked at is no longer what would be done.
    #[error("meanwhile the plan has changed, so nothing was done")]
    Stale,
    /// A saved plan that cannot be used.
    #[error("{}: {reason}", path.display())]
    Saved {
        /// Its file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The server ended a wait for an object that somebody else was changing.
    #[error("{}, while waiting for {object}", describe(source))]
    Waited {
        /// The object, as the server describes it.
        object: String,
        /// What the server said.
        source: postgres::Error,
    },
    /// Of several databases one failed.
    #[error("database \"{failed}\": {source}")]
    OneOfSeveral {
        /// Which.
        failed: String,
        /// Why.
        source: Box<Self>,
        /// Where everything was done before and where nothing was, if something was to be done.
        progress: Option<String>,
    },
    /// Another run is at work in the same database.
    #[error("another run of rolecall in this database took longer than the timeout")]
    Busy,
    /// The terminal is needed and absent.
    #[error("standard input is not a terminal, so nobody can be asked")]
    NotATerminal,
    /// The person said no.
    #[error("not applied")]
    Declined,
    /// The output cannot be written.
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
    /// The server answered what no PostgreSQL should.
    #[error("unexpected answer of the server: {0}")]
    Unexpected(String),
}

impl Error {
    /// An error about the spec and the server not fitting.
    pub fn mismatch(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Mismatch { message: message.into(), hint: Some(hint.into()) }
    }

    /// More about it, where there is more.
    pub fn detail(&self) -> Option<String> {
        match self {
            // Of a wait that was ended the context tells what it was for.
            Self::Server(error) => {
                let error = error.as_db_error()?;
                let detail = error.detail().or(error.where_())?;
                Some(detail.lines().collect::<Vec<_>>().join("; "))
            }
            Self::OneOfSeveral { source, progress, .. } => {
                let all = source.detail().into_iter().chain(progress.clone());
                Some(all.collect::<Vec<_>>().join("; ")).filter(|all| !all.is_empty())
            }
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Spec { source, .. } => source.hint.clone(),
            Self::Mismatch { hint, .. } | Self::Connection { hint, .. } => hint.clone(),
            Self::Server(error) => error.as_db_error().and_then(|error| error.hint()).map(str::to_owned),
            Self::Stale => Some("look at the new plan and run it again".to_owned()),
            Self::Saved { .. } => Some("make the plan anew with `rolecall plan --out`".to_owned()),
            Self::OneOfSeveral { source, .. } => source.hint(),
            Self::Waited { .. } => Some("run it again, or with a longer --lock-timeout".to_owned()),
            Self::Busy => Some("run it again when that one is done".to_owned()),
            Self::NotATerminal => Some("give --yes to apply without being asked".to_owned()),
            _ => None,
        }
    }
}

fn describe(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{} (SQLSTATE {})", error.message(), error.code().code()),
        None if error.is_closed() => "the server closed the connection".to_owned(),
        None => error.to_string(),
    }
}
