//! `has_role()` and `has_scope()` as SQL functions, for arguments that are no constants, called for every row.
//!
//! Like the dynamic variables ([`super::variables`]) against PostgreSQL's own calling convention: no guard, no copy, no
//! allocation.

use super::session::{self, Session};
use super::variables::check;
use super::varlena::{bytes, version_1};
use pgrx::prelude::*;

/// The text behind a datum; one that is no UTF-8 is nobody's name.
///
/// # Safety
/// `datum` is a text that lives as long as `'a`.
unsafe fn text<'a>(datum: pg_sys::Datum) -> &'a str {
    // SAFETY: see above.
    std::str::from_utf8(unsafe { bytes(datum) }).unwrap_or_default()
}

/// Defines a strict function of one text by PostgreSQL's version-1 calling convention. It has no guard of its own: the
/// test cannot fail, and the two calls that can are guarded, their errors passing over a frame with nothing to drop.
macro_rules! test {
    ($name:ident, $info:ident, $test:expr) => {
        version_1!($info);

        #[unsafe(no_mangle)]
        #[doc(hidden)]
        pub unsafe extern "C-unwind" fn $name(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
            if session::checked().is_none() {
                check();
            }
            // SAFETY: PostgreSQL passes the frame of this call, which has one text, not NULL since the function is strict.
            let argument = unsafe {
                (*call).isnull = false;
                text((*call).args.as_slice(1)[0].value)
            };
            let test: fn(&Session, &str) -> bool = $test;
            pg_sys::Datum::from(session::checked().is_some_and(|session| test(session, argument)))
        }
    };
}

test!(has_role, pg_finfo_has_role, Session::has_role);
test!(has_scope, pg_finfo_has_scope, Session::has_scope);
