//! The parameters, checked and typed.

use super::params::Params;
use super::{home, problem};
use crate::error::Error;
use postgres::Config;
use postgres::config::{ChannelBinding, LoadBalanceHosts, SslNegotiation};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How much TLS, as libpq's sslmode says it; each asks for more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// None.
    Disable,
    /// Where the server refuses plain text.
    Allow,
    /// Where the server offers it.
    Prefer,
    /// Always.
    Require,
    /// Always, and a trusted authority vouches for the server.
    VerifyCa,
    /// Always, and it vouches for the server's name too.
    VerifyFull,
}

impl SslMode {
    const NAMES: [&'static str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
    const ALL: [Self; 6] = [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];

    /// The name that libpq gives it.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    fn of(params: &Params) -> Result<Self, Error> {
        let said = params.one_of("sslmode", &Self::NAMES)?;
        let mode = said.and_then(|name| Self::ALL.into_iter().find(|mode| mode.name() == name));
        if params.get("sslrootcert") == Some("system") {
            return match mode {
                None | Some(Self::VerifyFull) => Ok(Self::VerifyFull),
                Some(weak) => Err(problem(
                    format!(
                        "sslmode={} is too weak for sslrootcert=system: anybody can get a public certificate",
                        weak.name()
                    ),
                    "set sslmode=verify-full",
                )),
            };
        }
        Ok(mode.unwrap_or(Self::Prefer))
    }
}

/// What kind of server will do, as libpq's target_session_attrs says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any.
    Any,
    /// One whose sessions may write.
    ReadWrite,
    /// One whose sessions may not.
    ReadOnly,
    /// No standby.
    Primary,
    /// A standby.
    Standby,
}

/// Where a server may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Behind the socket in this directory.
    Socket(PathBuf),
    /// At this name, at this address if one is known.
    Tcp(String, Option<IpAddr>),
}

/// A host and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Socket(directory) => write!(out, "{}, port {}", directory.display(), self.port),
            Host::Tcp(name, Some(address)) if *name != address.to_string() => {
                write!(out, "{name} ({address}), port {}", self.port)
            }
            Host::Tcp(name, _) => write!(out, "{name}, port {}", self.port),
        }
    }
}

/// All that a connection needs to know.
pub struct Settings {
    /// The hosts, in the order in which to try them.
    pub targets: Vec<Target>,
    /// What is the same for all of them; no password yet.
    pub config: Config,
    /// How much TLS.
    pub sslmode: SslMode,
    /// What kinds of server will do, best first.
    pub wanted: &'static [Wanted],
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// A password that was said, and where.
    pub password: Option<(String, String)>,
    /// The password file.
    pub passfile: Option<PathBuf>,
}

impl Settings {
    /// Checks what was said and adds the defaults.
    ///
    /// # Errors
    /// A value that cannot be, or one that asks for a protection that this program does not have.
    pub fn new(params: &Params) -> Result<Self, Error> {
        let sslmode = SslMode::of(params)?;
        let mut targets = targets(params, sslmode)?;
        refuse_unkept_protection(params, &targets)?;
        let mut config = Config::new();
        let user = match params.get("user") {
            Some(user) => user.to_owned(),
            None => whoami::username().map_err(|error| {
                problem(format!("this account's name cannot be found: {error}"), "give --username or PGUSER")
            })?,
        };
        config.dbname(params.get("dbname").unwrap_or(&user)).user(&user);
        let name = params.get("application_name").or(params.get("fallback_application_name"));
        config.application_name(name.unwrap_or("rolecall"));
        if let Some(options) = params.get("options") {
            config.options(options);
        }
        if params.one_of("load_balance_hosts", &["disable", "random"])? == Some("random") {
            config.load_balance_hosts(LoadBalanceHosts::Random);
            rand::seq::SliceRandom::shuffle(targets.as_mut_slice(), &mut rand::rng());
        }
        security(&mut config, params, sslmode)?;
        keep_alive(&mut config, params)?;
        let seconds =
            |seconds: i64| u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs);
        Ok(Self {
            targets,
            config,
            sslmode,
            wanted: wanted(params)?,
            timeout: params.number("connect_timeout")?.and_then(seconds),
            password: params.get("password").map(|text| (text.to_owned(), params.origin("password").to_owned())),
            passfile: params.get("passfile").map(PathBuf::from).or_else(|| Some(home()?.join(".pgpass"))),
        })
    }

    /// Whether an attempt may be encrypted.
    pub fn may_use_tls(&self) -> bool {
        self.sslmode != SslMode::Disable && self.targets.iter().any(|target| matches!(target.host, Host::Tcp(..)))
    }
}

