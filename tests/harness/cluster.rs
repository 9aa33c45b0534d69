//! One server with its data directory.

use crate::{Account, Database};
use postgres::{Client, Config, NoTls};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SUPERUSER: &str = "postgres";
const PORT: u16 = 5432;

/// A running server that is stopped and removed when this is dropped, or when this process ends, however it ends.
pub struct Cluster {
    /// Sockets, data and log.
    directory: PathBuf,
    bin: PathBuf,
    server: Child,
    keeper: Child,
}

/// Ends the server of directory `$0` and removes that when its standard input ends: that of a process that was killed
/// ends too.
const KEEPER: &str = r#"
trap "" INT TERM HUP
cat
lock=$0/data/postmaster.pid
if [ -e "$lock" ]; then
    kill -QUIT "$(head -n 1 "$lock")"
    for _ in $(seq 100); do [ -e "$lock" ] || break; sleep 0.05; done
fi
rm -rf "$0"
"#;

static CREATED: AtomicU32 = AtomicU32::new(0);

impl Cluster {
    /// The server that all stories of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// Starts a server of its own with further settings (`name=value`).
    pub fn start(settings: &[&str]) -> Self {
        let account = Account::current();
        let bin = PathBuf::from(pg_config("--bindir"));
        let directory =
            tempfile::Builder::new().prefix("rolecall-").tempdir_in(scratch()).expect("a scratch directory").keep();
        let keeper = keeper(&directory);
        account.give(&directory);
        let data = directory.join("data");
        succeed(
            account
                .command(bin.join("initdb"))
                .args(["-A", "trust", "-U", SUPERUSER, "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-D"])
                .arg(&data),
        );
        let log = std::fs::File::create(directory.join("log")).expect("the server's log");
        let mut command = account.command(bin.join("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(&directory);
        for setting in [
            "listen_addresses=",
            "fsync=off",
            "max_connections=100",
            &format!("port={PORT}"),
            "shared_preload_libraries=",
        ]
        .iter()
        .chain(settings)
        {
            command.arg("-c").arg(setting);
        }
        command.stdout(log.try_clone().expect("a second handle of the log")).stderr(log);
        let server = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut cluster = Self { directory, bin, server, keeper };
        cluster.await_ready();
        cluster
    }

    /// Connects, as `user`, to `database`.
    pub fn try_connect(&self, user: &str, database: &str) -> Result<Client, postgres::Error> {
        self.config(user, database).connect(NoTls)
    }

    /// How to connect as `user` to `database`, for a test that wants to add to it.
    pub fn config(&self, user: &str, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.socket()).port(PORT).user(user).dbname(database);
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

    /// The directory of the server's socket: what `PGHOST` wants.
    pub fn socket(&self) -> &Path {
        &self.directory
    }

    /// What the server has written to its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
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
            .env("PGPORT", PORT.to_string())
            .env("PGUSER", user)
            .env("PGDATABASE", database)
            .stdin(Stdio::null());
        command
    }

    fn await_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.try_connect(SUPERUSER, SUPERUSER).is_err() {
            let ended = self.server.try_wait().is_ok_and(|status| status.is_some());
            assert!(!ended && Instant::now() < deadline, "the server did not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.server.wait();
        let _ = self.keeper.wait();
    }
}

fn keeper(directory: &Path) -> Child {
    let mut command = Command::new("sh");
    command.arg("-c").arg(KEEPER).arg(directory).stdin(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

/// `pg_config` of the server under test: `PG_CONFIG`, which the Makefile sets to its private copy.
fn pg_config(option: &str) -> String {
    let program = std::env::var("PG_CONFIG").expect("PG_CONFIG names the server to test with: run `make test`");
    let output = Command::new(&program).arg(option).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    String::from_utf8(output.stdout).expect("paths are UTF-8").trim().to_owned()
}

/// Where data directories go: `ROLECALL_SCRATCH`, which the Makefile chooses so that the server's account reaches it.
fn scratch() -> PathBuf {
    std::env::var_os("ROLECALL_SCRATCH").map_or_else(std::env::temp_dir, PathBuf::from)
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
