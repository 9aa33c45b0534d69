//! How long the program takes for a first run and for one that finds nothing to do, beside the least SQL one could
//! send by hand and, where they are installed, other tools for the same.

use crate::provisioner_specs::{LEAST_QUERIES, Landscape, OWNER};
use crate::{median, milliseconds, table};
use comfy_table::Table;
use rolecall_tests::{Cluster, Database};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Rounds in which all take turns; the other tools, which may need a minute, only in the first.
const ROUNDS: usize = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tool {
    ByHand,
    Rolecall,
    Pgroles,
    Pgbedrock,
    Ldap2pg,
}

#[derive(Clone, Copy)]
enum Run {
    First,
    Plan,
    Again,
}

/// What one tool came to.
struct Results {
    tool: Tool,
    /// Seconds of each kind of run.
    times: [Vec<f64>; 3],
    /// KiB.
    memory: u64,
    /// Whether it made the same privileges as the statements by hand.
    same: bool,
}

impl Tool {
    const ALL: [Self; 5] = [Self::ByHand, Self::Rolecall, Self::Pgroles, Self::Pgbedrock, Self::Ldap2pg];

    fn name(self) -> &'static str {
        match self {
            Self::ByHand => "by hand: the least SQL, in psql",
            Self::Rolecall => "rolecall",
            Self::Pgroles => "pgroles",
            Self::Pgbedrock => "pgbedrock",
            Self::Ldap2pg => "ldap2pg",
        }
    }

    /// Where its program is: in a directory of `PEERS` or `PATH`; none for what needs no looking for.
    fn program(self) -> Option<PathBuf> {
        match self {
            Self::ByHand | Self::Rolecall => Some(PathBuf::new()),
            peer => [std::env::var_os("PEERS"), std::env::var_os("PATH")]
                .iter()
                .flatten()
                .flat_map(std::env::split_paths)
                .map(|directory| directory.join(peer.name()))
                .find(|program| program.is_file()),
        }
    }
}

/// The landscapes, one after the other: a table of figures for each, and which tools are missing.
pub fn measure() {
    let tools: Vec<Tool> = Tool::ALL.into_iter().filter(|tool| tool.program().is_some()).collect();
    for (schemas, tables, roles) in [(12, 100, 30), (100, 100, 200)] {
        let landscape = Landscape { schemas, tables, roles };
        println!("Laying out {schemas} schemas with {tables} tables each ...");
        println!("{}", one(&landscape, &tools));
    }
    let missing: Vec<&str> = Tool::ALL.iter().filter(|tool| !tools.contains(tool)).map(|tool| tool.name()).collect();
    if !missing.is_empty() {
        println!("Not installed (PEERS may name their directories): {}.", missing.join(", "));
    }
}

fn one(landscape: &Landscape, tools: &[Tool]) -> Table {
    let cluster = Cluster::start(&["shared_buffers=1GB", "max_wal_size=8GB", "autovacuum=off"]);
    // New databases are copies of this one.
    let mut template = cluster.try_connect("postgres", "template1").expect("the superuser connects");
    template.batch_execute(&landscape.layout()).expect("the layout");
    template.batch_execute("VACUUM ANALYZE").expect("statistics");
    drop(template);
    let mut all: Vec<Results> =
        tools.iter().map(|tool| Results { tool: *tool, times: Default::default(), memory: 0, same: true }).collect();
    for round in 0..ROUNDS {
        let mut expected = String::new();
        for results in &mut all {
            if round > 0 && !matches!(results.tool, Tool::ByHand | Tool::Rolecall) {
                continue;
            }
            let database = cluster.plain_database();
            let files = Files::write(landscape, &database);
            for (run, times) in [Run::First, Run::Plan, Run::Again].into_iter().zip(&mut results.times) {
                let (seconds, memory) = timed(command(results.tool, run, &database, &files));
                times.push(seconds);
                results.memory = results.memory.max(memory);
            }
            let state = state(&database);
            if results.tool == Tool::ByHand {
                expected = state;
            } else {
                results.same &= state == expected;
                assert!(results.same || results.tool != Tool::Rolecall, "rolecall made other privileges");
            }
            forget(&cluster, &database);
        }
    }
    let Landscape { schemas, tables, roles } = landscape;
    let title = format!("{schemas} schemas x {tables} tables, {roles} roles");
    let mut figures = table([&title, "first apply", "plan, nothing to do", "apply, nothing to do", "peak memory"]);
    let medians = |results: &Results| results.times.clone().map(median);
    let least = medians(&all[0]);
    for results in &all {
        let mut row = vec![results.tool.name().to_owned() + if results.same { "" } else { " (other privileges)" }];
        for (time, least) in medians(results).into_iter().zip(least) {
            row.push(format!("{} ({:.2} x)", milliseconds(time), time / least));
        }
        row.push(format!("{:.1} MiB", results.memory as f64 / 1024.0));
        figures.add_row(row);
    }
    figures
}

/// The tools' specs, in a directory of their own.
struct Files(tempfile::TempDir);

