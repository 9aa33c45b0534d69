//! Permissions made into row-level-security policies.
//!
//! Each command of a protected table has one permissive policy and one restrictive gate with the same expression. The
//! gate keeps a policy that somebody else adds from widening what is allowed; PostgreSQL evaluates equal expressions
//! once when it reads.

use crate::error::{Error, Reported};
use crate::exposed;
use crate::filters;
use crate::permissions::{self, ACTIONS};
use crate::presets;
use crate::query;
use pgrx::prelude::*;
use policy::filter::Table;
use policy::row_policy::{self, Branch};
use std::cell::Cell;
use std::collections::HashMap;

/// Protects a table, with its partitions and children: whoever reads one of those directly does not pass its policies.
pub fn enable(target: pg_sys::Oid) -> Result<(), Error> {
    let _ours = Ours::begin();
    alter(target, ON)?;
    recompile(target)
}

/// Removes the policies, of partitions and children too, and turns row-level security off.
pub fn disable(target: pg_sys::Oid) -> Result<(), Error> {
    let _ours = Ours::begin();
    exposed::remove(target)?;
    presets::remove(target)?;
    for table in [vec![target], children(target)?].concat() {
        let name = filters::name_of(table)?;
        for action in ACTIONS {
            for policy in [self::name(action), gate(action)] {
                Spi::run(&format!("DROP POLICY IF EXISTS {policy} ON {name}"))?;
            }
        }
        alter(table, "DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")?;
        Spi::run_with_args("DELETE FROM rolecall.compiled_policies WHERE target = $1", &[table.into()])?;
    }
    Ok(())
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
    let table = filters::describe(target)?;
    let wanted = clauses(target, &table)?;
    let children = children(target)?;
    apply(target, &wanted)?;
    for child in &children {
        include(*child, &wanted)?;
    }
    presets::apply(target, &table, &children)?;
    exposed::refresh(target, &table)
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

const ON: &str = "ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY";

thread_local! {
    /// How many of rolecall's own changes of tables are under way.
    static OURS: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, what happens to tables is rolecall's own doing.
struct Ours;

impl Ours {
    fn begin() -> Self {
        OURS.set(OURS.get() + 1);
        Self
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        OURS.set(OURS.get() - 1);
    }
}

fn include(child: pg_sys::Oid, wanted: &[String; 4]) -> Result<(), Error> {
    if compiled(child)?.is_empty() {
        alter(child, ON)?;
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
    let table = filters::name_of(target)?;
    for (action, clauses) in ACTIONS.iter().zip(wanted) {
        let former = present.get(*action);
        if former == Some(clauses) {
            continue;
        }
        for (policy, kind) in [(name(action), "PERMISSIVE"), (gate(action), "RESTRICTIVE")] {
            if former.is_some() {
                Spi::run(&format!("ALTER POLICY {policy} ON {table} {clauses}"))?;
            } else {
                Spi::run(&format!("DROP POLICY IF EXISTS {policy} ON {table}"))?;
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

/// The clauses of each action's policies. What one updates or deletes, one must also be able to read.
fn clauses(target: pg_sys::Oid, description: &Table) -> Result<[String; 4], Error> {
    // By action and whether they are about the rows it writes or those it finds.
    let mut branches: HashMap<(String, bool), Vec<Branch>> = HashMap::new();
    Spi::connect(|client| {
        let query = "SELECT action, role, filter::pg_catalog.text, coalesce(new_row, filter)::pg_catalog.text, columns,
                            preset::pg_catalog.text
                       FROM rolecall.permissions WHERE target = $1 ORDER BY role";
        for row in client.select(query, None, &[target.into()])? {
            let text = |column| Ok::<_, Error>(row.get::<String>(column)?.unwrap_or_default());
            for (written, column) in [(false, 3), (true, 4)] {
                let mut condition = filters::read(description, &text(column)?)?.to_sql();
                if let (true, Some(preset)) = (written, row.get::<String>(6)?) {
                    condition = format!("({condition} AND {})", presets::read(description, &preset)?.condition());
                }
                let branch = Branch { role: text(2)?, condition, columns: row.get(5)? };
                branches.entry((text(1)?, written)).or_default().push(branch);
            }
        }
        Ok::<_, Error>(())
    })?;
    let of = |action: &str| branches.get(&(action.to_owned(), false)).map_or(&[] as &[Branch], Vec::as_slice);
    let written = |action: &str| branches.get(&(action.to_owned(), true)).map_or(&[] as &[Branch], Vec::as_slice);
    let (select, update, delete) = (of("select"), of("update"), of("delete"));
    let passes = row_policy::expression;
    Ok([
        format!("USING ({})", passes("select", &[select])),
        format!("WITH CHECK ({})", passes("insert", &[written("insert")])),
        format!(
            "USING ({}) WITH CHECK ({})",
            passes("update", &[select, update]),
            passes("update", &[written("update")])
        ),
        format!("USING ({})", passes("delete", &[select, delete])),
    ])
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

fn alter(target: pg_sys::Oid, what: &str) -> Result<(), Error> {
    Ok(Spi::run(&format!("ALTER TABLE {} {what}", filters::name_of(target)?))?)
}

fn name(action: &str) -> String {
    format!("rolecall_{action}")
}

fn gate(action: &str) -> String {
    format!("rolecall_{action}_gate")
}
