//! `rolecall export`: the present state as a spec.

use crate::cli::Cli;
use crate::error::Error;

/// PLACEHOLDER
pub fn export(_cli: &Cli, _schemas: &[String]) -> Result<u8, Error> {
    Err(Error::mismatch("not written yet", ""))
}
