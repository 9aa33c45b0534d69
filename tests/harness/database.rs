//! One database of a cluster, as a story sees it.

use crate::Cluster;
use postgres::{Client, NoTls};
use std::process::Command;

/// A database made for one story.
pub struct Database<'a> {
    cluster: &'a Cluster,
    /// Its name, unique in the cluster.
    pub name: String,
}

impl<'a> Database<'a> {
    pub(crate) fn new(cluster: &'a Cluster, name: String) -> Self {
        Self { cluster, name }
    }

    /// The server it lies in.
    pub fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// A superuser's connection.
    pub fn admin(&self) -> Client {
        self.connect("postgres")
    }

    /// A connection as `user`, who must exist.
    pub fn connect(&self, user: &str) -> Client {
        self.cluster.try_connect(user, &self.name).unwrap_or_else(|e| panic!("{user} connects: {e:?}"))
    }

    /// A connection as `user` with libpq's `options` (`-c name=value`).
    pub fn connect_with(&self, user: &str, options: &str) -> Result<Client, postgres::Error> {
        self.cluster.config(user, &self.name).options(options).connect(NoTls)
    }

    /// A login without any privilege whose name no other story uses; its name.
    pub fn login(&self, name: &str) -> String {
        let name = format!("{}_{name}", self.name);
        self.admin().batch_execute(&format!("CREATE ROLE {name} LOGIN")).expect("a new login");
        name
    }

    /// The `rolecall` program, connected here as `user`.
    pub fn rolecall(&self, user: &str) -> Command {
        self.cluster.with_connection(crate::program(), user, &self.name)
    }

    /// psql without the reader's own settings, connected here as `user`.
    pub fn psql(&self, user: &str) -> Command {
        let mut psql = self.cluster.client_program("psql", user, &self.name);
        psql.args(["--no-psqlrc", "--set=ON_ERROR_STOP=1"]);
        psql
    }
}

/// The SQLSTATE and message of a statement that must fail.
pub fn sqlstate<T>(result: Result<T, postgres::Error>) -> (String, String) {
    let Err(error) = result else { panic!("the statement succeeded") };
    match error.as_db_error() {
        Some(error) => (error.code().code().to_owned(), error.message().to_owned()),
        None => panic!("not an error of the server: {error}"),
    }
}
