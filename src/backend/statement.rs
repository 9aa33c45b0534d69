//! The text of the statement under way, as the log and `pg_stat_activity` show it.

use pgrx::prelude::*;
use std::ffi::CStr;

/// Shows `label` instead of a statement that holds a secret, from now until it ends: also in the log, should it fail.
/// What `log_statement` has logged before the statement began cannot be taken back.
pub fn hide(label: &'static CStr) {
    // SAFETY: the label lives for ever; PostgreSQL replaces both at the next statement.
    unsafe {
        pg_sys::debug_query_string = label.as_ptr();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, label.as_ptr());
    }
}
