//! rolecall: access control that lives in PostgreSQL.
//!
//! The extension is a thin skin: one module per section of its surface, over the pure rules of the `policy` crate. What
//! must touch PostgreSQL's internals, and the only `unsafe` code, is in [`backend`].

// Nothing can be tested without a server, nor linked: what `--all-targets` makes of this as a test is empty.
#![cfg(not(test))]
// pgrx raises errors as this type, and raising one costs more than moving it.
#![allow(clippy::result_large_err)]

mod acls;
mod administrators;
mod api_tokens;
mod attempts;
#[allow(unsafe_code)]
mod backend;
mod default_permissions;
mod error;
mod explain;
mod exposed;
mod filters;
mod identity;
mod issuers;
mod kits;
mod messages;
mod password;
mod passwords;
mod permissions;
mod policies;
mod presets;
mod query;
mod queues;
mod refusal;
mod registration;
mod relation_views;
mod relations;
mod renames;
mod roles;
mod rows;
mod scopes;
mod server_tokens;
mod servers;
mod signing;
mod tables;
mod tokens;
mod users;
mod who_can;

pgrx::pg_module_magic!();
