//! A server's directory, and the server in it.

use crate::Account;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A directory with at most one server, both gone when this is dropped, or when this process ends, however it ends.
pub(crate) struct Scratch {
    path: PathBuf,
    keeper: Child,
    server: Option<Child>,
}

/// Ends the server whose process id is in `$0/$1` by signal `$2` and removes the directory `$0` when its standard input
/// ends: that of a process that was killed ends too.
const KEEPER: &str = r#"
trap "" INT TERM HUP
cat
lock=$0/$1
if [ -e "$lock" ]; then
    kill -"$2" "$(head -n 1 "$lock")"
    for _ in $(seq 100); do [ -e "$lock" ] || break; sleep 0.05; done
fi
rm -rf "$0"
"#;

impl Scratch {
    /// A new directory of `account`, whose server will note its process id in the file `lock` and remove that when
    /// `signal` ends it.
    pub(crate) fn new(account: Account, lock: &str, signal: &str) -> Self {
        let path =
            tempfile::Builder::new().prefix("rolecall-").tempdir_in(place()).expect("a scratch directory").keep();
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER]).arg(&path).args([lock, signal]).stdin(Stdio::piped()).stdout(Stdio::null());
        let keeper = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        account.give(&path);
        Self { path, keeper, server: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts the server; what it prints is its log.
    pub(crate) fn serve(&mut self, command: &mut Command) {
        let log = std::fs::File::create(self.path.join("log")).expect("the server's log");
        command.stdout(log.try_clone().expect("a second handle of the log")).stderr(log);
        self.server = Some(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")));
    }

    /// Waits for a server that was told to end.
    pub(crate) fn reap(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.wait().expect("the server's end");
        }
    }

    /// Whether the server has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        self.server.as_mut().is_some_and(|server| server.try_wait().is_ok_and(|status| status.is_some()))
    }

    /// What the server has printed so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path.join("log")).unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        if let Some(server) = &mut self.server {
            let _ = server.wait();
        }
        let _ = self.keeper.wait();
    }
}

/// Where directories go: `ROLECALL_SCRATCH`, which the Makefile chooses so that the server's account reaches it.
fn place() -> PathBuf {
    std::env::var_os("ROLECALL_SCRATCH").map_or_else(std::env::temp_dir, PathBuf::from)
}
