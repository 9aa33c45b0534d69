//! TLS as who knows libpq expects it: every sslmode, certificates on both sides, what is told when they do not fit.

use crate::provisioner_server::{Authority, Listening, named, server};
use rcgen::{BasicConstraints, IsCa, KeyPair, SerialNumber, date_time_ymd};

#[track_caller]
fn refused(server: &Listening, conninfo: &str, variables: &[(&str, &str)], message: &str) {
    match server.connect(conninfo, variables) {
        Ok(way) => panic!("{conninfo} connects, {way}"),
        Err(outcome) => assert!(outcome.err.contains(message), "{conninfo}, {message}: {outcome:?}"),
    }
}

#[track_caller]
fn connects(server: &Listening, conninfo: &str, variables: &[(&str, &str)], way: &str) {
    match server.connect(conninfo, variables) {
        Ok(found) => assert_eq!(found, way, "{conninfo}"),
        Err(outcome) => panic!("{conninfo}: {outcome:?}"),
    }
}

#[test]
fn every_sslmode_means_what_it_means_in_libpq() {
    let db = Listening::shared();
    let (root, other) = (db.path("root.crt"), db.path("other.crt"));
    let ours = |more: &str| db.conninfo(&format!("sslrootcert={root} {more}"));
    connects(db, &db.conninfo("sslmode=disable"), &[], "plain");
    connects(db, &db.conninfo("sslmode=allow"), &[], "plain");
    connects(db, &db.conninfo(""), &[], "TLSv1.3");
    connects(db, &db.conninfo("sslmode=prefer"), &[], "TLSv1.3");
    connects(db, &db.conninfo("sslmode=require"), &[], "TLSv1.3");
    connects(db, &ours("sslmode=require"), &[], "TLSv1.3");
    connects(db, &ours("sslmode=verify-ca"), &[], "TLSv1.3");
    connects(db, &ours("sslmode=verify-full"), &[], "TLSv1.3");
    connects(db, &db.conninfo(""), &[("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", &root)], "TLSv1.3");

    // A name that is not the server's.
    let elsewhere = ours("host=elsewhere.test sslmode=");
    connects(db, &(elsewhere.clone() + "verify-ca"), &[], "TLSv1.3");
    refused(db, &(elsewhere + "verify-full"), &[], "is for db.test, 127.0.0.1, not for elsewhere.test");
    // An address is a name too.
    connects(db, &ours("host=127.0.0.1 hostaddr='' sslmode=verify-full"), &[], "TLSv1.3");
    refused(db, &ours("host='' sslmode=verify-full"), &[], "needs the server's name");

    // An authority that has not signed. Where one is given, `require` verifies too; `prefer` takes what it gets.
    let theirs = |mode: &str| db.conninfo(&format!("sslrootcert={other} sslmode={mode}"));
    refused(db, &theirs("verify-ca"), &[], "not trusted: nobody in");
    refused(db, &theirs("verify-full"), &[], &other);
    refused(db, &theirs("require"), &[], "set sslrootcert");
    connects(db, &theirs("prefer"), &[], "plain");

    // No authority at all.
    connects(db, &db.conninfo("sslmode=require sslrootcert=/nowhere"), &[], "TLSv1.3");
    refused(db, &db.conninfo("sslmode=verify-ca sslrootcert=/nowhere"), &[], "/nowhere does not exist");
    refused(db, &db.conninfo("sslmode=verify-full"), &[], ".postgresql/root.crt does not exist");
    refused(db, &db.conninfo("sslmode=verify"), &[], "sslmode in the URL cannot be \"verify\"");
    refused(db, &db.conninfo(""), &[("PGSSLMODE", "on")], "PGSSLMODE cannot be \"on\"");
}

#[test]
fn what_the_server_refuses_one_way_is_tried_the_other_way_where_sslmode_lets_it() {
    let db = Listening::shared();
    connects(db, &db.conninfo("user=encrypted sslmode=allow"), &[], "TLSv1.3");
    refused(db, &db.conninfo("user=encrypted sslmode=disable"), &[], "set sslmode=require");
    connects(db, &db.conninfo("user=plain sslmode=prefer"), &[], "plain");
    refused(db, &db.conninfo("user=plain sslmode=require"), &[], "28000");
}

#[test]
fn a_server_without_tls_is_told_from_one_with_it() {
    let db = Listening::start(false);
    connects(&db, &db.conninfo(""), &[], "plain");
    for mode in ["require", "verify-ca", "verify-full"] {
        let conninfo = db.conninfo(&format!("sslmode={mode} sslrootcert={}", db.path("root.crt")));
        refused(&db, &conninfo, &[], &format!("the server does without TLS, but sslmode={mode} wants it"));
    }
    refused(&db, &db.conninfo("user=carol password='correct horse' channel_binding=require"), &[], "channel_binding");
    // A socket does without, whatever sslmode says.
    let socket = format!("host={} port={} dbname=postgres user=postgres", db.cluster.socket().display(), db.port);
    connects(&db, &(socket + " sslmode=require"), &[], "plain");
}

