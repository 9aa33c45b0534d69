//! Where to connect and with which password: sources and their order, several hosts, services, prompts.

use crate::provisioner_server::{Listening, free_port};
use crate::provisioner_world::{Outcome, run};
use rolecall_tests::Cluster;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs `plan`; the database it was made in and who made it.
fn reached(mut command: Command) -> Result<(String, String), Outcome> {
    command.arg("--json");
    let outcome = run(command, "roles: {}");
    if outcome.code != 0 {
        return Err(outcome);
    }
    let plan: serde_json::Value = serde_json::from_str(&outcome.out).expect("JSON");
    let text = |name: &str| plan["databases"][0][name].as_str().expect("text").to_owned();
    Ok((text("database"), text("executor")))
}

#[track_caller]
fn refused(command: Command, message: &str) {
    match reached(command) {
        Ok(reached) => panic!("{reached:?} instead of {message}"),
        Err(outcome) => {
            assert!(outcome.code == 1 && outcome.err.contains(message), "{message}: {outcome:?}");
            assert!(!outcome.err.contains("s3cret") && !outcome.err.contains("panicked"), "{outcome:?}");
        }
    }
}

#[test]
fn flags_come_before_the_url_the_service_and_the_environment() {
    let db = Listening::shared();
    let cluster = &db.cluster;
    let names: Vec<String> = (0..4).map(|_| cluster.plain_database().name).collect();
    let [by_flag, by_url, by_service, by_environment] = names.as_slice() else { unreachable!() };
    let services = format!(
        "# ours\n[other]\nhost=/nowhere\n\n[here]\nhost=127.0.0.1\nport={}\nuser=postgres\ndbname={by_service}\n",
        db.port
    );
    let file = db.write("services.conf", &services, 0o644);
    let command = |environment: &[(&str, &str)], arguments: &[&str]| {
        let mut command = db.command();
        command.args(arguments).env("PGSERVICEFILE", &file).envs(environment.iter().copied());
        command
    };
    let plain = format!("postgresql://postgres@127.0.0.1:{}/", db.port);
    let named = plain.clone() + by_url;
    let environment = [("PGDATABASE", by_environment.as_str())];
    let both = [environment[0], ("PGSERVICE", "here")];
    let leads_to =
        |variables: &[(&str, &str)], arguments: &[&str], expected: &str| match reached(command(variables, arguments)) {
            Ok((database, _)) => assert_eq!(database, expected, "{variables:?} {arguments:?}"),
            Err(outcome) => panic!("{variables:?} {arguments:?}: {outcome:?}"),
        };
    leads_to(&environment, &["--url", &plain], by_environment);
    leads_to(&both, &[], by_service);
    leads_to(&both, &["--url", &plain], by_service);
    leads_to(&environment, &["--url", "service=here"], by_service);
    leads_to(&environment, &["--url", "postgresql://?service=here"], by_service);
    leads_to(&both, &["--url", &named], by_url);
    leads_to(&both, &["--dbname", &named], by_url);
    leads_to(&both, &["--url", &named, "--dbname", by_flag], by_flag);
    leads_to(&both, &["-d", by_flag], by_flag);
    refused(command(&both, &["-d", "postgres sslmode=disable"]), "the URL cannot be read");
    let (_, user) = reached(command(&both, &["-U", "plain", "-d", "dbname=postgres"])).expect("a connection");
    assert_eq!(user, "plain");
    // The same file elsewhere.
    let system = db.write("system/pg_service.conf", &services, 0o644);
    let directory = std::path::Path::new(&system).parent().expect("a directory");
    let mut command = db.command();
    command.env("PGSYSCONFDIR", directory).env("PGSERVICE", "here");
    assert_eq!(&reached(command).expect("a connection").0, by_service);
    db.write("served/.pg_service.conf", &services, 0o644);
    let mut command = db.command();
    command.env("HOME", db.path("served")).env("PGSERVICE", "here");
    assert_eq!(&reached(command).expect("a connection").0, by_service);
}

