//! Verification keys, which callers use without a privilege on them.

use super::catalog::{Key, Table};
use crate::error::Error;

/// The secret of the key named `kid`.
pub fn secret(kid: &str) -> Result<Option<Vec<u8>>, Error> {
    let mut secret = None;
    Table::open(c"signing_keys")?
        .scan(c"signing_keys_pkey", Some(Key::Text(kid)), |row| secret = row.get(c"secret"))?;
    Ok(secret)
}
