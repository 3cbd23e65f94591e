//! `document_series`: numbers without holes. A series is locked from the moment a number is taken until the transaction
//! ends; one that is rolled back has taken none.

use billing::DocumentNumber;
use jiff::civil::Date;

use crate::error::Error;
use crate::tenant_tx::Tx;

/// The next number of `series` in the year of `issued_on`.
///
/// # Errors
/// When the database is gone.
pub(crate) async fn next(
    tx: &mut impl Tx,
    series: &str,
    issued_on: Date,
) -> Result<DocumentNumber, Error> {
    let year = issued_on.year();
    let last = sqlx::query_scalar!(
        "INSERT INTO document_series AS known (series, year, last) VALUES ($1, $2, 1)
        ON CONFLICT (series, year) DO UPDATE SET last = known.last + 1
        RETURNING last",
        series,
        i32::from(year)
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(DocumentNumber { prefix: series.to_owned(), year, sequence: last.unsigned_abs() })
}
