//! Stories: what people do with rolecall, and what attackers try, against a real server. One file per capability.

mod dump;
mod filters;
mod flowdb;
mod folding;
mod forgery;
mod identity;
mod permissions;
mod pooler;
mod provisioner;
mod provisioner_cases;
mod provisioner_drift;
mod provisioner_specs;
mod provisioner_world;
mod readme;
mod roles;
mod secrets;
mod standby;
mod support;
