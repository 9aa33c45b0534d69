//! jsonb arguments as text.
//!
//! pgrx's own conversion panics where serde_json refuses what PostgreSQL accepts (deep nesting); as text, the reader
//! reports it like any other fault.

use pgrx::prelude::*;
use std::ffi::CStr;

/// The text of a `jsonb` argument.
pub fn text(jsonb: pgrx::AnyElement) -> String {
    assert_eq!(jsonb.oid(), pg_sys::JSONBOID, "declared as jsonb in sql/");
    // SAFETY: the datum is a jsonb, as just checked, and jsonb_out returns a NUL-terminated string.
    unsafe {
        let text = pgrx::direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(jsonb.datum())]);
        text.expect("jsonb_out returns no NULL").to_str().expect("the database is UTF-8").to_owned()
    }
}
