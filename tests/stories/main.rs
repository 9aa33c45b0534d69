//! Stories: what people do with rolecall, and what attackers try, against a real server. One file per capability.

mod filters;
mod folding;
mod forgery;
mod identity;
mod permissions;
mod roles;
mod support;
