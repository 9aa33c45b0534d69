//! Answers of `explain` and `who`, for people and for programs.

mod layout;
mod object;
mod role;
mod who;
mod words;

pub use object::{object_json, object_text};
pub use role::{role_json, role_text};
pub use who::{who_json, who_text};
pub use words::{how_word, options};

use crate::catalog::Present;
use crate::effective::{Access, Details};

/// What all answers need.
pub struct Answers<'a> {
    /// Privileges worked out.
    pub access: Access<'a>,
    /// Row-level security and the like.
    pub details: Details,
}

impl<'a> Answers<'a> {
    /// Works it out.
    pub fn new(present: &'a Present, details: Details) -> Self {
        Self { access: Access::new(present), details }
    }

    fn server(&self) -> String {
        let session = &self.access.present.session;
        format!("database {}, PostgreSQL {}", session.database, session.version_text)
    }
}
