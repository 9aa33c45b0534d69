//! `rolecall report`: a page for people.

use crate::cli::Cli;
use crate::error::Error;

/// PLACEHOLDER
pub fn report(_cli: &Cli, _html: &std::path::Path) -> Result<u8, Error> {
    Err(Error::mismatch("not written yet", ""))
}
