//! What kept a connection from being made, in words.

use super::attempt::Failure;
use super::password::Typed;
use super::settings::{Host, Settings, SslMode, Target};
use super::tls::Tls;
use crate::error::Error;
use crate::plan::printable;
use postgres::error::{DbError, SqlState};
use rustls::{AlertDescription, CertificateError};
use std::error::Error as _;

/// A message and what to do.
type Words = (String, Option<String>);

/// Puts what happened with every host into one error.
pub fn failures(failures: &[(&Target, Failure)], settings: &Settings, tls: Option<&Tls>, typed: &Typed) -> Error {
    let mut messages = Vec::new();
    let mut hint = None;
    for (target, failure) in failures {
        let place = Place { target, settings, tls, typed };
        let (message, advice) = match failure {
            Failure::Driver(error) => place.explain(error),
            Failure::TimedOut(timeout) => (
                format!("no connection after {} seconds", timeout.as_secs()),
                Some("see whether the host and port are right, or raise connect_timeout".to_owned()),
            ),
            Failure::Unfit(reason) => (
                (*reason).to_owned(),
                Some("target_session_attrs says what kind of server will do; name more hosts or change it".to_owned()),
            ),
        };
        messages.push(format!("{target}: {message}"));
        hint = advice.or(hint);
    }
    Error::Connection { message: printable(&messages.join("; ")), hint: hint.map(|hint| printable(&hint)) }
}

/// The innermost reason that the driver gives.
pub fn reason(error: &postgres::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Whether TLS is what failed.
pub fn is_of_tls(error: &postgres::Error) -> bool {
    rustls_error(error).is_some() || error.to_string() == "error performing TLS handshake"
}

/// Inside of the driver's error is one of input and output, and inside of that the one of TLS.
fn rustls_error(error: &postgres::Error) -> Option<&rustls::Error> {
    error.source()?.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref()
}

struct Place<'a> {
    target: &'a Target,
    settings: &'a Settings,
    tls: Option<&'a Tls>,
    typed: &'a Typed,
}

impl Place<'_> {
    fn explain(&self, error: &postgres::Error) -> Words {
        if let Some(refusal) = error.as_db_error() {
            return self.refusal(refusal);
        }
        if let Some(error) = rustls_error(error) {
            return self.tls(error);
        }
        let (message, hint) = match reason(error).as_str() {
            "password missing" => (
                "the server wants a password, and none is known".to_owned(),
                "set PGPASSWORD, write it into ~/.pgpass (PGPASSFILE), or leave out --no-password to be asked",
            ),
            "server does not support TLS" => (
                format!("the server does without TLS, but sslmode={} wants it", self.settings.sslmode.name()),
                "switch ssl on in the server, or set sslmode=prefer where plain text will do",
            ),
            "server did not use channel binding" => (
                "the server does not bind the password to the TLS connection, but channel_binding=require wants it"
                    .to_owned(),
                "it does with scram-sha-256 in pg_hba.conf, over TLS",
            ),
            "unsupported authentication method" => (
                "the server wants a kind of login that rolecall does not know, such as GSSAPI".to_owned(),
                "let pg_hba.conf ask for scram-sha-256, cert or peer",
            ),
            reason => {
                let message = if error.source().is_some() { format!("{error}: {reason}") } else { reason.to_owned() };
                (message, "see whether a server is there: --host and --port, or PGHOST and PGPORT, say where")
            }
        };
        (message, Some(hint.to_owned()))
    }

    fn refusal(&self, refusal: &DbError) -> Words {
        let message = format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code());
        let advice = || match refusal.code() {
            code if *code == SqlState::INVALID_PASSWORD => {
                let password = self.typed.or_known(self.settings, self.target).ok().flatten()?;
                Some(format!("the password came from {}", password.origin))
            }
            code if *code == SqlState::INVALID_CATALOG_NAME => {
                Some("give another database with --dbname or PGDATABASE".to_owned())
            }
            _ if refusal.message().contains("no encryption") && self.settings.sslmode < SslMode::Prefer => {
                Some("set sslmode=require or a stronger one".to_owned())
            }
            _ => None,
        };
        (message, refusal.hint().map(str::to_owned).or_else(advice))
    }

    fn tls(&self, error: &rustls::Error) -> Words {
        let (message, hint) = match error {
            rustls::Error::InvalidCertificate(error) => self.certificate(error),
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => (
                "the server wants a client certificate".to_owned(),
                "set sslcert and sslkey, or put postgresql.crt and postgresql.key into ~/.postgresql",
            ),
            rustls::Error::AlertReceived(alert) => (
                format!("the server broke TLS off ({alert:?})"),
                "its log says why; it may not trust the client certificate (sslcert), or want another version of TLS",
            ),
            error => (format!("TLS failed: {error}"), "the server's log may say more"),
        };
        (message, Some(hint.to_owned()))
    }

    fn certificate(&self, error: &CertificateError) -> (String, &'static str) {
        let trusted = self.tls.and_then(|tls| tls.trusted.as_deref()).unwrap_or("nobody");
        match error {
            CertificateError::UnknownIssuer => (
                format!("the server's certificate is not trusted: nobody in {trusted} has signed it"),
                "set sslrootcert to the certificate of the authority that signed it",
            ),
            CertificateError::NotValidForNameContext { presented, .. } => {
                let host = if let Host::Tcp(name, _) = &self.target.host { name } else { "it" };
                (
                    format!("the server's certificate is for {}, not for {host}", presented.join(", ")),
                    "connect by a name that the certificate holds; hostaddr can say where that is",
                )
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                ("the server's certificate has expired".to_owned(), "renew it")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                ("the server's certificate is not valid yet".to_owned(), "see whether this machine's clock is right")
            }
            CertificateError::Revoked => {
                ("the server's certificate is revoked".to_owned(), "give the server a new one")
            }
            CertificateError::UnknownRevocationStatus
            | CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. } => (
                "no present list in sslcrl says whether the server's certificate is revoked".to_owned(),
                "renew the file of sslcrl (~/.postgresql/root.crl); it needs a list of every authority in the chain",
            ),
            error => {
                let reason = match error {
                    CertificateError::Other(inner) => inner.0.to_string(),
                    error => error.to_string(),
                };
                (
                    format!("the server's certificate cannot be verified: {reason}"),
                    "make a new one of X.509 version 3, with the server's names as subjectAltName and CA:FALSE",
                )
            }
        }
    }
}
