//! Reading by SQL. pgrx's `Spi::get_one` takes a transaction id, which a hot standby has none of and a reader needs none.

use crate::error::Error;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

/// The first column of the first row; None where there is no row or it is NULL.
pub fn one<T: FromDatum + IntoDatum>(query: &str, arguments: &[DatumWithOid]) -> Result<Option<T>, Error> {
    Ok(Spi::connect(|client| {
        let rows = client.select(query, Some(1), arguments)?;
        if rows.is_empty() { Ok(None) } else { rows.first().get_one::<T>() }
    })?)
}
