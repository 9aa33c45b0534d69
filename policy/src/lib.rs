//! The rules of rolecall, without PostgreSQL in them, so that they are tested in milliseconds.

pub mod access;
pub mod acl;
pub mod acl_edit;
pub mod claims;
pub mod filter;
pub mod id_set;
pub mod identity;
pub mod jsonb;
pub mod kits;
pub mod password;
pub mod preset_trigger;
pub mod registration;
pub mod row_policy;
pub mod scope;
pub mod server;
pub mod server_token;
pub mod spec;
pub mod sql;
pub mod throttle;
