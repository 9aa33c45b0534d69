//! One server with its data directory.

use crate::{Account, Database};
use postgres::{Client, Config, NoTls};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

const SUPERUSER: &str = "postgres";
const PORT: u16 = 5432;

/// A running server that is stopped and removed when this is dropped.
pub struct Cluster {
    /// Sockets, data and log; removed at the end.
    directory: tempfile::TempDir,
    bin: PathBuf,
    server: Child,
}

static SHARED: OnceLock<Cluster> = OnceLock::new();
static CREATED: AtomicU32 = AtomicU32::new(0);

impl Cluster {
    /// The server that all stories of this process share.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(|| {
            at_exit(remove_shared);
            Self::start(&[])
        })
    }

    /// Starts a server of its own with further settings (`name=value`).
    pub fn start(settings: &[&str]) -> Self {
        let account = Account::current();
        let bin = PathBuf::from(pg_config("--bindir"));
        let directory =
            tempfile::Builder::new().prefix("rolecall-").tempdir_in(scratch()).expect("a scratch directory");
        account.give(directory.path());
        let data = directory.path().join("data");
        succeed(
            account
                .command(bin.join("initdb"))
                .args(["-A", "trust", "-U", SUPERUSER, "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-D"])
                .arg(&data),
        );
        let log = std::fs::File::create(directory.path().join("log")).expect("the server's log");
        let mut command = account.command(bin.join("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(directory.path());
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
        let cluster = Self { server: spawn_that_dies_with_us(command), directory, bin };
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
        self.directory.path()
    }

    /// What the server has written to its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
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

    fn await_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.try_connect(SUPERUSER, SUPERUSER).is_err() {
            assert!(Instant::now() < deadline, "the server did not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        let _ = self.server.wait();
    }
}

impl Cluster {
    /// PostgreSQL's immediate shutdown: it takes its children along, and there is nothing to keep.
    #[allow(unsafe_code)]
    fn stop(&self) {
        let pid = self.server.id();
        // SAFETY: sends a signal to a child that has not been waited for, so that the number is still its own.
        unsafe { libc::kill(pid.cast_signed(), libc::SIGQUIT) };
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_running(pid) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Whether the process is alive and not a zombie.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

/// Rust drops no statics, so the shared server is stopped and its directory removed here.
extern "C" fn remove_shared() {
    if let Some(cluster) = SHARED.get() {
        cluster.stop();
        let _ = std::fs::remove_dir_all(cluster.directory.path());
    }
}

#[allow(unsafe_code)]
fn at_exit(handler: extern "C" fn()) {
    // SAFETY: the handler is a static function that does not unwind.
    unsafe { libc::atexit(handler) };
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

/// Spawns from a thread that lives as long as this process: the kernel sends the death signal when the *thread* that
/// forked ends, and a test's thread ends with the test.
fn spawn_that_dies_with_us(command: Command) -> Child {
    type Order = (Command, mpsc::Sender<Child>);
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in inbox {
                die_with_parent(&mut command);
                let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
                let _ = reply.send(child);
            }
        });
        Mutex::new(orders)
    });
    let (reply, answer) = mpsc::channel();
    spawner.lock().expect("no spawner panicked").send((command, reply)).expect("the spawner lives");
    answer.recv().expect("the server process")
}

#[allow(unsafe_code)]
fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe and touches nothing of the parent.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGQUIT) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
}
