//! Trying the hosts, with and without TLS, with and without a password, as libpq does.

use super::explain;
use super::password::{Ask, Typed};
use super::settings::{Host, Settings, SslMode as Asked, Target, Wanted};
use super::tls::Tls;
use crate::error::Error;
use postgres::config::SslMode;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};
use std::sync::mpsc;
use std::time::Duration;

/// Why an attempt failed.
pub enum Failure {
    /// The driver says so.
    Driver(postgres::Error),
    /// It took too long.
    TimedOut(Duration),
    /// The server is there, but not of the wanted kind.
    Unfit(&'static str),
}

impl Failure {
    fn code(&self) -> Option<&SqlState> {
        if let Self::Driver(error) = self { error.code() } else { None }
    }

    /// Whether the server wanted a password and got none.
    fn needs_password(&self) -> bool {
        matches!(self, Self::Driver(error) if explain::reason(error) == "password missing")
    }

    fn is_of_tls(&self) -> bool {
        matches!(self, Self::Driver(error) if explain::is_of_tls(error))
    }

    /// Whether another host may do better: not if this one has answered, unless it is only starting or stopping.
    fn is_final(&self) -> bool {
        self.needs_password() || self.code().is_some_and(|code| *code != SqlState::CANNOT_CONNECT_NOW)
    }
}

/// Connects to the first host that will do.
///
/// # Errors
/// Why none did.
pub fn connect(settings: &Settings, tls: Option<&Tls>, typed: &Typed, ask: Ask) -> Result<Client, Error> {
    if ask == Ask::Always {
        typed.ask(settings.config.get_user().unwrap_or_default())?;
    }
    let mut failures = Vec::new();
    'wanted: for wanted in settings.wanted {
        failures.clear();
        for target in &settings.targets {
            let attempt = Attempt { settings, tls, target };
            let failure = match attempt.with_password(typed, ask)? {
                Ok(mut client) => match unfit(&mut client, *wanted)? {
                    None => return Ok(client),
                    Some(reason) => Failure::Unfit(reason),
                },
                Err(failure) => failure,
            };
            let last = failure.is_final();
            failures.push((target, failure));
            if last {
                break 'wanted;
            }
        }
    }
    Err(explain::failures(&failures, settings, tls, typed))
}

/// One host.
struct Attempt<'a> {
    settings: &'a Settings,
    tls: Option<&'a Tls>,
    target: &'a Target,
}

impl Attempt<'_> {
    /// Connects with the password that is known, or with one that a person is asked for when the server wants it.
    fn with_password(&self, typed: &Typed, ask: Ask) -> Result<Result<Client, Failure>, Error> {
        // That others may read the password file matters only if it is needed.
        let known = typed.or_known(self.settings, self.target);
        let text = known.as_ref().ok().and_then(Option::as_ref).map(|password| password.text.as_str());
        let first = self.with_or_without_tls(text);
        if !first.as_ref().is_err_and(Failure::needs_password) {
            return Ok(first);
        }
        known?;
        if ask == Ask::Never {
            return Ok(first);
        }
        typed.ask(self.settings.config.get_user().unwrap_or_default())?;
        let password = typed.or_known(self.settings, self.target)?;
        Ok(self.with_or_without_tls(password.as_ref().map(|password| password.text.as_str())))
    }

    fn with_or_without_tls(&self, password: Option<&str>) -> Result<Client, Failure> {
        let config = self.config(password);
        // Sockets do without TLS, and libpq ignores sslmode there.
        let socket = matches!(self.target.host, Host::Socket(_));
        let asked = if socket { Asked::Disable } else { self.settings.sslmode };
        let (first, second) = match asked {
            Asked::Disable => (SslMode::Disable, None),
            Asked::Allow => (SslMode::Disable, Some(SslMode::Require)),
            Asked::Prefer => (SslMode::Prefer, Some(SslMode::Disable)),
            Asked::Require | Asked::VerifyCa | Asked::VerifyFull => (SslMode::Require, None),
        };
        let failure = match self.once(&config, first) {
            Ok(client) => return Ok(client),
            Err(failure) => failure,
        };
        let refused = failure.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
        let Some(second) = second.filter(|_| refused || failure.is_of_tls()) else { return Err(failure) };
        self.once(&config, second).map_err(|other| {
            let nearer = other.needs_password() || other.code() == Some(&SqlState::INVALID_PASSWORD);
            if nearer { other } else { failure }
        })
    }

    fn config(&self, password: Option<&str>) -> Config {
        let mut config = self.settings.config.clone();
        match &self.target.host {
            Host::Socket(directory) => {
                config.host_path(directory);
            }
            Host::Tcp(name, address) => {
                config.host(name);
                address.map(|address| config.hostaddr(address));
            }
        }
        config.port(self.target.port);
        if let Some(password) = password {
            config.password(password);
        }
        config
    }

    fn once(&self, config: &Config, sslmode: SslMode) -> Result<Client, Failure> {
        let mut config = config.clone();
        config.ssl_mode(sslmode);
        let tls = self.tls.cloned();
        let connect = move || match tls {
            Some(tls) => config.connect(tls.connector),
            None => config.connect(NoTls),
        };
        let Some(timeout) = self.settings.timeout else { return connect().map_err(Failure::Driver) };
        // The driver's own timeout ends when the server takes the connection, whether it ever says anything or not.
        // An attempt that is given up ends with the program.
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            // Who gave up waiting does not want to know.
            let _ = sender.send(connect());
        });
        match receiver.recv_timeout(timeout) {
            Ok(outcome) => outcome.map_err(Failure::Driver),
            Err(_) => Err(Failure::TimedOut(timeout)),
        }
    }
}

/// Why the server is not of the wanted kind, if it is not.
fn unfit(client: &mut Client, wanted: Wanted) -> Result<Option<&'static str>, Error> {
    if wanted == Wanted::Any {
        return Ok(None);
    }
    let sql = "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only') = 'on'";
    let row = client.query_one(sql, &[])?;
    let (standby, read_only): (bool, bool) = (row.get(0), row.get(1));
    Ok(match wanted {
        Wanted::Primary | Wanted::ReadWrite if standby => Some("it is a standby"),
        Wanted::ReadWrite if read_only => Some("its sessions may not write"),
        Wanted::ReadOnly if !read_only => Some("its sessions may write"),
        Wanted::Standby if !standby => Some("it is no standby"),
        _ => None,
    })
}