#[test]
fn the_systems_authorities_vouch_for_names_only() {
    let db = Listening::shared();
    let root = db.path("root.crt");
    let variables = [("SSL_CERT_FILE", root.as_str()), ("SSL_CERT_DIR", "")];
    connects(db, &db.conninfo("sslrootcert=system"), &variables, "TLSv1.3");
    refused(db, &db.conninfo("sslrootcert=system host=elsewhere.test"), &variables, "not for elsewhere.test");
    refused(db, &db.conninfo("sslrootcert=system sslmode=require"), &variables, "too weak for sslrootcert=system");
    let other = db.path("other.crt");
    refused(db, &db.conninfo("sslrootcert=system"), &[("SSL_CERT_FILE", &other), ("SSL_CERT_DIR", "")], "not trusted");
}

#[test]
fn the_version_of_tls_can_be_bounded() {
    let db = Listening::shared();
    connects(db, &db.conninfo("ssl_max_protocol_version=TLSv1.2"), &[], "TLSv1.2");
    connects(db, &db.conninfo("ssl_min_protocol_version=TLSv1.3"), &[], "TLSv1.3");
    refused(db, &db.conninfo("ssl_max_protocol_version=TLSv1.1"), &[], "no version of TLS from TLSv1.2 to TLSv1.1");
    let reversed = "ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2";
    refused(db, &db.conninfo(reversed), &[], "no version of TLS");
}

#[test]
fn a_certificate_logs_in() {
    let db = Listening::shared();
    let (certificate, key) = db.authority.sign(&named("alice"));
    let certificate = db.write("alice.crt", &certificate, 0o644);
    let alice = |key: &str, more: &str| {
        db.conninfo(&format!("user=alice sslmode=require sslcert={certificate} sslkey={key} {more}"))
    };
    let good = db.write("alice.key", &key, 0o600);
    connects(db, &alice(&good, ""), &[], "TLSv1.3");
    connects(db, &alice(&good, "ssl_max_protocol_version=TLSv1.2"), &[], "TLSv1.2");
    refused(db, &alice(&good, "sslcertmode=disable"), &[], "28000");
    refused(db, &db.conninfo("user=alice sslmode=require"), &[], "28000");
    refused(db, &alice(&good, "user=carol"), &[], "wants a password");

    // Keys that will not do.
    refused(db, &alice(&db.write("open.key", &key, 0o644), ""), &[], "others may use the private key");
    refused(db, &alice("/nowhere", ""), &[], "but not its private key");
    let strange = db.write("strange.key", &KeyPair::generate().expect("a key").serialize_pem(), 0o600);
    refused(db, &alice(&strange, ""), &[], "does not belong to");
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    refused(db, &alice(&db.write("locked.key", locked, 0o600), ""), &[], "is encrypted");
    refused(db, &db.conninfo("sslcert=/nowhere"), &[], "sslcert in the URL names /nowhere, which does not exist");

    // A certificate of somebody whom the server does not trust.
    let (certificate, key) = Authority::new("a stranger").sign(&named("alice"));
    let certificate = db.write("forged.crt", &certificate, 0o644);
    let forged = format!("user=alice sslmode=require sslcert={certificate} sslkey=");
    refused(db, &db.conninfo(&(forged + &db.write("forged.key", &key, 0o600))), &[], "the server broke TLS off");
}

#[test]
fn files_in_the_home_directory_are_found() {
    let db = Listening::shared();
    let (certificate, key) = db.authority.sign(&named("alice"));
    db.write("alices/.postgresql/root.crt", &db.authority.pem, 0o644);
    db.write("alices/.postgresql/postgresql.crt", &certificate, 0o644);
    db.write("alices/.postgresql/postgresql.key", &key, 0o600);
    let home = db.path("alices");
    connects(db, &db.conninfo("user=alice sslmode=verify-full"), &[("HOME", &home)], "TLSv1.3");
    db.write("strangers/.postgresql/root.crt", &Authority::new("a stranger").pem, 0o644);
    refused(db, &db.conninfo("sslmode=require"), &[("HOME", &db.path("strangers"))], "not trusted");
}

#[test]
fn passwords_are_bound_to_the_encrypted_connection() {
    let db = Listening::shared();
    let carol = |more: &str| db.conninfo(&format!("user=carol password='correct horse' {more}"));
    connects(db, &carol("channel_binding=require"), &[], "TLSv1.3");
    connects(db, &carol("sslmode=disable"), &[], "plain");
    refused(db, &carol("sslmode=disable channel_binding=require"), &[], "does not bind the password");
    refused(db, &db.conninfo("channel_binding=require"), &[], "does not bind the password");
    refused(db, &carol(""), &[("PGCHANNELBINDING", "always")].map(|pair| pair), "PGCHANNELBINDING cannot be");
}

