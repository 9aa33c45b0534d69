//! `rolecall explain` and `rolecall who`: who may what, and why.

use crate::cli::Cli;
use crate::error::Error;

/// PLACEHOLDER
pub fn explain(_cli: &Cli, _role: &str, _object: Option<&str>) -> Result<u8, Error> {
    Err(Error::mismatch("not written yet", ""))
}

/// PLACEHOLDER
pub fn who(_cli: &Cli, _object: &str) -> Result<u8, Error> {
    Err(Error::mismatch("not written yet", ""))
}
