//! Connecting as libpq does: flags, a URL, a service, the environment, in that order, over TLS or a socket.

mod attempt;
mod conninfo;
mod explain;
mod params;
mod passfile;
mod password;
mod service;
mod settings;
mod tls;
mod verify;

use crate::error::Error;
use params::Params;
use password::{Ask, Typed};
use postgres::Client;
use settings::Settings;
use std::path::PathBuf;

/// What was said on the command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ConnectionArgs {
    /// Where to connect: a URL (postgresql://user@host:port/database) or key=value pairs
    #[arg(long, value_name = "URL", global = true, help_heading = "Connection")]
    url: Option<String>,
    /// Database, or a URL
    #[arg(short, long, value_name = "NAME", global = true, help_heading = "Connection")]
    dbname: Option<String>,
    /// Host, or the directory of a socket
    #[arg(long, value_name = "HOST", global = true, help_heading = "Connection")]
    host: Option<String>,
    /// Port
    #[arg(short, long, value_name = "PORT", global = true, help_heading = "Connection")]
    port: Option<String>,
    /// Role to connect as
    #[arg(short = 'U', long, value_name = "NAME", global = true, help_heading = "Connection")]
    username: Option<String>,
    /// Never ask for a password
    #[arg(short = 'w', long, global = true, conflicts_with = "password", help_heading = "Connection")]
    no_password: bool,
    /// Ask for a password before connecting
    #[arg(short = 'W', long, global = true, help_heading = "Connection")]
    password: bool,
    #[arg(skip)]
    typed: Typed,
}

impl ConnectionArgs {
    /// Connects; to `database` instead of the one that was said, if given. Asks a person at the terminal for a password
    /// that the server wants and nobody has said, once for all databases.
    ///
    /// # Errors
    /// A setting that cannot be read or kept, and whatever keeps the server from answering.
    pub fn connect(&self, database: Option<&str>) -> Result<Client, Error> {
        let params = Params::gather(self)?;
        let mut settings = Settings::new(&params)?;
        if let Some(database) = database {
            settings.config.dbname(database);
        }
        let tls = if settings.may_use_tls() { Some(tls::read(&params, &settings)?) } else { None };
        let ask = match (self.password, self.no_password) {
            (true, _) => Ask::Always,
            (_, true) => Ask::Never,
            _ => Ask::Needed,
        };
        attempt::connect(&settings, tls.as_ref(), &self.typed, ask)
    }
}

/// A variable's value; an empty one counts as not set, as in libpq.
pub fn env(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// The home directory.
fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|path| !path.as_os_str().is_empty())
}

fn problem(message: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Connection { message: message.into(), hint: Some(hint.into()) }
}
