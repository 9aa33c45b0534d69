//! Stories: what people do with rolecall, and what attackers try, against a real server. One file per capability.

mod accounts;
mod audit;
mod becoming;
mod dump;
mod filters;
mod flowdb;
mod folding;
mod forgery;
mod gateway;
mod identity;
mod last_administrator;
mod passwords;
mod permissions;
mod provisioner;
mod provisioner_cases;
mod provisioner_drift;
mod provisioner_specs;
mod provisioner_world;
mod readme;
mod registration;
mod roles;
mod support;