/// Version 1 and without alternative names, as `openssl x509 -req` makes it when it is not told more, for db.test.
const VERSION_1: (&str, &str) = (
    "-----BEGIN CERTIFICATE-----
MIIBITCBxwIUTD9Xy0j0TxNf7WswOsSE/1TS0RwwCgYIKoZIzj0EAwIwEjEQMA4G
A1UEAwwHZGIudGVzdDAgFw0yNjExMjUxODExMTVaGA8yMTI2MTEwMTE4MTExNVow
EjEQMA4GA1UEAwwHZGIudGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCiO
p+wSeQffS5o3Y1532wKNTgoyMc8jwFA4uiOAYzIhUEYA9xswrSOYx5pZ/Lw6cHnR
ZNK1DpeJYLS/e0/k1RkwCgYIKoZIzj0EAwIDSQAwRgIhAK3vQp4TbJyTYScsOiFe
LU3Oeoc41wzJ5WQRSFsj2SnlAiEAp89bA4zjm1ceaOTK/zK9xmGY1YZAmYaPbFRZ
zHP7/bs=
-----END CERTIFICATE-----
",
    "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg78arLg1uSFkvnxsc
uKzcxeSa/BRIwKKmv2KoX+ZM8JahRANCAAQojqfsEnkH30uaN2Ned9sCjU4KMjHP
I8BQOLojgGMyIVBGAPcbMK0jmMeaWfy8OnB50WTStQ6XiWC0v3tP5NUZ
-----END PRIVATE KEY-----
",
);

#[test]
fn certificates_that_do_not_fit_are_explained() {
    let db = Listening::start(true);
    let root = db.path("root.crt");
    let full = |more: &str| db.conninfo(&format!("sslmode=verify-full sslrootcert={root} {more}"));

    let mut old = server(&["db.test"]);
    old.not_after = date_time_ymd(2020, 1, 1);
    let (certificate, key) = db.authority.sign(&old);
    db.show(&certificate, &key);
    refused(&db, &full(""), &[], "the server's certificate has expired");
    connects(&db, &db.conninfo("sslmode=require"), &[], "TLSv1.3");

    let mut early = server(&["db.test"]);
    early.not_before = date_time_ymd(4000, 1, 1);
    let (certificate, key) = db.authority.sign(&early);
    db.show(&certificate, &key);
    refused(&db, &full(""), &[], "is not valid yet");

    // Without alternative names the common name counts.
    let (certificate, key) = db.authority.sign(&named("*.test"));
    db.show(&certificate, &key);
    connects(&db, &full(""), &[], "TLSv1.3");
    refused(&db, &full("host=db.example"), &[], "is for *.test, not for db.example");

    // The first one that PostgreSQL's manual makes: an authority's by its form, and trusted by itself.
    let mut own = named("db.test");
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = own.self_signed(&key).expect("a certificate").pem();
    db.show(&certificate, &key.serialize_pem());
    let trusted = db.write("own.crt", &certificate, 0o644);
    connects(&db, &full(&format!("sslrootcert={trusted}")), &[], "TLSv1.3");
    refused(&db, &full(&format!("sslrootcert={trusted} host=other.test")), &[], "is for db.test, not for other.test");
    refused(&db, &full(""), &[], "the server's certificate");

    db.show(VERSION_1.0, VERSION_1.1);
    connects(&db, &db.conninfo("sslmode=require"), &[], "TLSv1.3");
    refused(&db, &full(""), &[], "cannot be verified: UnsupportedCertVersion\nhint: make a new one of X.509 version 3");
}

#[test]
fn a_revoked_certificate_is_refused() {
    let db = Listening::start(true);
    let mut params = server(&["db.test"]);
    params.serial_number = Some(SerialNumber::from(7));
    let (certificate, key) = db.authority.sign(&params);
    db.show(&certificate, &key);
    let list = |serial: u64, until: i32| {
        let revoked = rcgen::RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = rcgen::CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let pem = list.signed_by(&db.authority.issuer).expect("a list").pem().expect("a list");
        db.write(&format!("list{serial}-{until}.crl"), &pem, 0o644)
    };
    let with =
        |list: &str| db.conninfo(&format!("sslmode=verify-ca sslrootcert={} sslcrl={list}", db.path("root.crt")));
    connects(&db, &with(&list(8, 4000)), &[], "TLSv1.3");
    refused(&db, &with(&list(7, 4000)), &[], "the server's certificate is revoked");
    refused(&db, &with(&list(8, 2021)), &[], "no present list in sslcrl");
    refused(&db, &with("/nowhere"), &[], "sslcrl in the URL names /nowhere");
}
