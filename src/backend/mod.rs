//! What must touch PostgreSQL's internals: the only module with `unsafe` code.
//!
//! | module | what |
//! |---|---|
//! | [`setting`] | the setting that carries the identity, which only the extension can set |
//! | [`session`] | what the identity may do, looked up once and kept until something changes |
//! | [`account`] | the user or API token behind an identity, from the tables |
//! | [`catalog`] | reading rolecall's tables without privileges, snapshots or SPI |
//! | [`change`] | changing single rows of them, likewise |
//! | [`policy_text`] | whether a policy still says what it was made to say |
//! | [`predicates`] | `has_role()` and `has_scope()`, called for every row where they were not folded |
//! | [`acl`] | access-control lists of rows, judged for every row |
//! | [`fold`] | role and scope tests replaced by true or false when a query is planned |
//! | [`fields`] | likewise, which columns a statement touches |
//! | [`id_set`] | the keys of related rows, in which each row's is looked for |
//! | [`relations`] | which of two forms of a relation the planner takes |
//! | [`memory`] | a reserve for when memory runs out |
//! | [`executor`] | the hooks that check the identity when a statement starts |
//! | [`extension`] | what is made while an extension's script runs, and belongs to none |
//! | [`owner`] | what a caller may cause but not do: as the extension's owner |
//! | [`variables`] | `user_id()` and the others, called for every row |
//! | [`varlena`] | values of variable length, read where they lie |

pub mod account;
pub mod acl;
pub mod caller;
pub mod catalog;
pub mod change;
pub mod executor;
pub mod extension;
mod fields;
mod fold;
mod id_set;
pub mod jsonb;
pub mod keys;
pub mod memory;
pub mod owner;
mod policy_text;
mod predicates;
mod relations;
pub mod session;
pub mod setting;
pub mod statement;
mod trigger;
mod variables;
mod varlena;

use pgrx::prelude::*;

#[allow(non_snake_case)]
#[pg_guard]
pub unsafe extern "C-unwind" fn _PG_init() {
    errors_without_backtraces();
    memory::refill();
    setting::define();
    session::watch();
    executor::install();
}

/// An error that passes Rust's frames would get a backtrace as its DETAIL where `RUST_BACKTRACE` happens to be set.
/// `RUST_LIB_BACKTRACE` still asks for that.
fn errors_without_backtraces() {
    const VARIABLE: &str = "RUST_LIB_BACKTRACE";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: PostgreSQL's processes have one thread.
        unsafe { std::env::set_var(VARIABLE, "0") };
    }
}
