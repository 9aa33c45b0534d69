//! Stories: what people do with rolecall, and what attackers try, against a real server. One file per capability.

mod api_tokens;
mod dump;
mod filters;
mod flowdb;
mod folding;
mod forgery;
mod identity;
mod issuers;
mod jwt;
mod permissions;
mod pooler;
mod provisioner;
mod provisioner_cases;
mod provisioner_drift;
mod provisioner_specs;
mod provisioner_world;
mod pyjwt;
mod readme;
mod roles;
mod secrets;
mod standby;
mod support;
mod token_attacks;
mod tokens;
