//! What the stories of connections share: authorities, certificates, and servers that listen on TCP.

use crate::provisioner_world::{Outcome, run};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rolecall_tests::{Account, Cluster};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// Who signs certificates.
pub struct Authority {
    pub issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate and its key, in PEM form.
    pub fn sign(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }
}

/// What a certificate says of somebody of that common name and no other.
pub fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// What a server's certificate says.
pub fn server(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("names")
}

/// A server on 127.0.0.1, and files for it and for those who connect.
pub struct Listening {
    pub cluster: Cluster,
    pub port: u16,
    pub authority: Authority,
    files: TempDir,
}

/// Who may come how; `alice` with a certificate of the authority, `carol` with a password.
const RULES: &str = "local all all trust\nhostssl all alice all cert\nhost all carol all scram-sha-256\n\
    hostssl all encrypted all trust\nhostnossl all plain all trust\nhost all postgres all trust\n";

static RUNS: AtomicU32 = AtomicU32::new(0);

impl Listening {
    /// The server that stories share which leave it as it is. Its certificate is for db.test and 127.0.0.1.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Listening> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(true))
    }

    /// Starts one, with TLS or without.
    pub fn start(tls: bool) -> Self {
        // What a killed process leaves there, tests/setup removes.
        let place = std::env::var_os("ROLECALL_SCRATCH").map_or_else(std::env::temp_dir, Into::into);
        let files = tempfile::Builder::new().prefix("files-").tempdir_in(place).expect("a directory");
        std::fs::set_permissions(files.path(), std::fs::Permissions::from_mode(0o755)).expect("others may enter");
        let authority = Authority::new("our authority");
        let (certificate, key) = authority.sign(&server(&["db.test", "127.0.0.1"]));
        let write = |name, text: &str, mode| write(files.path(), name, text, mode);
        let rules = write("pg_hba.conf", RULES, 0o644);
        let root = write("root.crt", &authority.pem, 0o644);
        write("other.crt", &Authority::new("another authority").pem, 0o644);
        let certificate = write("server.crt", &certificate, 0o644);
        let key = write("server.key", &key, 0o600);
        Account::current().give(Path::new(&key));
        std::fs::create_dir(files.path().join("home")).expect("a home");
        let port = free_port();
        let cluster = Cluster::start(&[
            "listen_addresses=127.0.0.1",
            &format!("port={port}"),
            &format!("hba_file={rules}"),
            &format!("ssl={}", if tls { "on" } else { "off" }),
            &format!("ssl_ca_file={root}"),
            &format!("ssl_cert_file={certificate}"),
            &format!("ssl_key_file={key}"),
            "log_connections=on",
        ]);
        let mut admin = cluster.try_connect("postgres", "postgres").expect("the superuser connects");
        admin
            .batch_execute(
                "CREATE ROLE alice LOGIN; CREATE ROLE encrypted LOGIN; CREATE ROLE plain LOGIN;
                 CREATE ROLE carol LOGIN PASSWORD 'correct horse'",
            )
            .expect("roles");
        Self { cluster, port, authority, files }
    }

    /// Writes a file for those who connect; its path.
    pub fn write(&self, name: &str, text: &str, mode: u32) -> String {
        write(self.files.path(), name, text, mode)
    }

    /// The path of a file.
    pub fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// How to connect as the superuser by the name that the certificate holds, and by what else `more` says.
    pub fn conninfo(&self, more: &str) -> String {
        format!("host=db.test hostaddr=127.0.0.1 port={} dbname=postgres user=postgres {more}", self.port)
    }

    /// `rolecall plan` without libpq's environment and with an empty home.
    pub fn command(&self) -> Command {
        let mut command = Command::new(rolecall_tests::program());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.args(["plan", "-"]).env("HOME", self.path("home"));
        command
    }

    /// Connects with `conninfo`; how, as the server's log tells it: `plain` or the version of TLS. Else the error.
    pub fn connect(&self, conninfo: &str, variables: &[(&str, &str)]) -> Result<String, Outcome> {
        let mut command = self.command();
        command.args(["--no-password", "--url", conninfo]).envs(variables.iter().copied());
        self.way(command)
    }

    /// The same for any command line.
    pub fn way(&self, mut command: Command) -> Result<String, Outcome> {
        let name = format!("run{}", RUNS.fetch_add(1, Ordering::Relaxed));
        command.env("PGAPPNAME", &name);
        let outcome = run(command, "roles: {}");
        assert!(!outcome.err.contains("correct horse") && !outcome.err.contains("panicked"), "{outcome:?}");
        if outcome.code != 0 {
            assert_eq!((outcome.code, outcome.err.matches("error:").count()), (1, 1), "{outcome:?}");
            return Err(outcome);
        }
        let log = self.cluster.log();
        let line = log.lines().find(|line| line.contains(&format!("application_name={name}")));
        let line = line.unwrap_or_else(|| panic!("{name} is not in the log"));
        Ok(match line.split_once("(protocol=") {
            Some((_, protocol)) => protocol.split(',').next().unwrap_or_default().to_owned(),
            None => "plain".to_owned(),
        })
    }

    /// Gives the server another certificate, and waits until it shows that one.
    pub fn show(&self, certificate: &str, key: &str) {
        // Written over, so that it stays the server's.
        std::fs::write(self.path("server.key"), key).expect("the key");
        self.write("server.crt", certificate, 0o644);
        let mut admin = self.cluster.try_connect("postgres", "postgres").expect("the superuser connects");
        let loaded = "SELECT pg_conf_load_time() > $1";
        let row = admin.query_one("SELECT clock_timestamp()", &[]).expect("the time");
        let before: std::time::SystemTime = row.get(0);
        admin.batch_execute("SELECT pg_reload_conf()").expect("a reload");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !admin.query_one(loaded, &[&before]).expect("the time of loading").get::<_, bool>(0) {
            assert!(std::time::Instant::now() < deadline, "the server does not reload");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn write(directory: &Path, name: &str, text: &str, mode: u32) -> String {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    path.display().to_string()
}

/// A port that nobody has.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").port()
}
