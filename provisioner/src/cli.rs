//! The command line.

use crate::connection::ConnectionArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Makes a PostgreSQL cluster's roles and privileges match one file.
#[derive(Debug, Parser)]
#[command(name = "rolecall", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// Where
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Say only what was asked for and what went wrong
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a commented spec to start from
    Init {
        /// Which one
        #[arg(long, value_enum, default_value_t = Template::App)]
        template: Template,
    },
    /// Show what would change; exit 0 nothing, 2 something, 1 error
    Plan {
        #[command(flatten)]
        run: RunArgs,
        /// How to show it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// Keep the plan in a file, for `apply` to do exactly that or nothing
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Change it, in one transaction per database; exit 0 done, 3 something was left for want of a flag, 1 error
    Apply {
        #[command(flatten)]
        run: RunArgs,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Say whether anything would change, for CI; exit codes as plan
    Check {
        #[command(flatten)]
        run: RunArgs,
    },
    /// Make a login that may what ROLE may, with a temporary password that is printed once
    AddUser {
        /// The new role
        name: String,
        /// The role it becomes a member of
        #[arg(long, value_name = "ROLE")]
        like: String,
    },
    /// Print the present roles and privileges as a spec; its plan is empty
    Export {
        /// Only these schemas; * stands for any characters
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        schemas: Vec<String>,
    },
    /// Say what a role may, and why
    Explain {
        /// The role
        role: String,
        /// Only on this object, such as "table shop.orders", "schema shop" or shop.orders
        object: Option<String>,
    },
    /// Say who may what on an object, and why
    Who {
        /// The object, such as "table shop.orders", "schema shop" or shop.orders
        object: String,
    },
    /// Say what leads past rolecall's rules in this database, and the statements that mend it; exit 0 nothing but notices,
    /// 2 something, 1 error
    Doctor,
    /// Write the roles, memberships and privileges as a page for people
    Report {
        /// The page: one file that opens without a network
        #[arg(long, value_name = "FILE")]
        html: PathBuf,
    },
    /// Print the JSON Schema of a spec
    Schema,
}

/// What plan, apply and check have in common.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The spec, YAML or JSON, or for apply a saved plan; - for standard input
    pub spec: PathBuf,
    /// Take away privileges and memberships that the spec does not declare
    #[arg(long)]
    pub revoke: bool,
    /// Drop the roles that shall be gone: those to retire, and managed ones that the spec does not declare
    #[arg(long)]
    pub drop: bool,
    /// Change owners to those the spec names
    #[arg(long)]
    pub owner: bool,
    /// The server's lock_timeout, such as 5s
    #[arg(long, value_name = "TIME")]
    pub lock_timeout: Option<String>,
    /// The server's statement_timeout
    #[arg(long, value_name = "TIME")]
    pub statement_timeout: Option<String>,
}

/// Specs to start from.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Template {
    /// A service's schema with an owner, a writer and a reader
    App,
    /// FlowDB's schemas and its group roles flowmachine and flowapi
    Flowdb,
}

/// Forms of a plan.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// Lines for people
    Text,
    /// For programs
    Json,
    /// A script for psql
    Sql,
}
