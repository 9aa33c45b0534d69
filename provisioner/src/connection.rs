//! Where the server is: flags, a URL, libpq's environment, its defaults.

use crate::error::Error;
use crate::passfile;
use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    port: Option<u16>,
    /// Role to connect as
    #[arg(short = 'U', long, value_name = "NAME", global = true, help_heading = "Connection")]
    username: Option<String>,
}

impl ConnectionArgs {
    /// Connects; to `database` instead of the one that was said, if given.
    ///
    /// # Errors
    /// A setting that cannot be read or is not supported, and whatever keeps the server from answering.
    pub fn connect(&self, database: Option<&str>) -> Result<Client, Error> {
        let mut config = self.config()?;
        if let Some(database) = database {
            config.dbname(database);
        }
        config.connect(NoTls).map_err(|error| failure(&error, &config))
    }

    fn config(&self) -> Result<Config, Error> {
        let is_url = |text: &str| text.contains("://") || text.contains('=');
        let url = self.url.as_deref().or(self.dbname.as_deref().filter(|name| is_url(name)));
        let mut config = match url {
            Some(url) => parse_url(url)?,
            None => Config::new(),
        };
        for (variable, reason) in [("PGSERVICE", "service files"), ("PGSSLROOTCERT", "TLS certificates")] {
            if env(variable).is_some() {
                return Err(problem(
                    format!("{variable} is set, but this version does not read {reason}"),
                    format!("unset {variable} and give host, port, user and database"),
                ));
            }
        }
        if let Some(host) = &self.host {
            config = without_hosts(&config);
            config.host(host);
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            default_host(&mut config, self.port)?;
        }
        if let Some(port) = self.port {
            config.port(port);
        } else if config.get_ports().is_empty() {
            config.port(port_from_environment()?);
        }
        if let Some(user) = &self.username {
            config.user(user);
        } else if config.get_user().is_none() {
            config.user(&env("PGUSER").unwrap_or_else(system_user));
        }
        if let Some(name) = self.dbname.as_deref().filter(|name| !is_url(name)) {
            config.dbname(name);
        } else if config.get_dbname().is_none() {
            let user = config.get_user().unwrap_or_default().to_owned();
            config.dbname(&env("PGDATABASE").unwrap_or(user));
        }
        the_rest(&mut config)?;
        Ok(config)
    }
}

fn the_rest(config: &mut Config) -> Result<(), Error> {
    let sslmode = env("PGSSLMODE").unwrap_or_default();
    if matches!(sslmode.as_str(), "require" | "verify-ca" | "verify-full") || config.get_ssl_mode() == SslMode::Require
    {
        return Err(problem(
            "TLS was asked for, but this version of rolecall cannot do it".to_owned(),
            "connect over a Unix socket or a tunnel, or set sslmode=prefer where plain text is acceptable".to_owned(),
        ));
    }
    if config.get_password().is_none() {
        let password = match env("PGPASSWORD") {
            Some(password) => Some(password),
            None => passfile::password(config)?,
        };
        if let Some(password) = password {
            config.password(password);
        }
    }
    if let (None, Some(options)) = (config.get_options(), env("PGOPTIONS")) {
        config.options(&options);
    }
    if let (None, Some(seconds)) = (config.get_connect_timeout(), env("PGCONNECT_TIMEOUT")) {
        let seconds = seconds.parse().map_err(|_| {
            problem(format!("PGCONNECT_TIMEOUT is no number: \"{seconds}\""), "give whole seconds".to_owned())
        })?;
        config.connect_timeout(Duration::from_secs(seconds));
    }
    if config.get_application_name().is_none() {
        config.application_name(&env("PGAPPNAME").unwrap_or_else(|| "rolecall".to_owned()));
    }
    Ok(())
}

/// The text of a URL may hold a password, so it is not repeated in the error.
fn parse_url(url: &str) -> Result<Config, Error> {
    url.parse().map_err(|error: postgres::Error| {
        let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), |source| source.to_string());
        problem(
            format!("the URL cannot be read: {reason}"),
            "it looks like postgresql://user@host:port/database?sslmode=prefer".to_owned(),
        )
    })
}

/// A host on the command line replaces the one of a URL; the driver can only add.
fn without_hosts(config: &Config) -> Config {
    let mut fresh = Config::new();
    config.get_user().map(|user| fresh.user(user));
    config.get_password().map(|password| fresh.password(password));
    config.get_dbname().map(|name| fresh.dbname(name));
    config.get_options().map(|options| fresh.options(options));
    config.get_ports().iter().for_each(|port| {
        fresh.port(*port);
    });
    fresh.ssl_mode(config.get_ssl_mode());
    fresh
}

fn default_host(config: &mut Config, port: Option<u16>) -> Result<(), Error> {
    if let Some(address) = env("PGHOSTADDR") {
        let address = address.parse().map_err(|_| {
            problem(format!("PGHOSTADDR is no address: \"{address}\""), "give an IP address".to_owned())
        })?;
        config.hostaddr(address);
    }
    if let Some(host) = env("PGHOST") {
        config.host(&host);
    } else if config.get_hostaddrs().is_empty() {
        let port = match port.or(config.get_ports().first().copied()) {
            Some(port) => port,
            None => port_from_environment()?,
        };
        let socket = ["/var/run/postgresql", "/tmp"]
            .into_iter()
            .find(|directory| Path::new(directory).join(format!(".s.PGSQL.{port}")).exists());
        config.host(socket.unwrap_or("localhost"));
    }
    Ok(())
}

fn port_from_environment() -> Result<u16, Error> {
    match env("PGPORT") {
        None => Ok(5432),
        Some(port) => port
            .parse()
            .map_err(|_| problem(format!("PGPORT is no port: \"{port}\""), "give a number up to 65535".to_owned())),
    }
}

/// A variable's value; an empty one counts as not set, as in libpq.
pub fn env(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// The home directory.
pub fn home() -> Option<PathBuf> {
    env("HOME").map(PathBuf::from)
}

fn system_user() -> String {
    env("USER").or_else(|| env("LOGNAME")).unwrap_or_else(|| "postgres".to_owned())
}

fn problem(message: String, hint: String) -> Error {
    Error::Connection { message, hint: Some(hint) }
}

fn failure(error: &postgres::Error, config: &Config) -> Error {
    if let Some(refusal) = error.as_db_error() {
        let hint = refusal.hint().map(str::to_owned);
        return Error::Connection {
            message: format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code()),
            hint,
        };
    }
    let place = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "the server".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let mut message = format!("{place}, port {port}: {error}");
    if let Some(source) = std::error::Error::source(error) {
        message = format!("{message}: {source}");
    }
    let hint = "give --host, --port, --username and --dbname, or PGHOST and the like".to_owned();
    Error::Connection { message, hint: Some(hint) }
}
