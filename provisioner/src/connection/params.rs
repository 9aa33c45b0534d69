//! Connection parameters by libpq's keywords, gathered from flags, URL, service file and environment in that order.

use super::{ConnectionArgs, conninfo, env, problem, service};
use crate::error::Error;
use std::collections::BTreeMap;
use std::path::Path;

/// libpq's keywords, and the variables that set them.
const KEYWORDS: [(&str, Option<&str>); 51] = [
    ("application_name", Some("PGAPPNAME")),
    ("channel_binding", Some("PGCHANNELBINDING")),
    ("client_encoding", None),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    ("dbname", Some("PGDATABASE")),
    ("fallback_application_name", None),
    ("gssdelegation", None),
    ("gssencmode", Some("PGGSSENCMODE")),
    ("gsslib", None),
    ("host", Some("PGHOST")),
    ("hostaddr", Some("PGHOSTADDR")),
    ("keepalives", None),
    ("keepalives_count", None),
    ("keepalives_idle", None),
    ("keepalives_interval", None),
    ("krbsrvname", None),
    ("load_balance_hosts", Some("PGLOADBALANCEHOSTS")),
    ("max_protocol_version", None),
    ("min_protocol_version", None),
    ("oauth_client_id", None),
    ("oauth_client_secret", None),
    ("oauth_issuer", None),
    ("oauth_scope", None),
    ("options", Some("PGOPTIONS")),
    ("passfile", Some("PGPASSFILE")),
    ("password", Some("PGPASSWORD")),
    ("port", Some("PGPORT")),
    ("replication", None),
    ("require_auth", Some("PGREQUIREAUTH")),
    ("requirepeer", Some("PGREQUIREPEER")),
    ("requiressl", Some("PGREQUIRESSL")),
    ("service", Some("PGSERVICE")),
    ("servicefile", Some("PGSERVICEFILE")),
    ("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION")),
    ("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION")),
    ("sslcert", Some("PGSSLCERT")),
    ("sslcertmode", Some("PGSSLCERTMODE")),
    ("sslcompression", None),
    ("sslcrl", Some("PGSSLCRL")),
    ("sslcrldir", Some("PGSSLCRLDIR")),
    ("sslkey", Some("PGSSLKEY")),
    ("sslkeylogfile", None),
    ("sslmode", Some("PGSSLMODE")),
    ("sslnegotiation", Some("PGSSLNEGOTIATION")),
    ("sslpassword", None),
    ("sslrootcert", Some("PGSSLROOTCERT")),
    ("sslsni", Some("PGSSLSNI")),
    ("target_session_attrs", Some("PGTARGETSESSIONATTRS")),
    ("tcp_user_timeout", None),
    ("tty", None),
    ("user", Some("PGUSER")),
];

/// A parameter's value and where it was said, such as `PGPORT` or `port in the URL`.
struct Value {
    text: String,
    origin: String,
}

/// What was said about the connection.
pub struct Params(BTreeMap<&'static str, Value>);

impl Params {
    /// Puts together what all sources say; who comes first counts.
    ///
    /// # Errors
    /// A connection string or service file that cannot be read.
    pub fn gather(args: &ConnectionArgs) -> Result<Self, Error> {
        let mut params = Self(BTreeMap::new());
        let database = args.dbname.as_deref();
        let flags = [
            ("host", "--host", args.host.as_deref()),
            ("port", "--port", args.port.as_deref()),
            ("user", "--username", args.username.as_deref()),
            ("dbname", "--dbname", database.filter(|name| !conninfo::is_conninfo(name))),
        ];
        for (keyword, flag, value) in flags {
            if let Some(value) = value {
                params.add(keyword, value, flag);
            }
        }
        let conninfo = database.filter(|name| conninfo::is_conninfo(name));
        if conninfo.is_some() && args.url.is_some() {
            return Err(problem("--url and --dbname both hold a URL or key=value pairs", "give one of them"));
        }
        if let Some(text) = args.url.as_deref().or(conninfo) {
            params.add_conninfo(text)?;
        }
        params.add_service()?;
        for (keyword, variable) in KEYWORDS {
            if let Some(variable) = variable
                && let Some(value) = env(variable)
            {
                params.add(keyword, &value, variable);
            }
        }
        Ok(params)
    }

    /// The parameter's value; one that is empty counts as not said.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(|value| value.text.as_str()).filter(|text| !text.is_empty())
    }

    /// Where the value comes from.
    pub fn origin(&self, keyword: &str) -> &str {
        self.0.get(keyword).map_or("", |value| &value.origin)
    }

    /// The value, if it is one of `allowed`.
    ///
    /// # Errors
    /// It is another.
    pub fn one_of(&self, keyword: &str, allowed: &[&'static str]) -> Result<Option<&'static str>, Error> {
        let Some(value) = self.get(keyword) else { return Ok(None) };
        match allowed.iter().find(|known| **known == value) {
            Some(known) => Ok(Some(known)),
            None => Err(problem(
                format!("{} cannot be \"{value}\"", self.origin(keyword)),
                format!("it may be {}", allowed.join(", ")),
            )),
        }
    }

    /// The value as a whole number.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self, keyword: &str) -> Result<Option<i64>, Error> {
        let Some(value) = self.get(keyword) else { return Ok(None) };
        let wrong = |_| problem(format!("{} is no number: \"{value}\"", self.origin(keyword)), "give a whole number");
        value.trim().parse().map(Some).map_err(wrong)
    }

    fn add(&mut self, keyword: &'static str, text: &str, origin: impl Into<String>) {
        self.0.entry(keyword).or_insert_with(|| Value { text: text.to_owned(), origin: origin.into() });
    }

    fn add_conninfo(&mut self, text: &str) -> Result<(), Error> {
        let unreadable = |reason: String| {
            let hint = "it looks like postgresql://user@host:port/database?sslmode=verify-full, \
                        or host=… port=… user=… dbname=…";
            problem(format!("the URL cannot be read: {reason}"), hint)
        };
        let found = conninfo::parse(text).map_err(unreadable)?;
        // Within the text the last one counts.
        for (keyword, value) in found.iter().rev() {
            let keyword = known(keyword)
                .map_err(|hint| problem(format!("the URL has a parameter that does not exist: \"{keyword}\""), hint))?;
            self.add(keyword, value, format!("{keyword} in the URL"));
        }
        Ok(())
    }

    fn add_service(&mut self) -> Result<(), Error> {
        let named = self.get("service").map(str::to_owned).or_else(|| env("PGSERVICE"));
        let Some(name) = named else { return Ok(()) };
        let file = self.get("servicefile").map(str::to_owned).or_else(|| env("PGSERVICEFILE"));
        for entry in service::read(&name, file.as_deref().map(Path::new))? {
            self.add(entry.keyword, &entry.value, format!("{} in {}", entry.keyword, entry.place));
        }
        Ok(())
    }
}

/// The keyword that `word` is.
///
/// # Errors
/// What may have been meant.
pub fn known(word: &str) -> Result<&'static str, String> {
    if let Some((keyword, _)) = KEYWORDS.iter().find(|(keyword, _)| *keyword == word) {
        return Ok(keyword);
    }
    let near = KEYWORDS
        .iter()
        .map(|(keyword, _)| (strsim::damerau_levenshtein(&word.to_lowercase(), keyword), *keyword))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    Err(match near {
        Some((_, keyword)) => format!("did you mean \"{keyword}\"?"),
        None => "the names are those of libpq, such as host, port, user, dbname, sslmode and sslrootcert".to_owned(),
    })
}
