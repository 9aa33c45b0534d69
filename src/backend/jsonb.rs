//! jsonb: arguments as text, results as they are.
//!
//! pgrx's own conversion panics where serde_json refuses what PostgreSQL accepts (deep nesting); as text, the reader
//! reports it like any other fault.

use super::memory;
use crate::error::Error;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::JsonbIteratorToken as Token;
use pgrx::prelude::*;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::ptr;

/// How many times its text a parsed document may take.
const PARSED: usize = 32;

/// The text of a `jsonb` argument.
pub fn text(jsonb: pgrx::AnyElement) -> String {
    assert_eq!(jsonb.oid(), pg_sys::JSONBOID, "declared as jsonb in sql/");
    // SAFETY: the datum is a jsonb, as just checked, and jsonb_out returns a NUL-terminated string.
    unsafe {
        let text = pgrx::direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(jsonb.datum())]);
        let text = text.expect("jsonb_out returns no NULL").to_str().expect("the database is UTF-8");
        memory::require(text.len() * PARSED);
        text.to_owned()
    }
}

/// A `jsonb` argument, as `what` in the error.
pub fn value(jsonb: pgrx::AnyElement, what: &'static str) -> Result<serde_json::Value, Error> {
    let problem = "is nested too deeply";
    serde_json::from_str(&text(jsonb)).map_err(|_| Error::BadArgument { what, value: "(jsonb)".to_owned(), problem })
}

/// The first column of a statement's row, copied to where it outlives the statement.
pub fn hand_out(row: &pgrx::spi::SpiTupleTable) -> Result<Option<pgrx::AnyElement>, pgrx::spi::Error> {
    let kind = row.column_type_oid(1)?.value();
    let Some(datum) = row.get_datum_by_ordinal(1)? else { return Ok(None) };
    let (mut length, mut by_value) = (0, false);
    // SAFETY: inside SPI; the datum is of the type that the row says it is, which decides how it is copied.
    unsafe {
        pg_sys::get_typlenbyval(kind, &mut length, &mut by_value);
        let copy = pg_sys::SPI_datumTransfer(datum, by_value, length.into());
        Ok(pgrx::AnyElement::from_polymorphic_datum(copy, false, kind))
    }
}

/// A `jsonb` object in the making. Its texts are copied only in the end.
pub struct Object<'a> {
    state: *mut pg_sys::JsonbParseState,
    texts: PhantomData<&'a str>,
}

impl<'a> Object<'a> {
    pub fn new() -> Self {
        let mut state = ptr::null_mut();
        // SAFETY: starts a new state in the current memory context.
        unsafe { pg_sys::pushJsonbValue(&mut state, Token::WJB_BEGIN_OBJECT, ptr::null_mut()) };
        Self { state, texts: PhantomData }
    }

    /// None is `null`.
    pub fn text(&mut self, key: &'static str, value: Option<&'a str>) {
        self.push(key, value.map_or_else(|| of_type(pg_sys::jbvType::jbvNull), string));
    }

    pub fn integer(&mut self, key: &'static str, value: i64) {
        let mut number = of_type(pg_sys::jbvType::jbvNumeric);
        // SAFETY: a new number in the current memory context.
        number.val.numeric = unsafe { pg_sys::int64_to_numeric(value) };
        self.push(key, number);
    }

    /// A time, as `to_jsonb()` writes it.
    pub fn time(&mut self, key: &'static str, value: TimestampWithTimeZone) {
        let mut time = string("");
        // SAFETY: the buffer in the current memory context is as long as any time, and gets a NUL-terminated text.
        unsafe {
            let buffer = pg_sys::palloc(pg_sys::MAXDATELEN as usize + 1).cast();
            let value = value.into_datum().expect("a time is never NULL");
            time.val.string.val = pg_sys::JsonEncodeDateTime(buffer, value, pg_sys::TIMESTAMPTZOID, ptr::null());
            time.val.string.len = CStr::from_ptr(time.val.string.val).count_bytes() as c_int;
        }
        self.push(key, time);
    }

    /// A `jsonb` value.
    ///
    /// # Safety
    /// `datum` is a `jsonb`.
    pub(super) unsafe fn jsonb(&mut self, key: &'static str, datum: pg_sys::Datum) {
        let mut value = of_type(pg_sys::jbvType::jbvBinary);
        // SAFETY: see above; behind its header is the container. A copy in the current memory context outlives `self`.
        unsafe {
            let whole = pg_sys::pg_detoast_datum_copy(datum.cast_mut_ptr()).cast::<pg_sys::Jsonb>();
            value.val.binary.data = &raw mut (*whole).root;
            value.val.binary.len = (pgrx::varsize_any(whole.cast()) - pg_sys::VARHDRSZ) as c_int;
        }
        self.push(key, value);
    }

    fn push(&mut self, key: &'static str, mut value: pg_sys::JsonbValue) {
        let mut key = string(key);
        // SAFETY: an object has begun, in which a key and then its value come next; what they point to outlives `self`.
        unsafe {
            pg_sys::pushJsonbValue(&mut self.state, Token::WJB_KEY, &mut key);
            pg_sys::pushJsonbValue(&mut self.state, Token::WJB_VALUE, &mut value);
        }
    }

    /// The whole, in the current memory context.
    pub fn end(mut self) -> pgrx::AnyElement {
        // SAFETY: ends what `new` has begun; a jsonb is what it says it is.
        unsafe {
            let object = pg_sys::pushJsonbValue(&mut self.state, Token::WJB_END_OBJECT, ptr::null_mut());
            let whole = pg_sys::JsonbValueToJsonb(object);
            let whole = pgrx::AnyElement::from_polymorphic_datum(whole.into(), false, pg_sys::JSONBOID);
            whole.expect("it is not NULL")
        }
    }
}

fn of_type(kind: pg_sys::jbvType::Type) -> pg_sys::JsonbValue {
    pg_sys::JsonbValue { type_: kind, ..Default::default() }
}

fn string(text: &str) -> pg_sys::JsonbValue {
    let mut value = of_type(pg_sys::jbvType::jbvString);
    value.val.string.len = text.len() as c_int;
    value.val.string.val = text.as_ptr().cast_mut().cast();
    value
}
