//! Permissions made into row-level-security policies.
//!
//! Each command of a protected table has one permissive policy and one restrictive gate with the same expression. The
//! gate keeps a policy that somebody else adds from widening what is allowed; PostgreSQL evaluates equal expressions
//! once when it reads.

use crate::acls;
use crate::backend::extension;
use crate::error::{Error, Reported};
use crate::exposed;
use crate::permissions::{self, ACTIONS};
use crate::presets;
use crate::query;
use crate::relation_views::{self, Condition};
use crate::tables::{Tables, name_of, row_name};
use pgrx::prelude::*;
use policy::filter::Preset;
use policy::row_policy::{self, Branch};
use policy::sql::{identifier, literal};
use std::cell::Cell;
use std::collections::HashMap;

/// Protects a table, with its partitions and children: whoever reads one of those directly does not pass its policies.
pub fn enable(target: pg_sys::Oid) -> Result<(), Error> {
    let _ours = Ours::begin();
    turn_on(target)?;
    recompile(target)
}

/// Removes the policies, of partitions and children too, and turns row-level security off.
pub fn disable(target: pg_sys::Oid) -> Result<(), Error> {
    let _ours = Ours::begin();
    exposed::remove(target)?;
    presets::remove(target)?;
    for table in [vec![target], children(target)?].concat() {
        let name = name_of(table)?;
        for action in ACTIONS {
            for policy in [self::name(action), gate(action)] {
                drop_policy(table, &policy, &name)?;
            }
        }
        Spi::run(&format!("ALTER TABLE {name} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY"))?;
        let gated = "SELECT true FROM pg_catalog.pg_trigger WHERE tgrelid = $1 AND tgname = 'rolecall_truncate'";
        if query::one::<bool>(gated, &[table.into()])?.is_some() {
            Spi::run(&format!("DROP TRIGGER rolecall_truncate ON {name}"))?;
        }
        Spi::run_with_args("DELETE FROM rolecall.compiled_policies WHERE target = $1", &[table.into()])?;
    }
    relation_views::sweep()
}

/// A column that permissions are limited to is gone.
#[pg_extern(sql = false)]
fn recompile_for_ddl(target: pg_sys::Oid) -> Reported<()> {
    Ok(recompile(target)?)
}

/// Whether what happens to tables is rolecall's own doing.
pub fn is_quiet() -> bool {
    OURS.get() > 0
}

/// Does what is rolecall's own doing.
pub fn quietly<T>(action: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let _ours = Ours::begin();
    action()
}

/// Makes the policies say what the permissions say.
pub fn recompile(target: pg_sys::Oid) -> Result<(), Error> {
    let _ours = Ours::begin();
    let tables = Tables::default();
    let rules = rules(&tables, target)?;
    let children = children(target)?;
    let name = name_of(target)?;
    let acl = acls::column_of(target)?;
    apply(target, &clauses(&rules, acl.as_deref(), &row_name(target)?, &name))?;
    for child in &children {
        include(*child, &clauses(&rules, acl.as_deref(), &row_name(*child)?, &name))?;
    }
    presets::apply(target, &*tables.get(target)?, acl.as_deref(), &children)?;
    exposed::refresh(&tables, target)?;
    relation_views::sweep()
}

/// Gives the rules of a protected table to those of its partitions and children that have none.
#[pg_extern(sql = false)]
fn include_children(target: pg_sys::Oid) -> Reported<()> {
    // What rolecall itself does to a table is no news to it.
    if is_quiet() {
        return Ok(());
    }
    let _ours = Ours::begin();
    // While a dump is restored its policies are still to come: then there is a record of them already.
    let mut any = false;
    for child in children(target)? {
        let query = "SELECT true FROM rolecall.compiled_policies WHERE target = $1 LIMIT 1";
        any |= query::one::<bool>(query, &[child.into()])?.is_none();
    }
    if any {
        // Whoever changes the rules meanwhile waits, or has seen the child.
        permissions::lock(target)?;
        recompile(target)?;
    }
    Ok(())
}

/// Gives a table the rules of the protected tables that it is a partition or child of.
pub fn inherit(target: pg_sys::Oid) -> Result<(), Error> {
    let parents = Spi::connect(|client| {
        let query = "WITH RECURSIVE above AS (
                SELECT inhparent AS parent FROM pg_catalog.pg_inherits WHERE inhrelid = $1
                 UNION
                SELECT i.inhparent FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.parent)
            SELECT p.target FROM above a JOIN rolecall.protected_tables p ON p.target = a.parent ORDER BY 1";
        let mut parents = Vec::new();
        for row in client.select(query, None, &[target.into()])? {
            parents.extend(row.get::<pg_sys::Oid>(1)?);
        }
        Ok::<_, Error>(parents)
    })?;
    parents.into_iter().try_for_each(recompile)
}

