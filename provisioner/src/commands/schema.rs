//! `rolecall schema`: the JSON Schema of a spec.

use super::print;
use crate::error::Error;

/// Prints it.
///
/// # Errors
/// Output that cannot be written.
pub fn schema() -> Result<u8, Error> {
    print(&format!("{:#}\n", policy::spec::json_schema()))?;
    Ok(0)
}