/// Pairs hosts, addresses and ports.
fn targets(params: &Params, sslmode: SslMode) -> Result<Vec<Target>, Error> {
    let list = |keyword| params.get(keyword).map_or_else(Vec::new, |text| text.split(',').map(str::trim).collect());
    let (hosts, addresses, ports): (Vec<&str>, Vec<&str>, Vec<&str>) = (list("host"), list("hostaddr"), list("port"));
    let count = hosts.len().max(addresses.len()).max(1);
    let counts = |what: &str, other: usize| {
        let message = format!("there are {count} hosts and {other} {what}");
        Err(problem(message, "give one for each host, separated by commas"))
    };
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return counts("hostaddr values", addresses.len());
    }
    if ports.len() > 1 && ports.len() != count {
        return counts("ports", ports.len());
    }
    let port = |text: &str| match text {
        "" => Ok(5432),
        text => text.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            problem(format!("{} is no port: \"{text}\"", params.origin("port")), "give a number from 1 to 65535")
        }),
    };
    let mut targets = Vec::new();
    for number in 0..count {
        let port = port(ports.get(number).or(ports.first()).copied().unwrap_or_default())?;
        let address: Option<IpAddr> = match addresses.get(number).copied().unwrap_or_default() {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                problem(format!("{} is no IP address: \"{text}\"", params.origin("hostaddr")), "or say host instead")
            })?),
        };
        let host = match (hosts.get(number).copied().unwrap_or_default(), address) {
            ("", None) => default_host(port),
            ("", Some(_)) if sslmode == SslMode::VerifyFull => {
                let hint = "give the host that its certificate names, besides hostaddr";
                return Err(problem("sslmode=verify-full needs the server's name", hint));
            }
            ("", Some(address)) => Host::Tcp(address.to_string(), Some(address)),
            (directory, _) if directory.starts_with('/') => Host::Socket(directory.into()),
            (name, address) => Host::Tcp(name.to_owned(), address),
        };
        targets.push(Target { host, port });
    }
    Ok(targets)
}

/// The directories where servers put their sockets if nobody says otherwise.
pub const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

fn default_host(port: u16) -> Host {
    let socket = |directory: &&str| Path::new(directory).join(format!(".s.PGSQL.{port}")).exists();
    match SOCKET_DIRECTORIES.into_iter().find(socket) {
        Some(directory) => Host::Socket(directory.into()),
        None => Host::Tcp("localhost".to_owned(), None),
    }
}

/// What asks for a protection that would silently be missing is an error.
fn refuse_unkept_protection(params: &Params, targets: &[Target]) -> Result<(), Error> {
    let socket = targets.iter().any(|target| matches!(target.host, Host::Socket(_)));
    let refused = [
        ("gssencmode", params.get("gssencmode") == Some("require"), "use TLS instead: sslmode=verify-full"),
        ("require_auth", params.get("require_auth").is_some(), "channel_binding=require asks for SCRAM over TLS"),
        ("requirepeer", socket && params.get("requirepeer").is_some(), "leave it out where you trust the directory"),
        ("requiressl", params.get("requiressl").is_some_and(|value| value != "0"), "set sslmode=require"),
        ("sslcertmode", params.get("sslcertmode") == Some("require"), "let the server's pg_hba.conf ask for it"),
        ("sslcrldir", params.get("sslcrldir").is_some(), "put the lists into one file and set sslcrl"),
    ];
    match refused.iter().find(|(_, asked, _)| *asked) {
        None => Ok(()),
        Some((keyword, _, hint)) => {
            Err(problem(format!("rolecall cannot keep what {} asks for", params.origin(keyword)), *hint))
        }
    }
}

fn security(config: &mut Config, params: &Params, sslmode: SslMode) -> Result<(), Error> {
    match params.one_of("channel_binding", &["disable", "prefer", "require"])? {
        Some("disable") => config.channel_binding(ChannelBinding::Disable),
        Some("require") => config.channel_binding(ChannelBinding::Require),
        _ => config,
    };
    if params.one_of("sslnegotiation", &["postgres", "direct"])? == Some("direct") {
        if sslmode < SslMode::Require {
            let message = format!("sslnegotiation=direct does not go with sslmode={}", sslmode.name());
            return Err(problem(message, "set sslmode=require or a stronger one"));
        }
        config.ssl_negotiation(SslNegotiation::Direct);
    }
    Ok(())
}

fn keep_alive(config: &mut Config, params: &Params) -> Result<(), Error> {
    let positive = |keyword| Ok::<_, Error>(params.number(keyword)?.filter(|number| *number > 0));
    let seconds = |number: i64| Duration::from_secs(number.unsigned_abs());
    if params.number("keepalives")? == Some(0) {
        config.keepalives(false);
    }
    if let Some(number) = positive("keepalives_idle")? {
        config.keepalives_idle(seconds(number));
    }
    if let Some(number) = positive("keepalives_interval")? {
        config.keepalives_interval(seconds(number));
    }
    if let Some(number) = positive("keepalives_count")? {
        config.keepalives_retries(u32::try_from(number).unwrap_or(u32::MAX));
    }
    if let Some(number) = positive("tcp_user_timeout")? {
        config.tcp_user_timeout(Duration::from_millis(number.unsigned_abs()));
    }
    Ok(())
}

fn wanted(params: &Params) -> Result<&'static [Wanted], Error> {
    let allowed = ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"];
    Ok(match params.one_of("target_session_attrs", &allowed)? {
        Some("read-write") => &[Wanted::ReadWrite],
        Some("read-only") => &[Wanted::ReadOnly],
        Some("primary") => &[Wanted::Primary],
        Some("standby") => &[Wanted::Standby],
        Some("prefer-standby") => &[Wanted::Standby, Wanted::Any],
        _ => &[Wanted::Any],
    })
}