impl Files {
    fn write(landscape: &Landscape, database: &Database<'_>) -> Self {
        let files = Self(tempfile::tempdir().expect("a directory"));
        let roles = "SELECT rolname::text FROM pg_roles WHERE rolname ~ '^pg_' AND rolname <> 'pg_signal_backend'";
        let predefined =
            database.admin().query(roles, &[]).expect("roles").iter().map(|row| row.get(0)).collect::<Vec<_>>();
        let texts = [
            (Tool::Rolecall, landscape.rolecall()),
            (Tool::Pgroles, landscape.pgroles()),
            (Tool::Pgbedrock, landscape.pgbedrock(&predefined)),
            (Tool::Ldap2pg, landscape.ldap2pg(&database.name)),
        ];
        for (tool, text) in texts {
            std::fs::write(files.spec(tool), text).expect("a spec");
        }
        std::fs::write(files.script(Run::First), landscape.least_sql()).expect("a script");
        std::fs::write(files.script(Run::Plan), LEAST_QUERIES).expect("a script");
        files
    }

    fn spec(&self, tool: Tool) -> PathBuf {
        self.0.path().join(format!("{}.yml", tool.name()))
    }

    fn script(&self, run: Run) -> PathBuf {
        self.0.path().join(if matches!(run, Run::First) { "first.sql" } else { "again.sql" })
    }
}

fn command(tool: Tool, run: Run, database: &Database<'_>, files: &Files) -> Command {
    let plan = matches!(run, Run::Plan);
    let spec = files.spec(tool);
    let connected =
        || database.cluster().with_connection(tool.program().unwrap_or_default(), "postgres", &database.name);
    match tool {
        Tool::ByHand => {
            let mut psql = database.psql("postgres");
            psql.args(["--quiet", "--no-align", "--tuples-only", "--output=/dev/null", "--file"])
                .arg(files.script(run));
            psql
        }
        Tool::Rolecall => {
            let mut rolecall = database.rolecall("postgres");
            rolecall.args(if plan { &["plan"][..] } else { &["apply", "--yes"] }).arg(spec);
            rolecall
        }
        Tool::Pgroles => {
            let mut pgroles = connected();
            let socket = database.cluster().socket().display().to_string().replace('/', "%2F");
            pgroles.args([if plan { "diff" } else { "apply" }, "--mode", "adopt", "--database-url"]);
            pgroles.arg(format!("postgres://postgres@{socket}/{}", database.name)).arg("--file").arg(spec);
            pgroles
        }
        Tool::Pgbedrock => {
            let mut pgbedrock = connected();
            pgbedrock.args([
                "configure",
                if plan { "--check" } else { "--live" },
                "-U",
                "postgres",
                "-d",
                &database.name,
            ]);
            pgbedrock.arg("-h").arg(database.cluster().socket()).arg(spec);
            pgbedrock
        }
        Tool::Ldap2pg => {
            let mut ldap2pg = connected();
            ldap2pg.arg(if plan { "--dry" } else { "--real" }).arg("--config").arg(spec);
            ldap2pg
        }
    }
}

/// Seconds from start to end, the program's own start included, and the most memory it held, in KiB.
fn timed(mut command: Command) -> (f64, u64) {
    let output = tempfile::tempfile().expect("a file");
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a handle"))
        .stderr(output.try_clone().expect("a handle"));
    let start = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut memory = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().expect("a child") {
            break ended;
        }
        memory = peak(&status).unwrap_or(memory);
        std::thread::sleep(Duration::from_millis(1));
    };
    let seconds = start.elapsed().as_secs_f64();
    assert!(ended.success(), "{command:?}: {ended}\n{}", told(output));
    (seconds, memory)
}

/// The high-water mark of a process's resident memory; none once it is ending.
fn peak(status: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn told(mut output: std::fs::File) -> String {
    use std::io::{Read, Seek};
    let mut text = String::new();
    output.rewind().expect("a file");
    let _ = output.read_to_string(&mut text);
    text
}

/// All privileges, default privileges and memberships, boiled down.
fn state(database: &Database<'_>) -> String {
    let sql = "SELECT md5(string_agg(fact, ',' ORDER BY fact COLLATE \"C\")) FROM (
        SELECT concat_ws(' ', 'table', oid::regclass, grantee::regrole, privilege_type) AS fact
            FROM pg_class, aclexplode(relacl) WHERE grantee <> relowner AND oid >= 16384
        UNION ALL SELECT concat_ws(' ', 'schema', nspname, grantee::regrole, privilege_type)
            FROM pg_namespace, aclexplode(nspacl) WHERE grantee <> nspowner AND oid >= 16384
        UNION ALL SELECT concat_ws(' ', 'future', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, grantee::regrole, privilege_type)
            FROM pg_default_acl, aclexplode(defaclacl)
        UNION ALL SELECT concat_ws(' ', 'member', member::regrole, roleid::regrole) FROM pg_auth_members
        UNION ALL SELECT concat_ws(' ', 'role', rolname, rolcanlogin) FROM pg_roles) facts";
    database.admin().query_one(sql, &[]).expect("facts").get(0)
}

/// Drops the database and the roles that were made for it.
fn forget(cluster: &Cluster, database: &Database<'_>) {
    let mut admin = cluster.try_connect("postgres", "postgres").expect("the superuser connects");
    admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", database.name)).expect("a drop");
    let roles = format!(
        "SELECT string_agg(quote_ident(rolname), ', ') FROM pg_roles WHERE rolname !~ '^(pg_|postgres$|{OWNER}$)'"
    );
    let roles: String = admin.query_one(&roles, &[]).expect("roles").get(0);
    admin.batch_execute(&format!("DROP ROLE {roles}")).expect("a drop");
}
