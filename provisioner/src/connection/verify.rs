//! Whether a server's certificate will do, by libpq's rules where they are wider than those of the web.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use std::net::IpAddr;
use std::sync::Arc;
use x509_cert::Certificate;
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Whom to trust.
#[derive(Debug)]
pub struct Trust {
    /// The certificates themselves.
    pub anchors: Vec<CertificateDer<'static>>,
    /// Judges what they signed.
    pub chain: Arc<WebPkiServerVerifier>,
}

/// Judges servers.
#[derive(Debug)]
pub struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    trust: Option<Trust>,
    host_name: bool,
}

impl Verifier {
    /// A verifier that believes whoever `trust` vouches for, or anybody without it; with `host_name` only about their
    /// own names.
    pub fn new(provider: &CryptoProvider, trust: Option<Trust>, host_name: bool) -> Self {
        Self { algorithms: provider.signature_verification_algorithms, trust, host_name }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trust) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        if trust.anchors.contains(end_entity) {
            // A self-signed certificate that the person trusts by itself, as PostgreSQL's manual makes one first. It is
            // a CA's by its form, which the web's rules do not let a server show.
            in_time(&parse(end_entity)?, now)?;
        } else {
            let verified = trust.chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
            match verified {
                // The name is what is looked at last.
                Ok(_) | Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        if self.host_name {
            verify_name(end_entity, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    /// Takes the bare key, because the web's rules know only version 3 of certificates, and OpenSSL makes version 1
    /// where nobody asks for extensions.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = parse(cert)?.tbs_certificate.subject_public_key_info.to_der().map_err(|_| bad())?;
        verify_tls13_signature_with_raw_key(message, &SubjectPublicKeyInfoDer::from(key), dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn parse(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(certificate).map_err(|_| bad())
}

fn bad() -> Error {
    CertificateError::BadEncoding.into()
}

fn in_time(certificate: &Certificate, now: UnixTime) -> Result<(), Error> {
    let validity = certificate.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// Whether the certificate is for that host: by its alternative names, or in want of them by its common name.
fn verify_name(end_entity: &CertificateDer<'_>, host: &ServerName<'_>) -> Result<(), Error> {
    let certificate = parse(end_entity)?;
    let alternatives = certificate.tbs_certificate.get::<SubjectAltName>().map_err(|_| bad())?;
    let (fits, presented) = match alternatives {
        Some((_, SubjectAltName(names))) => {
            let fits = verify_server_name(&ParsedCertificate::try_from(end_entity)?, host).is_ok();
            (fits, names.iter().filter_map(shown).collect())
        }
        None => {
            let names = common_names(&certificate);
            (names.iter().any(|name| is_for(name, &host.to_str())), names)
        }
    };
    let expected = host.to_owned();
    if fits { Ok(()) } else { Err(CertificateError::NotValidForNameContext { expected, presented }.into()) }
}

fn shown(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(octets) => {
            let octets = octets.as_bytes();
            let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

fn common_names(certificate: &Certificate) -> Vec<String> {
    let parts = certificate.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter());
    let names = parts.filter(|attribute| attribute.oid == CN);
    names.filter_map(|name| String::from_utf8(name.value.value().to_vec()).ok()).collect()
}

/// Whether `name` is the host's, where `*.` at its start stands for one label.
fn is_for(name: &str, host: &str) -> bool {
    let wildcard = || Some((name.strip_prefix("*.")?, host.split_once('.')?.1));
    name.eq_ignore_ascii_case(host) || wildcard().is_some_and(|(name, host)| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(is_for("DB.example.com", "db.example.com"));
        assert!(is_for("*.example.com", "db.Example.com"));
        assert!(!is_for("*.example.com", "a.db.example.com"));
        assert!(!is_for("*.example.com", "example.com"));
        assert!(!is_for("*", "db"));
        assert!(!is_for("d*.example.com", "db.example.com"));
    }
}