/// Whether a table has the rules of a parent that it is no longer part of.
pub fn is_left_over(target: pg_sys::Oid) -> Result<bool, Error> {
    let query = "SELECT EXISTS (SELECT FROM rolecall.compiled_policies WHERE target = $1)
                    AND NOT EXISTS (SELECT FROM rolecall.protected_tables WHERE target = $1)
                    AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = $1)";
    Ok(query::one::<bool>(query, &[target.into()])? == Some(true))
}

/// Row-level security, and a gate for the command that it does not know.
/// Does only what is not so yet: for either statement the table must have no reader.
fn turn_on(target: pg_sys::Oid) -> Result<(), Error> {
    let name = name_of(target)?;
    let is_on = "SELECT relrowsecurity AND relforcerowsecurity FROM pg_catalog.pg_class WHERE oid = $1";
    if query::one::<bool>(is_on, &[target.into()])? != Some(true) {
        Spi::run(&format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"))?;
    }
    let is_guarded = "SELECT true FROM pg_catalog.pg_trigger \
        WHERE tgrelid = $1 AND tgname = 'rolecall_truncate' AND tgenabled IN ('O', 'A') \
          AND tgfoid = 'rolecall_relations.guard_truncate()'::pg_catalog.regprocedure";
    if query::one::<bool>(is_guarded, &[target.into()])?.is_none() {
        Spi::run(&format!(
            "CREATE OR REPLACE TRIGGER rolecall_truncate BEFORE TRUNCATE ON {name} \
             FOR EACH STATEMENT EXECUTE FUNCTION rolecall_relations.guard_truncate()"
        ))?;
    }
    Ok(())
}

thread_local! {
    /// How many of rolecall's own changes of tables are under way.
    static OURS: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, what happens to tables is rolecall's own doing, and what is made belongs to no extension, whoever's
/// script is running: `pg_dump` leaves out what an extension's script has made.
struct Ours {
    made_for_extension: bool,
}

impl Ours {
    fn begin() -> Self {
        OURS.set(OURS.get() + 1);
        Self { made_for_extension: extension::make_members(false) }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        extension::make_members(self.made_for_extension);
        OURS.set(OURS.get() - 1);
    }
}

fn include(child: pg_sys::Oid, wanted: &[String; 4]) -> Result<(), Error> {
    if compiled(child)?.is_empty() {
        turn_on(child)?;
    }
    apply(child, wanted)
}

/// The partitions and children of a table, to any depth, that have no rules of their own. A foreign table can have no
/// policies.
fn children(target: pg_sys::Oid) -> Result<Vec<pg_sys::Oid>, Error> {
    Spi::connect(|client| {
        let query = "WITH RECURSIVE below AS (
                SELECT inhrelid AS child FROM pg_catalog.pg_inherits WHERE inhparent = $1
                 UNION
                SELECT i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.child)
            SELECT b.child FROM below b JOIN pg_catalog.pg_class c ON c.oid = b.child
             WHERE c.relkind IN ('r', 'p')
               AND NOT EXISTS (SELECT FROM rolecall.protected_tables p WHERE p.target = b.child)
             ORDER BY 1";
        let mut children = Vec::new();
        for row in client.select(query, None, &[target.into()])? {
            children.extend(row.get::<pg_sys::Oid>(1)?);
        }
        Ok(children)
    })
}

/// Makes a table's policies have these clauses. One that has them already is left alone: changing one locks the table
/// against everybody.
fn apply(target: pg_sys::Oid, wanted: &[String; 4]) -> Result<(), Error> {
    let present = compiled(target)?;
    let table = name_of(target)?;
    for (action, clauses) in ACTIONS.iter().zip(wanted) {
        let former = present.get(*action);
        if former == Some(clauses) {
            continue;
        }
        for (policy, kind) in [(name(action), "PERMISSIVE"), (gate(action), "RESTRICTIVE")] {
            if former.is_some() {
                Spi::run(&format!("ALTER POLICY {policy} ON {table} {clauses}"))?;
            } else {
                drop_policy(target, &policy, &table)?;
                Spi::run(&format!("CREATE POLICY {policy} ON {table} AS {kind} FOR {action} {clauses}"))?;
            }
        }
        Spi::run_with_args(
            "INSERT INTO rolecall.compiled_policies (target, action, clauses) VALUES ($1, $2, $3) \
             ON CONFLICT (target, action) DO UPDATE SET clauses = excluded.clauses",
            &[target.into(), (*action).into(), clauses.as_str().into()],
        )?;
    }
    Ok(())
}

/// What a role may do: the rows it may do it with, and those it may write.
struct Rule {
    action: String,
    role: String,
    rows: Condition,
    written: Condition,
    columns: Option<Vec<String>>,
    preset: Option<Preset>,
}

fn rules(tables: &Tables, target: pg_sys::Oid) -> Result<Vec<Rule>, Error> {
    let table = tables.get(target)?;
    let query = "SELECT action, role, filter::pg_catalog.text, coalesce(new_row, filter)::pg_catalog.text,
                        preset::pg_catalog.text, columns
                   FROM rolecall.permissions WHERE target = $1 ORDER BY role";
    let rows = Spi::connect(|client| {
        let mut rows = Vec::new();
        for row in client.select(query, None, &[target.into()])? {
            let text = |column| row.get::<String>(column);
            let texts = [text(1)?, text(2)?, text(3)?, text(4)?].map(Option::unwrap_or_default);
            rows.push((texts, text(5)?, row.get::<Vec<String>>(6)?));
        }
        Ok::<_, Error>(rows)
    })?;
    let rule = |([action, role, filter, written], preset, columns): ([String; 4], Option<String>, _)| {
        Ok(Rule {
            action,
            role,
            rows: Condition::read(tables, target, &filter)?,
            written: Condition::read(tables, target, &written)?,
            columns,
            preset: preset.map(|preset| presets::read(&table, &preset)).transpose()?,
        })
    };
    rows.into_iter().map(rule).collect()
}

/// The clauses of each action's policies, where `row` is what a table calls its rows, `acl` its column of ACLs and `table`
/// whose rules they are. What one updates or deletes, one must also be able to read.
fn clauses(rules: &[Rule], acl: Option<&str>, row: &str, table: &str) -> [String; 4] {
    // By action and whether they are about the rows it writes or those it finds.
    let mut branches: HashMap<(&str, bool), Vec<Branch>> = HashMap::new();
    for rule in rules {
        for (written, condition) in [(false, &rule.rows), (true, &rule.written)] {
            let mut condition = condition.sql(row);
            if let (true, Some(preset)) = (written, &rule.preset) {
                condition = format!("({condition} AND {})", preset.condition());
            }
            let branch = Branch { role: rule.role.clone(), condition, columns: rule.columns.clone() };
            branches.entry((&rule.action, written)).or_default().push(branch);
        }
    }
    let of = |action| branches.get(&(action, false)).map_or(&[] as &[Branch], Vec::as_slice);
    let written = |action| branches.get(&(action, true)).map_or(&[] as &[Branch], Vec::as_slice);
    let (select, update, delete) = (of("select"), of("update"), of("delete"));
    let acl = acl.map(|column| format!("{}.{}", identifier(row), identifier(column)));
    let passes = |permissions: &[(&str, &[Branch])]| row_policy::expression(acl.as_deref(), permissions);
    let refused = |action| format!("rolecall_relations.refused('{action}', {}::pg_catalog.regclass)", literal(table));
    [
        format!("USING ({})", passes(&[("select", select)])),
        format!("WITH CHECK ({} OR {})", passes(&[("insert", written("insert"))]), refused("insert")),
        format!(
            "USING ({}) WITH CHECK ({} OR {})",
            passes(&[("select", select), ("update", update)]),
            passes(&[("update", written("update"))]),
            refused("update")
        ),
        format!("USING ({})", passes(&[("select", select), ("delete", delete)])),
    ]
}

/// Drops a policy that may be there, without a notice where it is not.
fn drop_policy(target: pg_sys::Oid, policy: &str, table: &str) -> Result<(), Error> {
    let there = "SELECT true FROM pg_catalog.pg_policy WHERE polrelid = $1 AND polname = $2::name";
    if query::one::<bool>(there, &[target.into(), policy.into()])?.is_some() {
        Spi::run(&format!("DROP POLICY {policy} ON {table}"))?;
    }
    Ok(())
}

fn compiled(target: pg_sys::Oid) -> Result<HashMap<String, String>, Error> {
    Spi::connect(|client| {
        // One that somebody has dropped is made again.
        let query = "SELECT action, clauses FROM rolecall.compiled_policies c WHERE target = $1 AND 2 =
                        (SELECT pg_catalog.count(*) FROM pg_catalog.pg_policy p WHERE p.polrelid = c.target
                            AND p.polname IN ('rolecall_' || c.action, 'rolecall_' || c.action || '_gate'))";
        let mut present = HashMap::new();
        for row in client.select(query, None, &[target.into()])? {
            present.insert(row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default());
        }
        Ok(present)
    })
}

fn name(action: &str) -> String {
    format!("rolecall_{action}")
}

fn gate(action: &str) -> String {
    format!("rolecall_{action}_gate")
}
