//! Throw-away PostgreSQL servers for stories, demo and benchmarks.
//!
//! A server is a child of this process: it listens on a socket in a directory of its own, ends with the process even
//! when that is killed, and takes its directory along. PostgreSQL refuses to run as root, so there the server runs
//! as an unprivileged account.

mod account;
mod cluster;
mod database;
mod pooler;
mod scratch;

pub use account::Account;
pub use cluster::Cluster;
pub use database::{Database, sqlstate};
pub use pooler::Pooler;

use std::path::PathBuf;

/// The `rolecall` program: `ROLECALL_BIN`, else the one cargo built beside this test binary.
pub fn program() -> PathBuf {
    std::env::var_os("ROLECALL_BIN").map_or_else(|| beside_this_binary("rolecall"), PathBuf::from)
}

/// The example of a worker that cargo built beside this test binary.
pub fn worker() -> PathBuf {
    beside_this_binary("worker")
}

fn beside_this_binary(name: &str) -> PathBuf {
    let me = std::env::current_exe().expect("the path of this program");
    let mut dir = me.parent().expect("a program lies in a directory");
    if dir.ends_with("deps") {
        dir = dir.parent().expect("deps lies in the profile's directory");
    }
    let bin = dir.join(name);
    assert!(bin.exists(), "{} is missing: run `make build` first", bin.display());
    bin
}