#[test]
fn what_cannot_be_read_or_kept_is_told() {
    let db = Listening::shared();
    let with = |variable: &str, value: &str, url: &str| {
        let mut command = db.command();
        command.args(["--url", url]).env(variable, value);
        command
    };
    let url = format!("postgresql://postgres:s3cret@127.0.0.1:{}/postgres", db.port);
    for (parameter, message) in [
        ("sslrotcert=x", "did you mean \"sslrootcert\"?"),
        ("nonsense=s3cret", "\"nonsense\""),
        ("gssencmode=require", "cannot keep what gssencmode in the URL asks for"),
        ("require_auth=scram-sha-256", "channel_binding=require asks for SCRAM over TLS"),
        ("sslcertmode=require", "cannot keep"),
        ("sslcrldir=/tmp", "sslcrl"),
        ("port=70000", "port in the URL is no port: \"70000\""),
        ("hostaddr=localhost", "hostaddr in the URL is no IP address: \"localhost\""),
        ("host=a,b&port=1,2,3", "there are 2 hosts and 3 ports"),
        ("sslnegotiation=direct", "sslnegotiation=direct does not go with sslmode=prefer"),
        ("connect_timeout=soon", "connect_timeout in the URL is no number"),
        ("target_session_attrs=best", "it may be any, read-write"),
        ("service=nowhere", "the service \"nowhere\" is defined nowhere"),
        ("sslmode", "has no value"),
    ] {
        refused(with("HOME", "/nowhere", &format!("{url}?{parameter}")), message);
    }
    // What harms nobody is no error.
    let harmless =
        "gssencmode=prefer&krbsrvname=x&sslcompression=1&keepalives_idle=60&client_encoding=LATIN1&requirepeer=x";
    reached(with("PGTZ", "UTC", &format!("{url}?{harmless}"))).expect("a connection");
    refused(with("PGREQUIREPEER", "postgres", "host=/tmp"), "cannot keep what PGREQUIREPEER asks for");
    refused(with("PGPORT", "many", "host=h"), "PGPORT is no port: \"many\"");
    refused(with("PGSERVICEFILE", "/nowhere", "service=here"), "the service file /nowhere does not exist");
    let file = db.write("wrong.conf", "[here]\nhost=h\nprot=1\n", 0o644);
    refused(with("PGSERVICEFILE", &file, "service=here"), "wrong.conf, line 3: there is no parameter \"prot\"");
    refused(with("PGHOST", "h", "mysql://me:s3cret@h/d"), "it does not start with postgresql://");
    let mut command = with("PGHOST", "h", &url);
    command.args(["--dbname", &url]);
    refused(command, "--url and --dbname both");
    let mut command = with("PGHOST", "h", &format!("{url}?host=127.0.0.1"));
    command.args(["--port", &free_port().to_string()]);
    refused(command, "Connection refused");
}

#[test]
fn hosts_are_tried_in_turn_until_one_will_do() {
    let db = Listening::shared();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener that never answers");
    let silent_port = silent.local_addr().expect("its number").port();
    let (nobody, port) = (free_port(), db.port);
    let url = |hosts: &str, more: &str| {
        let mut command = db.command();
        command.args(["--url", &format!("postgresql://postgres@{hosts}/postgres?{more}")]);
        command
    };
    let hosts = format!("127.0.0.1:{nobody},127.0.0.1:{port}");
    reached(url(&hosts, "")).expect("the second host");
    reached(url(&hosts, "load_balance_hosts=random")).expect("the second host");
    let started = Instant::now();
    let slow = format!("127.0.0.1:{silent_port},127.0.0.1:{port}");
    reached(url(&slow, "connect_timeout=2")).expect("the second host");
    assert!(started.elapsed() >= Duration::from_secs(2), "the first host was not tried");
    refused(url(&format!("127.0.0.1:{silent_port}"), "connect_timeout=1"), "no connection after 1 seconds");
    let none = format!("127.0.0.1:{nobody},127.0.0.1:{silent_port}");
    let both = format!("127.0.0.1, port {nobody}: error connecting to server");
    refused(url(&none, "connect_timeout=1"), &both);
    // A server that has answered has answered for all.
    let again = format!("127.0.0.1:{port},127.0.0.1:{nobody}");
    let mut missing = url(&again, "");
    missing.args(["--dbname", "no_such_database"]);
    let outcome = reached(missing).expect_err("no database");
    assert!(outcome.err.contains("3D000") && !outcome.err.contains(&nobody.to_string()), "{outcome:?}");

    let here = format!("127.0.0.1:{port}");
    let read_only = "options=-c%20default_transaction_read_only=on";
    for wanted in ["any", "read-write", "primary", "prefer-standby"] {
        reached(url(&here, &format!("target_session_attrs={wanted}"))).expect(wanted);
    }
    reached(url(&here, &format!("target_session_attrs=read-only&{read_only}"))).expect("a session that only reads");
    refused(url(&here, "target_session_attrs=read-only"), "its sessions may write");
    refused(url(&here, &format!("target_session_attrs=read-write&{read_only}")), "its sessions may not write");
    refused(url(&here, "target_session_attrs=standby"), "it is no standby");
}

#[test]
fn a_primary_is_told_from_its_standby() {
    let primary = Cluster::start(&["log_connections=on"]);
    let standby = primary.standby(&[]);
    // Who asks the standby first goes on to the primary only if that does not do.
    let hosts = format!("{},{}", standby.socket().display(), primary.socket().display());
    for (wanted, reaches_primary) in
        [("read-write", true), ("primary", true), ("standby", false), ("prefer-standby", false), ("read-only", false)]
    {
        let mut command = primary.with_connection(rolecall_tests::program(), "postgres", "postgres");
        let name = format!("wants-{wanted}");
        command.args(["plan", "-"]).env("PGHOST", &hosts).env("PGTARGETSESSIONATTRS", wanted).env("PGAPPNAME", &name);
        let outcome = run(command, "roles: {}");
        assert_eq!(outcome.code, 0, "{wanted}: {outcome:?}");
        let logged = primary.log().contains(&format!("application_name={name}"));
        assert_eq!(logged, reaches_primary, "{wanted}");
    }
}

