//! The catalogue's meters, as the database has them.

use domain::meter::{Aggregation, MeterName, MeterSource};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use crate::catalogue::MeterTerms;
use crate::error::Error;
use crate::tenant_tx::Tx;

/// Every meter, by name.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn list(tx: &mut impl Tx) -> Result<Vec<(MeterName, MeterTerms)>, Error> {
    let rows =
        sqlx::query!("SELECT name, aggregation, source, title, unit FROM meters ORDER BY name")
            .fetch_all(tx.connection())
            .await?;
    let meter = |name: &str, aggregation: &str, source: &str| {
        Some((name.parse().ok()?, Aggregation::named(aggregation)?, MeterSource::named(source)?))
    };
    rows.into_iter()
        .map(|row| {
            let (name, aggregation, source) =
                meter(&row.name, &row.aggregation, &row.source).ok_or(Error::Foreign("meters"))?;
            Ok((name, MeterTerms { aggregation, source, title: row.title, unit: row.unit }))
        })
        .collect()
}

/// Adds a meter, or changes what people call it. What was counted one way is not to be read another.
///
/// # Errors
/// `Foreign` when it is there with another aggregation or source.
pub(crate) async fn put(
    connection: &mut PgConnection,
    name: &MeterName,
    terms: &MeterTerms,
    now: Timestamp,
) -> Result<(), Error> {
    let put = sqlx::query!(
        "INSERT INTO meters AS kept (name, aggregation, source, title, unit, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (name) DO UPDATE SET title = excluded.title, unit = excluded.unit
        WHERE kept.aggregation = excluded.aggregation AND kept.source = excluded.source",
        name.as_str(),
        terms.aggregation.as_str(),
        terms.source.as_str(),
        terms.title,
        terms.unit,
        now.to_sqlx() as _
    )
    .execute(connection)
    .await?;
    if put.rows_affected() == 1 {
        return Ok(());
    }
    tracing::error!(
        "the meter `{name}` is counted otherwise already; give the new one another name"
    );
    Err(Error::Foreign("meters"))
}
