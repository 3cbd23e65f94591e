//! What is owed, and for how long it has been: at the end of any past day, in the issuer's time zone.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use domain::faults::Faults;
use domain::money::Currency;
use domain::time_zone::NamedTimeZone;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use store::revenue::{self, Age, Receivable};
use utoipa::{IntoParams, ToSchema};

use super::revenue::date;
use crate::extract::malformed_query;
use crate::operator::OperatorApp;
use crate::problem::Problem;

/// Which day is wanted.
#[derive(Deserialize, IntoParams)]
pub(crate) struct ReceivablesQuery {
    /// The day at whose end it is asked.
    #[param(required, example = "2026-04-30")]
    on: Option<String>,
}

impl ReceivablesQuery {
    /// The day, and the instant at which it ends.
    fn parse(self, zone: &NamedTimeZone) -> Result<(Date, Timestamp), Faults> {
        let mut faults = Faults::new();
        let on = date(&mut faults, "/on", self.on.as_deref());
        let parsed = on.and_then(|on| {
            let end = on.tomorrow().ok().and_then(|after| zone.begin_of(after));
            Some((on, faults.check("/on", end.ok_or("is beyond the calendar"))?))
        });
        faults.finish(parsed)
    }
}

/// Invoices that have been due for as long.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct AgeBody {
    /// How many.
    #[schema(example = 2)]
    invoices: u64,
    /// What is owed on them, with tax; minor units.
    #[schema(example = 19_800)]
    due_minor: i64,
}

/// What is owed in a currency, by how long it has been due.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct AgeingBody {
    #[schema(example = "USD")]
    currency: String,
    /// All of it.
    total: AgeBody,
    /// Due on the day, or later.
    not_due: AgeBody,
    /// Due for 1 to 30 days.
    days_1_30: AgeBody,
    /// Due for 31 to 60 days.
    days_31_60: AgeBody,
    /// Due for 61 to 90 days.
    days_61_90: AgeBody,
    /// Due for more than 90 days.
    over_90: AgeBody,
}

impl AgeingBody {
    fn count(&mut self, row: &Receivable) {
        let age = match row.age {
            Age::NotDue => &mut self.not_due,
            Age::Days1To30 => &mut self.days_1_30,
            Age::Days31To60 => &mut self.days_31_60,
            Age::Days61To90 => &mut self.days_61_90,
            Age::Over90 => &mut self.over_90,
        };
        for sum in [age, &mut self.total] {
            sum.invoices += row.invoices;
            sum.due_minor = sum.due_minor.saturating_add(row.due_minor);
        }
    }
}

/// What customers owed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceivablesBody {
    #[schema(example = "2026-04-30")]
    on: String,
    /// In which it is a day: the issuer's.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// By currency; there is no sum over several.
    data: Vec<AgeingBody>,
}

/// See what customers owe
///
/// At the end of a day, by how long it had been due then. From the ledger: of a past day it says what was so on that
/// day, whatever was paid since. What was given up is not owed. Tenants on a test clock are not in it.
#[utoipa::path(
    get,
    path = "/api/v1/admin/revenue/receivables",
    tag = "Revenue",
    params(ReceivablesQuery),
    responses((status = 200, body = ReceivablesBody)),
    extensions(("x-problems" = json!(["validation-failed"]))),
)]
pub(crate) async fn receivables(
    State(app): State<OperatorApp>,
    query: Result<Query<ReceivablesQuery>, QueryRejection>,
) -> Result<Json<ReceivablesBody>, Problem> {
    let Query(query) = query.map_err(|_| malformed_query())?;
    let zone = &app.books.terms.issuer.time_zone;
    let (on, end) = query.parse(zone)?;
    let mut tx = app.store.control().await?;

    let rows = revenue::receivables(&mut tx, end, on).await?;

    let mut data: BTreeMap<Currency, AgeingBody> = BTreeMap::new();
    for row in &rows {
        let currency =
            || AgeingBody { currency: row.currency.to_string(), ..AgeingBody::default() };
        data.entry(row.currency).or_insert_with(currency).count(row);
    }
    Ok(Json(ReceivablesBody {
        on: on.to_string(),
        time_zone: zone.to_string(),
        data: data.into_values().collect(),
    }))
}
