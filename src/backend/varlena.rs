//! Values of variable length, read where they lie.

use pgrx::prelude::*;

/// Unpacks a compressed or far-away value. An error leaves from here.
#[cold]
#[pg_guard]
unsafe extern "C-unwind" fn unpack(value: *mut pg_sys::varlena) -> *mut pg_sys::varlena {
    // SAFETY: the caller passes a valid varlena; the copy lives in the current memory context.
    unsafe { pg_sys::pg_detoast_datum_packed(value) }
}

/// The bytes behind a datum.
///
/// # Safety
/// `datum` is a varlena that lives as long as `'a`.
pub unsafe fn bytes<'a>(datum: pg_sys::Datum) -> &'a [u8] {
    // SAFETY: see above; its header says how it is stored and how long it is.
    unsafe {
        let mut value = datum.cast_mut_ptr::<pg_sys::varlena>();
        if pgrx::varatt_is_1b_e(value) || pgrx::varatt_is_4b_c(value) {
            value = unpack(value);
        }
        std::slice::from_raw_parts(pgrx::vardata_any(value).cast(), pgrx::varsize_any_exhdr(value))
    }
}

/// Says of functions that they follow PostgreSQL's version-1 calling convention.
macro_rules! version_1 {
    ($($info:ident),*) => {$(
        #[unsafe(no_mangle)]
        #[doc(hidden)]
        pub extern "C" fn $info() -> *const pg_sys::Pg_finfo_record {
            static INFO: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
            &INFO
        }
    )*};
}
pub(super) use version_1;
