//! One server with its data directory.

use crate::scratch::Scratch;
use crate::{Account, Database};
use postgres::{Client, Config, NoTls};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SUPERUSER: &str = "postgres";
pub(crate) const PORT: u16 = 5432;
const INITDB: [&str; 8] = ["-A", "trust", "-U", SUPERUSER, "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"];

/// A running server that is stopped and removed when this is dropped, or when this process ends, however it ends.
pub struct Cluster {
    /// Sockets, data and log.
    scratch: Scratch,
    bin: PathBuf,
    port: u16,
    settings: Vec<String>,
}

static CREATED: AtomicU32 = AtomicU32::new(0);

impl Cluster {
    /// The server that all stories of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// Starts a server of its own with further settings (`name=value`). One that listens on TCP needs a port of its own.
    pub fn start(settings: &[&str]) -> Self {
        let bin = bin();
        Self::create(&bin, settings, |account, data| {
            succeed(account.command(bin.join("initdb")).args(INITDB).arg("-D").arg(data));
        })
    }

    /// Starts a server of the version to upgrade from: `ROLECALL_FORMER` names its programs' directory; without it, of this
    /// version.
    pub fn start_former(settings: &[&str]) -> Self {
        let bin = std::env::var_os("ROLECALL_FORMER").map_or_else(bin, PathBuf::from);
        Self::create(&bin, settings, |account, data| {
            succeed(account.command(bin.join("initdb")).args(INITDB).arg("--data-checksums").arg("-D").arg(data));
        })
    }

    /// Ends this server, which [`Self::start_former`] has started, and starts one of the version under test with what
    /// `pg_upgrade` makes of its data.
    pub fn upgrade(&self, settings: &[&str]) -> Self {
        let account = Account::current();
        succeed(account.command(self.bin.join("pg_ctl")).args(["stop", "--silent", "-D"]).arg(self.data()));
        let bin = bin();
        Self::create(&bin, settings, |account, data| {
            succeed(account.command(bin.join("initdb")).args(INITDB).arg("--data-checksums").arg("-D").arg(data));
            let directory = data.parent().expect("the scratch directory");
            let mut upgrade = account.command(bin.join("pg_upgrade"));
            upgrade.current_dir(directory).args(["-U", SUPERUSER, "-b"]).arg(&self.bin).arg("-B").arg(&bin);
            succeed(upgrade.arg("-d").arg(self.data()).arg("-D").arg(data).arg("-s").arg(directory));
        })
    }

    /// Starts a hot standby of this server.
    pub fn standby(&self, settings: &[&str]) -> Self {
        let directory = self.socket().to_str().expect("paths are UTF-8");
        let port = self.port.to_string();
        let copy = ["-R", "-X", "stream", "-c", "fast", "--no-sync", "-h", directory, "-p", &port, "-U", SUPERUSER];
        Self::create(&self.bin, settings, |account, data| {
            succeed(account.command(self.bin.join("pg_basebackup")).args(copy).arg("-D").arg(data));
        })
    }

    /// Starts a server in the data directory that `fill` creates.
    fn create(bin: &Path, settings: &[&str], fill: impl FnOnce(Account, &Path)) -> Self {
        let account = Account::current();
        let scratch = Scratch::new(account, "data/postmaster.pid", "QUIT");
        fill(account, &scratch.path().join("data"));
        let port = settings.iter().find_map(|setting| setting.strip_prefix("port="));
        let port = port.map_or(PORT, |port| port.parse().expect("a port is a number"));
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut cluster = Self { scratch, bin: bin.to_owned(), port, settings };
        cluster.serve();
        cluster
    }

    fn serve(&mut self) {
        let mut command = Account::current().command(self.bin.join("postgres"));
        command.arg("-D").arg(self.data()).arg("-k").arg(self.scratch.path());
        let always = ["listen_addresses=", "fsync=off", "max_connections=100", "shared_preload_libraries="];
        let port = format!("port={}", self.port);
        for setting in always.into_iter().chain([port.as_str()]).chain(self.settings.iter().map(String::as_str)) {
            command.arg("-c").arg(setting);
        }
        self.scratch.serve(&mut command);
        self.await_ready();
    }

    fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// Ends the server without a shutdown: what is not committed is lost, what is has to be recovered.
    pub fn crash(&self) {
        let mut stop = Account::current().command(self.bin.join("pg_ctl"));
        succeed(stop.args(["stop", "--silent", "-m", "immediate", "-D"]).arg(self.data()));
    }

