//! The account servers run as.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Who runs the server: this user, or for root `postgres` (`nobody` where that does not exist).
#[derive(Clone, Copy, Debug)]
pub struct Account {
    ids: Option<(u32, u32)>,
}

impl Account {
    /// The account for servers started by this process.
    pub fn current() -> Self {
        if effective_uid() != 0 {
            return Self { ids: None };
        }
        let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
        let ids = ["postgres", "nobody"].iter().find_map(|name| ids_of(&passwd, name));
        Self { ids: Some(ids.expect("an account `postgres` or `nobody` to run the server as")) }
    }

    /// A command that runs as this account, in `/`, with a plain environment.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        // Whoever has this set gets no backtraces as the DETAIL of errors, either.
        command.env("LC_ALL", "C.UTF-8").env("RUST_BACKTRACE", "1").current_dir("/").stdin(Stdio::null());
        command
    }

    /// Gives `path` to this account.
    pub fn give(&self, path: &Path) {
        if let Some((uid, gid)) = self.ids {
            std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("root may give a directory away");
        }
    }
}

fn effective_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").expect("/proc is mounted").uid()
}

fn ids_of(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
