//! pgbouncer in front of a database.

use crate::scratch::Scratch;
use crate::{Account, Database};
use postgres::{Client, Config, NoTls};
use std::time::{Duration, Instant};

const PORT: u16 = 6432;

/// A running pgbouncer that is stopped and removed when this is dropped, or when this process ends, however it ends.
pub struct Pooler {
    scratch: Scratch,
    user: String,
    database: String,
}

impl Pooler {
    /// How many connections to the server all clients share.
    pub const CONNECTIONS: usize = 3;

    /// Pools connections of `user` to `database`; `mode` is pgbouncer's `pool_mode`.
    pub fn start(database: &Database<'_>, user: &str, mode: &str) -> Self {
        Self::with_connections(database, user, mode, Self::CONNECTIONS)
    }

    /// The same with another number of connections to the server.
    pub fn with_connections(database: &Database<'_>, user: &str, mode: &str, connections: usize) -> Self {
        let account = Account::current();
        let mut scratch = Scratch::new(account, "pid", "TERM");
        let directory = scratch.path().display();
        // With auth_type=any everybody is the user of the pool's one line; server_reset_query stays off in transaction
        // mode, where clients must leave nothing behind by themselves.
        let settings = format!(
            "[databases]\n\
             {name} = host={server} port={port} dbname={name} user={user}\n\
             [pgbouncer]\n\
             unix_socket_dir = {directory}\n\
             listen_port = {PORT}\n\
             pidfile = {directory}/pid\n\
             auth_type = any\n\
             pool_mode = {mode}\n\
             default_pool_size = {connections}\n\
             server_reset_query = DISCARD ALL\n\
             log_connections = 0\n\
             log_disconnections = 0\n",
            name = database.name,
            server = database.cluster().socket().display(),
            port = crate::cluster::PORT,
        );
        let file = scratch.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).expect("pgbouncer's settings");
        account.give(&file);
        let program = std::env::var("PGBOUNCER").expect("PGBOUNCER names the pooler: run `make test`");
        scratch.serve(account.command(program).arg(&file));
        let mut pooler = Self { scratch, user: user.to_owned(), database: database.name.clone() };
        pooler.await_ready();
        pooler
    }

    /// A client of the pool.
    pub fn connect(&self) -> Client {
        self.try_connect().unwrap_or_else(|e| panic!("{e}:\n{}", self.scratch.log()))
    }

    fn try_connect(&self) -> Result<Client, postgres::Error> {
        let mut config = Config::new();
        config.host_path(self.scratch.path()).port(PORT).user(&self.user).dbname(&self.database);
        config.connect(NoTls)
    }

    /// How to connect, for a program that is told by a string.
    pub fn address(&self) -> String {
        let directory = self.scratch.path().display();
        format!("host={directory} port={PORT} user={} dbname={}", self.user, self.database)
    }

    fn await_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.try_connect().is_err() {
            let usable = !self.scratch.ended() && Instant::now() < deadline;
            assert!(usable, "pgbouncer did not start:\n{}", self.scratch.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