#[test]
fn the_password_file_has_passwords_by_host_port_database_and_user() {
    let db = Listening::shared();
    let (first, second) = (db.cluster.plain_database().name, db.cluster.plain_database().name);
    let port = db.port;
    let file = db.write(
        "pgpass",
        &format!("127.0.0.1:{port}:{first}:carol:correct horse\n127.0.0.1:{port}:*:carol:wrong\n"),
        0o600,
    );
    let carol = |database: &str, more: &str| {
        let mut command = db.command();
        let url = format!("postgresql://carol@127.0.0.1:{port}/{database}?{more}");
        command.args(["--no-password", "--url", &url]).env("PGPASSFILE", &file);
        command
    };
    assert_eq!(reached(carol(&first, "")).expect("a connection"), (first.clone(), "carol".to_owned()));
    refused(carol(&second, ""), &format!("the password came from {file}"));
    refused(carol(&first, "passfile=/nowhere"), "the server wants a password, and none is known");
    refused(carol(&first, "password=wrong"), "the password came from password in the URL");
    reached(carol(&second, "password=correct%20horse")).expect("a password that was said");
    let mut by_variable = carol(&second, "");
    by_variable.env("PGPASSWORD", "correct horse");
    reached(by_variable).expect("a password in the environment");
    let open = db.write("open", "*:*:*:*:correct horse\n", 0o644);
    refused(carol(&first, &format!("passfile={open}")), "others may read the password file");
    // Which matters only where a password is wanted.
    reached(carol(&first, &format!("passfile={open}&user=postgres"))).expect("a connection without a password");
    db.write("carols/.pgpass", "*:*:*:carol:correct horse\n", 0o600);
    let mut command = carol(&first, "");
    command.env_remove("PGPASSFILE").env("HOME", db.path("carols"));
    reached(command).expect("a password in the home directory");
}

/// Runs `plan` as carol on a terminal of its own, answers every question, and returns the code and what was shown.
fn asked(db: &Listening, spec: &str, flags: &str, answer: &str) -> (i32, String) {
    let spec = db.write("asked.yaml", spec, 0o644);
    let url = format!("postgresql://carol@127.0.0.1:{}/postgres", db.port);
    let command = format!("'{}' plan '{spec}' --url '{url}' {flags}", rolecall_tests::program().display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).env("HOME", db.path("home"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        script.env_remove(name);
    }
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script starts");
    let (mut input, mut output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut told = Vec::new();
    let mut byte = [0];
    while output.read(&mut byte).expect("output") == 1 {
        told.push(byte[0]);
        if told.ends_with(b"Password for user carol: ") {
            // The terminal stops echoing after the question is there.
            std::thread::sleep(Duration::from_millis(500));
            input.write_all(answer.as_bytes()).expect("an answer");
        }
    }
    let code = child.wait().expect("it ends").code().expect("it was not killed");
    (code, String::from_utf8_lossy(&told).into_owned())
}

#[test]
fn a_person_at_a_terminal_is_asked_once_for_the_password() {
    let db = Listening::shared();
    let other = db.cluster.plain_database().name;
    let spec = format!("roles: {{}}\ndatabases: {{{other}: {{}}}}\n");
    for flags in ["", "--password"] {
        let (code, told) = asked(db, &spec, flags, "correct horse\n");
        assert_eq!(code, 0, "{told}");
        assert_eq!(told.matches("Password for user carol: ").count(), 1, "{told}");
        assert!(!told.contains("correct horse"), "{told}");
    }
    let (code, told) = asked(db, &spec, "", "wrong\n");
    assert!(code == 1 && told.contains("28P01") && told.contains("your answer"), "{told}");
    let (code, told) = asked(db, &spec, "--no-password", "");
    assert!(code == 1 && told.contains("none is known") && !told.contains("Password for"), "{told}");

    // Where there is no terminal, nobody is asked.
    let mut alone = Command::new("setsid");
    alone.args(["--wait".as_ref(), rolecall_tests::program().as_os_str()]);
    alone.args(["plan", "-", "--url", &format!("postgresql://carol@127.0.0.1:{}/postgres", db.port)]);
    alone.env("HOME", db.path("home")).env_remove("PGPASSWORD").env_remove("PGPASSFILE");
    let outcome = run(alone, "roles: {}");
    assert!(outcome.code == 1 && outcome.err.contains("nobody can be asked"), "{outcome:?}");
    assert!(outcome.err.contains("PGPASSWORD"), "{outcome:?}");
}
