//! `has_role()` and `has_scope()` as SQL functions, for arguments that are no constants, called for every row.
//!
//! Like the dynamic variables ([`super::variables`]) against PostgreSQL's own calling convention: no guard, no copy, no
//! allocation.

use super::session::{self, Session};
use super::variables::check;
use pgrx::prelude::*;

/// Unpacks a compressed or far-away text. An error leaves from here.
#[cold]
#[pg_guard]
unsafe extern "C-unwind" fn unpack(text: *mut pg_sys::varlena) -> *mut pg_sys::varlena {
    // SAFETY: the caller passes a valid varlena; the copy lives in the current memory context.
    unsafe { pg_sys::pg_detoast_datum_packed(text) }
}

/// The text behind a datum; one that is no UTF-8 is nobody's name.
///
/// # Safety
/// `datum` is a text that lives as long as `'a`.
unsafe fn text<'a>(datum: pg_sys::Datum) -> &'a str {
    // SAFETY: a text datum points to a varlena, whose header says how it is stored and how long it is.
    unsafe {
        let mut text = datum.cast_mut_ptr::<pg_sys::varlena>();
        if pgrx::varatt_is_1b_e(text) || pgrx::varatt_is_4b_c(text) {
            text = unpack(text);
        }
        let bytes = std::slice::from_raw_parts(pgrx::vardata_any(text).cast(), pgrx::varsize_any_exhdr(text));
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Defines a strict function of one text by PostgreSQL's version-1 calling convention. It has no guard of its own: the
/// test cannot fail, and the two calls that can are guarded, their errors passing over a frame with nothing to drop.
macro_rules! test {
    ($name:ident, $info:ident, $test:expr) => {
        #[unsafe(no_mangle)]
        #[doc(hidden)]
        pub extern "C" fn $info() -> *const pg_sys::Pg_finfo_record {
            static INFO: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
            &INFO
        }

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
