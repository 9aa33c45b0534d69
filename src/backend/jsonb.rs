//! jsonb arguments as text.
//!
//! pgrx's own conversion panics where serde_json refuses what PostgreSQL accepts (deep nesting); as text, the reader
//! reports it like any other fault.

use super::memory;
use crate::error::Error;
use pgrx::prelude::*;
use std::ffi::CStr;

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
