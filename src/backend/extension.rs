//! The script of an extension under way.

use pgrx::prelude::*;

/// Whether what is made from now on becomes part of the extension whose script is running; what held before.
pub fn make_members(wanted: bool) -> bool {
    // SAFETY: a variable of this process, which PostgreSQL sets for a script and clears after it, also after an error.
    unsafe { std::ptr::replace(&raw mut pg_sys::creating_extension, wanted) }
}
