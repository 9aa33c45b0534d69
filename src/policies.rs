//! Permissions made into row-level-security policies.
//!
//! Each command of a protected table has one permissive policy and one restrictive gate with the same expression. The
//! gate keeps a policy that somebody else adds from widening what is allowed; PostgreSQL evaluates equal expressions
//! once when it reads.

use crate::error::Error;
use crate::filters;
use crate::permissions::ACTIONS;
use pgrx::prelude::*;
use policy::row_policy::{self, Branch};
use std::collections::HashMap;

/// Turns row-level security on, for the owner too.
pub fn enable(target: pg_sys::Oid) -> Result<(), Error> {
    alter(target, "ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
}

/// Removes the policies and turns row-level security off.
pub fn disable(target: pg_sys::Oid) -> Result<(), Error> {
    let table = filters::name_of(target)?;
    for action in ACTIONS {
        for policy in [name(action), gate(action)] {
            Spi::run(&format!("DROP POLICY IF EXISTS {policy} ON {table}"))?;
        }
    }
    alter(target, "DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
}

/// Makes the policies say what the permissions say. A policy that says it already is left alone: changing one locks
/// the table against everybody.
pub fn recompile(target: pg_sys::Oid) -> Result<(), Error> {
    let wanted = clauses(target)?;
    let present = compiled(target)?;
    let table = filters::name_of(target)?;
    for (action, clauses) in ACTIONS.iter().zip(&wanted) {
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
fn clauses(target: pg_sys::Oid) -> Result<[String; 4], Error> {
    let description = filters::describe(target)?;
    // By action and whether they are about the rows it writes or those it finds.
    let mut branches: HashMap<(String, bool), Vec<Branch>> = HashMap::new();
    Spi::connect(|client| {
        let query = "SELECT action, role, filter::pg_catalog.text, coalesce(new_row, filter)::pg_catalog.text
                       FROM rolecall.permissions WHERE target = $1 ORDER BY role";
        for row in client.select(query, None, &[target.into()])? {
            let text = |column| Ok::<_, Error>(row.get::<String>(column)?.unwrap_or_default());
            for (written, column) in [(false, 3), (true, 4)] {
                let condition = filters::read(&description, &text(column)?)?.to_sql();
                branches.entry((text(1)?, written)).or_default().push(Branch { role: text(2)?, condition });
            }
        }
        Ok::<_, Error>(())
    })?;
    let of = |action: &str| branches.get(&(action.to_owned(), false)).map_or(&[] as &[Branch], Vec::as_slice);
    let written = |action: &str| branches.get(&(action.to_owned(), true)).map_or(&[] as &[Branch], Vec::as_slice);
    let (select, update, delete) = (of("select"), of("update"), of("delete"));
    let passes = row_policy::expression;
    Ok([
        format!("USING ({})", passes(&[select])),
        format!("WITH CHECK ({})", passes(&[written("insert")])),
        format!("USING ({}) WITH CHECK ({})", passes(&[select, update]), passes(&[written("update")])),
        format!("USING ({})", passes(&[select, delete])),
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
