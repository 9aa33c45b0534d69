//! Passwords that somebody types: asked for by `apply` where a role has none, twice, and shown nowhere.

use crate::provisioner_world::{rolecall, value};
use rolecall_tests::{Cluster, Database};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SPEC: &str = "roles: {svc: {login: true, password: {prompt: true}}}";

/// `rolecall apply --yes` on a terminal of its own (util-linux's `script`).
fn on_a_terminal(db: &Database<'_>, spec: &std::path::Path) -> Child {
    let command = format!("'{}' apply --yes '{}'", rolecall_tests::program().display(), spec.display());
    let mut script = db.cluster().with_connection("script", "postgres", &db.name);
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    script.spawn().expect("script starts")
}

/// Answers each question that comes; the exit code and all that was shown.
fn answer(mut child: Child, answers: &[&str]) -> (i32, String) {
    let (mut input, mut output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut told = Vec::new();
    for answer in answers {
        let mut byte = [0];
        while !told.ends_with(b"svc: ") {
            assert_eq!(output.read(&mut byte).expect("output"), 1, "no question: {}", String::from_utf8_lossy(&told));
            told.push(byte[0]);
        }
        told.push(b'\n');
        wait_for_silence(child.id());
        input.write_all(format!("{answer}\n").as_bytes()).expect("an answer");
    }
    output.read_to_end(&mut told).expect("output");
    let code = child.wait().expect("it ends").code().expect("it was not killed");
    (code, String::from_utf8_lossy(&told).into_owned())
}

/// Waits until the terminal that `script` has made shows no more what is typed: a moment after the question.
fn wait_for_silence(script: u32) {
    let children = std::fs::read_to_string(format!("/proc/{script}/task/{script}/children")).expect("its children");
    let shell = children.split_whitespace().next().expect("a shell");
    let terminal = std::fs::read_link(format!("/proc/{shell}/fd/0")).expect("its terminal");
    for _ in 0..2000 {
        let settings = Command::new("stty").arg("-a").arg("-F").arg(&terminal).output().expect("stty runs");
        if String::from_utf8_lossy(&settings.stdout).contains(" -echo ") {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("what is typed is shown");
}

#[test]
fn a_password_is_asked_for_once_and_shown_nowhere() {
    let cluster = Cluster::start(&["log_statement=all"]);
    let db = cluster.plain_database();
    let mut spec = tempfile::NamedTempFile::new().expect("a file");
    spec.write_all(SPEC.as_bytes()).expect("written");
    let plan = rolecall(&db, &["plan"], SPEC);
    assert!(plan.code == 2 && plan.out.contains("password (asked for by apply)"), "{plan:?}");
    let stored = "SELECT count(*) FROM pg_authid WHERE rolname = 'svc'";

    let (code, told) = answer(on_a_terminal(&db, spec.path()), &["Typed-1", "Typed-2"]);
    assert!(code == 1 && told.contains("not typed twice alike"), "{told}");
    assert_eq!(value(&mut db.admin(), stored), "0");

    let (code, told) = answer(on_a_terminal(&db, spec.path()), &["Typed-1", "Typed-1"]);
    assert_eq!(code, 0, "{told}");
    assert!(!told.contains("Typed-") && !cluster.log().contains("Typed-"), "{told}");
    let verifier = "SELECT left(rolpassword, 14) FROM pg_authid WHERE rolname = 'svc'";
    assert_eq!(value(&mut db.admin(), verifier), "SCRAM-SHA-256$");
    assert_eq!(rolecall(&db, &["plan"], SPEC).code, 0, "who has a password is asked for none");
    assert_eq!(answer(on_a_terminal(&db, spec.path()), &[]).0, 0);
}

#[test]
fn without_a_terminal_the_error_says_what_to_write_instead() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    let mut setsid = db.cluster().with_connection("setsid", "postgres", &db.name);
    setsid.arg("--wait").arg(rolecall_tests::program()).args(["apply", "--yes", "-"]);
    let refused = crate::provisioner_world::run(setsid, SPEC);
    assert!(refused.code == 1 && refused.err.contains("nobody can be asked"), "{refused:?}");
    assert!(refused.err.contains("{from_env: VARIABLE}"), "{refused:?}");
    assert_eq!(value(&mut db.admin(), "SELECT count(*) FROM pg_authid WHERE rolname = 'svc'"), "0");
}
