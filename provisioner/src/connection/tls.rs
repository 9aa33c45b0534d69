//! TLS as the parameters ask for it: whom to trust, what to show.

use super::params::Params;
use super::settings::{Settings, SslMode};
use super::verify::{Trust, Verifier};
use super::{home, problem};
use crate::error::Error;
use postgres::config::SslNegotiation;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, SupportedProtocolVersion, version};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How to encrypt a connection.
#[derive(Clone)]
pub struct Tls {
    /// For the driver.
    pub connector: MakeRustlsConnect,
    /// Who is trusted, in words; nobody where servers are not verified.
    pub trusted: Option<String>,
}

/// Reads the certificates and keys that the parameters name or that lie in `~/.postgresql`.
///
/// # Errors
/// A file that is missing, cannot be read or holds something else, and a private key that others may read.
pub fn read(params: &Params, settings: &Settings) -> Result<Tls, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trust = trust(params, settings.sslmode, &provider)?;
    let trusted = trust.as_ref().map(|(_, words)| words.clone());
    let verifier = Verifier::new(&provider, trust.map(|(trust, _)| trust), settings.sslmode == SslMode::VerifyFull);
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(params)?)
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity(params, &provider)? {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
        None => builder.with_no_client_auth(),
    };
    config.enable_sni = params.one_of("sslsni", &["0", "1"])? != Some("0");
    if settings.config.get_ssl_negotiation() == SslNegotiation::Direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(Tls { connector: MakeRustlsConnect::new(config), trusted })
}

/// The versions between the lowest and the highest that may be; older ones than 1.2 are never used.
fn versions(params: &Params) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
    const NAMES: [&str; 4] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
    let bound = |keyword, default: &'static str| Ok::<_, Error>(params.one_of(keyword, &NAMES)?.unwrap_or(default));
    let (lowest, highest) =
        (bound("ssl_min_protocol_version", "TLSv1.2")?, bound("ssl_max_protocol_version", "TLSv1.3")?);
    // The names sort as the versions do.
    let usable = [("TLSv1.2", &version::TLS12), ("TLSv1.3", &version::TLS13)];
    let usable = usable.into_iter().filter(|(name, _)| (lowest..=highest).contains(name));
    let versions: Vec<_> = usable.map(|(_, version)| version).collect();
    if versions.is_empty() {
        let message = format!("no version of TLS from {lowest} to {highest} can be used");
        return Err(problem(message, "rolecall knows TLSv1.2 and TLSv1.3"));
    }
    Ok(versions)
}

/// Whom to trust, and that in words; nobody where the mode does not verify and no authority is given, as in libpq.
fn trust(params: &Params, sslmode: SslMode, provider: &Arc<CryptoProvider>) -> Result<Option<(Trust, String)>, Error> {
    let (anchors, words) = if params.get("sslrootcert") == Some("system") {
        (rustls_native_certs::load_native_certs().certs, "the system's trusted authorities".to_owned())
    } else {
        match file(params, "sslrootcert", "root.crt") {
            Some(path) if path.exists() => (certificates(&path)?, path.display().to_string()),
            _ if sslmode < SslMode::VerifyCa => return Ok(None),
            path => {
                let place = path.map_or_else(|| "~/.postgresql/root.crt".to_owned(), |path| path.display().to_string());
                return Err(problem(
                    format!("sslmode={} needs the authority's certificate, and {place} does not exist", sslmode.name()),
                    "set sslrootcert to its file, or to \"system\" for the system's trusted authorities",
                ));
            }
        }
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(anchors.iter().cloned());
    if roots.is_empty() {
        return Err(problem(format!("no certificate could be read from {words}"), "it holds them in PEM form"));
    }
    let mut chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    if let Some(path) = existing(params, "sslcrl", "root.crl")? {
        let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&contents(&path)?)
            .collect::<Result<_, _>>()
            .map_err(|error| unreadable(&path, &error.to_string()))?;
        chain = chain.with_crls(lists).enforce_revocation_expiration();
    }
    let chain = chain.build().map_err(|error| unreadable(Path::new(&words), &error.to_string()))?;
    Ok(Some((Trust { anchors, chain }, words)))
}

/// The certificate and key to log in with.
fn identity(params: &Params, provider: &CryptoProvider) -> Result<Option<CertifiedKey>, Error> {
    if params.one_of("sslcertmode", &["disable", "allow", "require"])? == Some("disable") {
        return Ok(None);
    }
    let Some(certificate) = existing(params, "sslcert", "postgresql.crt")? else { return Ok(None) };
    let Some(key) = file(params, "sslkey", "postgresql.key").filter(|key| key.exists()) else {
        let message = format!("there is the certificate {}, but not its private key", certificate.display());
        return Err(problem(message, "set sslkey to the key's file"));
    };
    check_mode(&key)?;
    let text = contents(&key)?;
    let parsed = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        if String::from_utf8_lossy(&text).contains("ENCRYPTED") {
            let message = format!("the private key {} is encrypted, which rolecall cannot read", key.display());
            return problem(message, "write it without a passphrase (openssl pkey -in … -out …) and chmod 600");
        }
        unreadable(&key, "there is no private key in it")
    })?;
    let parsed =
        provider.key_provider.load_private_key(parsed).map_err(|error| unreadable(&key, &error.to_string()))?;
    let identity = CertifiedKey::new(certificates(&certificate)?, parsed);
    if identity.keys_match() == Err(InconsistentKeys::KeyMismatch.into()) {
        let message = format!("the key {} does not belong to {}", key.display(), certificate.display());
        return Err(problem(message, "correct sslcert or sslkey"));
    }
    Ok(Some(identity))
}

/// libpq's rule: nobody else's, or root's and readable by a group.
fn check_mode(key: &Path) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(key).map_err(|source| Error::File { path: key.to_owned(), source })?;
    let forbidden = if found.uid() == 0 { 0o037 } else { 0o077 };
    if found.mode() & forbidden != 0 {
        let message = format!("others may use the private key {}", key.display());
        return Err(problem(message, format!("chmod 600 {}", key.display())));
    }
    Ok(())
}

/// The file that a parameter names, or the one of that name in `~/.postgresql`.
fn file(params: &Params, keyword: &str, default: &str) -> Option<PathBuf> {
    match params.get(keyword) {
        Some(path) => Some(PathBuf::from(path)),
        None => Some(home()?.join(".postgresql").join(default)),
    }
}

/// The same, if it exists; one that was named must.
fn existing(params: &Params, keyword: &str, default: &str) -> Result<Option<PathBuf>, Error> {
    let path = file(params, keyword, default);
    match path {
        Some(path) if path.exists() => Ok(Some(path)),
        Some(path) if params.get(keyword).is_some() => {
            let message = format!("{} names {}, which does not exist", params.origin(keyword), path.display());
            Err(problem(message, "correct the path"))
        }
        _ => Ok(None),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(&contents(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(path, &error.to_string()))?;
    if found.is_empty() { Err(unreadable(path, "there is no certificate in it")) } else { Ok(found) }
}

fn contents(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn unreadable(path: &Path, reason: &str) -> Error {
    problem(format!("{} cannot be used: {reason}", path.display()), "it must be a file in PEM form")
}

fn unusable(error: rustls::Error) -> Error {
    problem(format!("TLS cannot be set up: {error}"), "correct the parameters whose names begin with ssl")
}
