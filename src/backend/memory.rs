//! Memory that runs out costs a statement, not the backend.
//!
//! Rust ends the process where an allocation fails, and PostgreSQL then restarts every other one. So a reserve is kept,
//! which costs nothing as long as nobody touches it. The first allocation that fails gives it up and is tried again; no
//! table is read from then on ([`super::catalog`]), and the next statement starts only once there is a new reserve. What
//! grows with data asks PostgreSQL for the room first, whose error is an ordinary one. Where even the reserve does not
//! suffice, the session ends, and only that.

use super::session;
use crate::error::Error;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// What is kept back: more than an error needs on its way out.
const SIZE: Layout = Layout::new::<[u8; 4 << 20]>();
/// What is asked for without asking PostgreSQL first.
const SMALL: usize = 1 << 16;

/// NULL while it is given up.
static RESERVE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

struct Allocator;

// SAFETY: the system's allocator, asked twice where it has nothing. It never unwinds: `end` does not return.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on; so below.
        insist(|| unsafe { System.alloc(layout) })
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        insist(|| unsafe { System.alloc_zeroed(layout) })
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Where it fails the memory is as it was.
        insist(|| unsafe { System.realloc(memory, layout, size) })
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

#[inline]
fn insist(allocate: impl Fn() -> *mut u8) -> *mut u8 {
    let memory = allocate();
    if memory.is_null() { again(&allocate) } else { memory }
}

#[cold]
fn again(allocate: &dyn Fn() -> *mut u8) -> *mut u8 {
    give_up();
    let memory = allocate();
    if memory.is_null() {
        end();
    }
    memory
}

fn give_up() {
    let reserve = RESERVE.swap(ptr::null_mut(), Relaxed);
    if !reserve.is_null() {
        // SAFETY: allocated in `refill` with this layout, freed once.
        unsafe { System.dealloc(reserve, SIZE) };
    }
}

/// Makes a reserve, where there is none; whether there is one.
pub(super) fn refill() -> bool {
    if RESERVE.load(Relaxed).is_null() {
        // SAFETY: the size is not zero.
        RESERVE.store(unsafe { System.alloc(SIZE) }, Relaxed);
    }
    !RESERVE.load(Relaxed).is_null()
}

fn is_short() -> bool {
    RESERVE.load(Relaxed).is_null()
}

/// Stops what takes more and more, a little at a time, once the reserve is given up.
pub fn check() -> Result<(), Error> {
    if is_short() { Err(Error::OutOfMemory) } else { Ok(()) }
}

/// A statement starts: there has to be a reserve, if need be in place of the sessions that are kept.
pub(super) fn ready() -> Result<(), Error> {
    if !is_short() || refill() {
        return Ok(());
    }
    session::forget_known();
    if refill() { Ok(()) } else { Err(Error::OutOfMemory) }
}

/// Raises PostgreSQL's error unless there is room for what is going to be allocated.
pub fn require(bytes: usize) {
    if bytes > SMALL {
        // SAFETY: allocated and freed in the current memory context, and not touched.
        unsafe { pg_sys::pfree(pg_sys::palloc_extended(bytes, pg_sys::MCXT_ALLOC_HUGE as c_int)) };
    }
}

/// Calls PostgreSQL from a hook. pgrx copies each error that passes, and the server goes down (PANIC) where there is no
/// memory for that: the reserve is given up before.
pub(super) fn guarding<T>(call: impl FnOnce() -> T) -> T {
    let mut callback = pg_sys::ErrorContextCallback {
        // SAFETY: reads a variable of this process.
        previous: unsafe { pg_sys::error_context_stack },
        callback: Some(error_passes),
        arg: ptr::null_mut(),
    };
    // SAFETY: `Linked` takes it off before the frame goes, also when an error passes.
    unsafe { pg_sys::error_context_stack = &raw mut callback };
    let _linked = Linked(callback.previous);
    call()
}

struct Linked(*mut pg_sys::ErrorContextCallback);

impl Drop for Linked {
    fn drop(&mut self) {
        // SAFETY: what was there before.
        unsafe { pg_sys::error_context_stack = self.0 };
    }
}

/// PostgreSQL calls it for every message.
unsafe extern "C-unwind" fn error_passes(_argument: *mut c_void) {
    // SAFETY: called where PostgreSQL has a message under way.
    if unsafe { pg_sys::geterrcode() } == PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as c_int {
        give_up();
    }
}

/// Whether the process ends, possibly from within an allocation: whatever could be in the middle of a change is left alone.
pub(super) fn is_ending() -> bool {
    // SAFETY: reads a variable of this process.
    unsafe { pg_sys::proc_exit_inprogress }
}

/// Ends the session: PostgreSQL says so, cleans up and exits, and no frame of Rust's is passed.
fn end() -> ! {
    unsafe extern "C-unwind" {
        fn errstart(level: c_int, domain: *const c_char) -> bool;
        fn errcode(code: c_int) -> c_int;
        fn errmsg(format: *const c_char, ...) -> c_int;
        fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
    }
    // SAFETY: an error of the level FATAL does not return; its own memory was set aside at the start.
    unsafe {
        errstart(pg_sys::FATAL as c_int, ptr::null());
        errcode(PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as c_int);
        errmsg(c"out of memory".as_ptr());
        errfinish(c"memory.rs".as_ptr(), line!() as c_int, c"rolecall".as_ptr());
    }
    std::process::abort()
}