    /// Starts the server again after [`Self::crash`]; its log starts anew.
    pub fn restart(&mut self) {
        self.scratch.reap();
        self.serve();
    }

    /// Connects, as `user`, to `database`.
    pub fn try_connect(&self, user: &str, database: &str) -> Result<Client, postgres::Error> {
        self.config(user, database).connect(NoTls)
    }

    /// How to connect as `user` to `database`, for a test that wants to add to it.
    pub fn config(&self, user: &str, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.socket()).port(self.port).user(user).dbname(database);
        config
    }

    /// A new database without the extension.
    pub fn plain_database(&self) -> Database<'_> {
        let name = format!("t{}", CREATED.fetch_add(1, Ordering::Relaxed));
        let mut admin = self.try_connect(SUPERUSER, SUPERUSER).expect("the superuser connects");
        admin.batch_execute(&format!("CREATE DATABASE {name}")).expect("a new database");
        Database::new(self, name)
    }

    /// A new database with the extension installed.
    pub fn database(&self) -> Database<'_> {
        let database = self.plain_database();
        database.admin().batch_execute("CREATE EXTENSION rolecall").expect("the extension installs");
        database
    }

    /// A database that is there, as on a standby.
    pub fn existing_database(&self, name: &str) -> Database<'_> {
        Database::new(self, name.to_owned())
    }

    /// A new database that is what `original` is, which nobody may be connected to.
    pub fn copy(&self, original: &Database) -> Database<'_> {
        let name = format!("t{}", CREATED.fetch_add(1, Ordering::Relaxed));
        let mut admin = self.try_connect(SUPERUSER, SUPERUSER).expect("the superuser connects");
        // A connection that was closed may still be on its way out.
        let gone = format!("SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '{}'", original.name);
        while !admin.query_one(&gone, &[]).expect("who is connected").get::<_, bool>(0) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let copy = format!("CREATE DATABASE {name} TEMPLATE {} STRATEGY file_copy", original.name);
        admin.batch_execute(&copy).expect("a copy");
        Database::new(self, name)
    }

    /// The directory of the server's socket: what `PGHOST` wants.
    pub fn socket(&self) -> &Path {
        self.scratch.path()
    }

    /// What the server has written to its log so far.
    pub fn log(&self) -> String {
        self.scratch.log()
    }

    /// A client program of this PostgreSQL (`psql`, `pg_dump`, …) with the connection in its environment.
    pub fn client_program(&self, name: &str, user: &str, database: &str) -> Command {
        self.with_connection(self.bin.join(name), user, database)
    }

    /// Any program with libpq's environment set to this server.
    pub fn with_connection(&self, program: impl AsRef<OsStr>, user: &str, database: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", self.socket())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", user)
            .env("PGDATABASE", database)
            .stdin(Stdio::null());
        command
    }

    /// Waits until this standby has replayed all that `primary` has committed.
    pub fn await_replay(&self, primary: &Self) {
        let connect = |cluster: &Self| cluster.try_connect(SUPERUSER, SUPERUSER).expect("the superuser connects");
        let (mut primary, mut standby) = (connect(primary), connect(self));
        let row = primary.query_one("SELECT pg_current_wal_lsn()::text", &[]).expect("the primary's position");
        let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", row.get::<_, String>(0));
        let deadline = Instant::now() + Duration::from_secs(30);
        while !standby.query_one(&replayed, &[]).expect("the standby's position").get::<_, bool>(0) {
            assert!(Instant::now() < deadline, "the standby does not keep up:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn await_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.try_connect(SUPERUSER, SUPERUSER).is_err() {
            let usable = !self.scratch.ended() && Instant::now() < deadline;
            assert!(usable, "the server did not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The programs of the server under test, as `PG_CONFIG` tells, which the Makefile sets to that of its private copy.
fn bin() -> PathBuf {
    let program = std::env::var("PG_CONFIG").expect("PG_CONFIG names the server to test with: run `make test`");
    let output = Command::new(&program).arg("--bindir").output().unwrap_or_else(|e| panic!("{program}: {e}"));
    String::from_utf8(output.stdout).expect("paths are UTF-8").trim().into()
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let told = || [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {}", told());
}
