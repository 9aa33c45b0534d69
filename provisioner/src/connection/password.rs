//! The password of a connection: said, in the password file, or typed by a person.

use super::passfile;
use super::problem;
use super::settings::{Host, SOCKET_DIRECTORIES, Settings, Target};
use crate::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

/// When to ask a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// At once.
    Always,
    /// If the server wants a password and none is known.
    Needed,
    /// Not at all.
    Never,
}

/// What a person typed, kept for the other databases of a run.
#[derive(Clone, Default)]
pub struct Typed(OnceLock<String>);

impl fmt::Debug for Typed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Typed")
    }
}

/// A password and where it comes from, in words.
pub struct Password {
    /// The password.
    pub text: String,
    /// Its origin.
    pub origin: String,
}

impl Typed {
    /// Asks for the password of `user`, once.
    ///
    /// # Errors
    /// There is no terminal to ask on, or nothing is typed there.
    pub fn ask(&self, user: &str) -> Result<(), Error> {
        if self.0.get().is_some() {
            return Ok(());
        }
        let typed = rpassword::prompt_password(format!("Password for user {user}: ")).map_err(|_| {
            let message = format!("the password of \"{user}\" is needed, and nobody can be asked");
            problem(message, "set PGPASSWORD, or write it into ~/.pgpass (PGPASSFILE)")
        })?;
        // Who has typed first in a race of threads counts.
        let _ = self.0.set(typed);
        Ok(())
    }

    /// The password for `target`: what was typed, what was said, what the password file has.
    ///
    /// # Errors
    /// A password file that others may read.
    pub fn or_known(&self, settings: &Settings, target: &Target) -> Result<Option<Password>, Error> {
        if let Some(text) = self.0.get() {
            return Ok(Some(Password { text: text.clone(), origin: "your answer".to_owned() }));
        }
        if let Some((text, origin)) = &settings.password {
            return Ok(Some(Password { text: text.clone(), origin: origin.clone() }));
        }
        let Some(path) = &settings.passfile else { return Ok(None) };
        let host = match &target.host {
            Host::Tcp(name, _) => name.clone(),
            Host::Socket(path) if SOCKET_DIRECTORIES.map(Path::new).contains(&path.as_path()) => "localhost".to_owned(),
            Host::Socket(path) => path.display().to_string(),
        };
        let (config, port) = (&settings.config, target.port.to_string());
        let wanted = [&host, &port, config.get_dbname().unwrap_or_default(), config.get_user().unwrap_or_default()];
        let found = passfile::password(path, wanted)?;
        Ok(found.map(|text| Password { text, origin: path.display().to_string() }))
    }
}
