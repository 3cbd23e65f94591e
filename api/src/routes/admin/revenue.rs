//! What recurs, and what was billed for it: for any past days, in the issuer's time zone.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use billing::MovementKind;
use billing::revenue::{Figures, Kept, Moves, Revenue, Standing, Trials};
use domain::faults::Faults;
use domain::money::Currency;
use domain::plan::PlanName;
use domain::time_zone::NamedTimeZone;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use store::ControlTx;
use store::billing::runs;
use store::revenue;
use utoipa::{IntoParams, ToSchema};

use crate::extract::malformed_query;
use crate::operator::OperatorApp;
use crate::problem::Problem;

/// Most days of a report.
const DAYS_MAX: usize = 366;
/// The days that the database's calendar and ours have in common, with room for the day after.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=9_000;

/// Which days are wanted.
#[derive(Deserialize, IntoParams)]
pub(crate) struct RevenueQuery {
    /// The first day.
    #[param(required, example = "2026-04-01")]
    from: Option<String>,
    /// The last day, at most 366 days with the first.
    #[param(required, example = "2026-04-30")]
    to: Option<String>,
    /// One currency; all, apart, when left out.
    #[param(example = "USD")]
    currency: Option<String>,
}

/// Days, and the instants between them.
struct Days {
    from: Date,
    to: Date,
    /// Where each of them begins, and where the last one ends.
    bounds: Vec<Timestamp>,
}

impl Days {
    fn dates(&self) -> impl Iterator<Item = Date> {
        self.from.series(1.day()).take(self.bounds.len() - 1)
    }

    fn start(&self) -> Timestamp {
        self.bounds.first().copied().unwrap_or_default()
    }

    fn end(&self) -> Timestamp {
        self.bounds.last().copied().unwrap_or_default()
    }
}

impl RevenueQuery {
    fn parse(self, zone: &NamedTimeZone) -> Result<(Days, Option<Currency>), Faults> {
        let mut faults = Faults::new();
        let from = date(&mut faults, "/from", self.from.as_deref());
        let to = date(&mut faults, "/to", self.to.as_deref());
        let currency = self.currency.and_then(|text| faults.check("/currency", text.parse()));
        let days = from.zip(to).and_then(|(from, to)| {
            if from > to {
                faults.push("/to", "must not be before `from`");
                return None;
            }
            let bounds: Vec<_> =
                from.series(1.day()).take_while(|day| *day <= to).take(DAYS_MAX + 1).collect();
            if bounds.len() > DAYS_MAX {
                faults.push("/to", format!("must be at most {DAYS_MAX} days, `from` among them"));
                return None;
            }
            let after = to.tomorrow().ok();
            let starts = bounds.into_iter().chain(after).map(|day| zone.begin_of(day));
            let bounds = starts.collect::<Option<Vec<_>>>();
            faults.check("/to", bounds.ok_or("is beyond the calendar")).map(|bounds| Days {
                from,
                to,
                bounds,
            })
        });
        Ok((faults.finish(days)?, currency))
    }
}

pub(super) fn date(faults: &mut Faults, pointer: &str, text: Option<&str>) -> Option<Date> {
    // What stands behind a date would be passed over, and believed.
    let whole = |date: &Date| YEARS.contains(&date.year()) && text == Some(&date.to_string());
    let date = text.and_then(|text| text.parse().ok()).filter(whole);
    faults.check(pointer, date.ok_or("must be a date such as `2026-04-30`"))
}

/// What recurs at the end of a day. Amounts are minor units.
#[derive(Serialize, ToSchema)]
pub(crate) struct StandingBody {
    /// A month: fees alone, a year's over twelve months; without discounts, tax and use.
    #[schema(example = 15_700)]
    mrr_minor: i64,
    /// A year: twelve times that.
    #[schema(example = 188_400)]
    arr_minor: i64,
    /// Tenants who pay it.
    #[schema(example = 3)]
    tenants: u64,
    /// What each brings in a month, on average; `null` where there is none.
    #[schema(example = 5_233)]
    arpu_minor: Option<i64>,
}

impl StandingBody {
    fn new(standing: Standing) -> Result<Self, Problem> {
        Ok(Self {
            mrr_minor: standing.mrr_minor,
            arr_minor: standing.arr_minor().map_err(Problem::internal)?,
            tenants: standing.tenants,
            arpu_minor: standing.arpu_minor(),
        })
    }
}

/// Movements of what recurs a month, in minor units; what takes is negative.
#[derive(Serialize, ToSchema)]
pub(crate) struct MovesBody {
    /// Tenants that had never paid.
    #[schema(example = 9_900)]
    new_minor: i64,
    /// Tenants that had left.
    #[schema(example = 0)]
    reactivation_minor: i64,
    #[schema(example = 7_000)]
    expansion_minor: i64,
    #[schema(example = 0)]
    contraction_minor: i64,
    #[schema(example = -9_900)]
    churn_minor: i64,
    /// All of them together: MRR at the end is MRR at the start and this.
    #[schema(example = 7_000)]
    net_new_minor: i64,
}

impl MovesBody {
    fn new(moves: Moves) -> Result<Self, Problem> {
        Ok(Self {
            new_minor: moves.new_minor,
            reactivation_minor: moves.reactivation_minor,
            expansion_minor: moves.expansion_minor,
            contraction_minor: moves.contraction_minor,
            churn_minor: moves.churn_minor,
            net_new_minor: moves.net_new_minor().map_err(Problem::internal)?,
        })
    }
}

/// What became of those who paid at the start, in basis points (hundredths of a percent); `null` where nobody did.
#[derive(Serialize, ToSchema)]
pub(crate) struct RetentionBody {
    /// What those who pay less now, or nothing, pay less: of what all paid at the start.
    #[schema(example = 6_306)]
    gross_churn_bp: Option<i64>,
    /// What they pay now, of what they paid at the start.
    #[schema(example = 8_153)]
    net_retention_bp: Option<i64>,
    /// How many of them pay nothing now.
    #[schema(example = 3_333)]
    logo_churn_bp: Option<i64>,
}

impl From<Kept> for RetentionBody {
    fn from(kept: Kept) -> Self {
        Self {
            gross_churn_bp: kept.gross_churn_bp(),
            net_retention_bp: kept.net_retention_bp(),
            logo_churn_bp: kept.logo_churn_bp(),
        }
    }
}

/// What was billed and collected, in minor units. Of an invoice for several plans each has its part, which is negative
/// where it gives something back.
#[derive(Serialize, ToSchema)]
pub(crate) struct BilledBody {
    /// Billed, without tax.
    #[schema(example = 22_800)]
    billed_minor: i64,
    /// Taken back of what was billed, whenever that was, by credit notes and voided invoices; without tax.
    #[schema(example = 0)]
    credited_minor: i64,
    /// Money that came in, with tax.
    #[schema(example = 22_800)]
    collected_minor: i64,
}

impl From<Revenue> for BilledBody {
    fn from(revenue: Revenue) -> Self {
        let Revenue { billed_minor, credited_minor, collected_minor } = revenue;
        Self { billed_minor, credited_minor, collected_minor }
    }
}

/// How trials went.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrialsBody {
    /// Trials that began.
    #[schema(example = 4)]
    started: u64,
    /// Trials that became a subscription that costs.
    #[schema(example = 1)]
    converted: u64,
    /// Trials that ended without one.
    #[schema(example = 2)]
    ended: u64,
    /// Of those that ended one way or the other, how many converted; in basis points, `null` where none ended.
    #[schema(example = 3_333)]
    conversion_bp: Option<i64>,
}

impl From<Trials> for TrialsBody {
    fn from(trials: Trials) -> Self {
        let conversion_bp = trials.conversion_bp();
        let Trials { started, converted, ended } = trials;
        Self { started, converted, ended, conversion_bp }
    }
}

/// The figures of a range.
#[derive(Serialize, ToSchema)]
pub(crate) struct FiguresBody {
    /// At the end of the day before the first.
    start: StandingBody,
    /// At the end of the last day.
    end: StandingBody,
    movements: MovesBody,
    /// What MRR changed by beside the movements. Of a plan: what those brought along who came from another, less what
    /// those took away who went to one. Of a currency: zero, or a movement is missing.
    #[schema(example = 0)]
    transferred_minor: i64,
    retention: RetentionBody,
    revenue: BilledBody,
    trials: TrialsBody,
}

impl FiguresBody {
    fn new(figures: &Figures) -> Result<Self, Problem> {
        Ok(Self {
            start: StandingBody::new(figures.start)?,
            end: StandingBody::new(figures.end)?,
            movements: MovesBody::new(figures.moves)?,
            transferred_minor: figures.transferred_minor().map_err(Problem::internal)?,
            retention: figures.kept.into(),
            revenue: figures.revenue.into(),
            trials: figures.trials.into(),
        })
    }
}

/// The figures of a plan.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanFiguresBody {
    /// Of which plan: movements by the one after, churn by the one before; those who stayed by the one that they had.
    /// `null`: what operators billed by hand, and money beyond what was due.
    #[schema(example = "Pro")]
    plan: Option<&'static str>,
    #[serde(flatten)]
    figures: FiguresBody,
}

/// The movements of one kind on one day.
#[derive(Serialize, ToSchema)]
pub(crate) struct DayBody {
    #[schema(example = "2026-04-16")]
    on: String,
    /// `New`, `Reactivation`, `Expansion`, `Contraction` or `Churn`.
    #[schema(example = "Expansion")]
    kind: &'static str,
    /// How many.
    #[schema(example = 1)]
    movements: u64,
    /// What they add a month, in minor units; what takes is negative.
    #[schema(example = 7_000)]
    delta_minor: i64,
}

/// The figures of a currency.
#[derive(Serialize, ToSchema)]
pub(crate) struct CurrencyFiguresBody {
    #[schema(example = "USD")]
    currency: String,
    #[serde(flatten)]
    figures: FiguresBody,
    plans: Vec<PlanFiguresBody>,
    /// Days without movements are left out.
    days: Vec<DayBody>,
}

/// Revenue over some days.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevenueBody {
    #[schema(example = "2026-04-01")]
    from: String,
    #[schema(example = "2026-04-30")]
    to: String,
    /// In which these are days: the issuer's.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Whether these days are over, and every period that ended in them is closed: then this is said of them for ever.
    /// If not, movements may still come.
    complete: bool,
    /// By currency; there is no sum over several.
    data: Vec<CurrencyFiguresBody>,
}

/// What is known of a currency, by plan, and day by day.
#[derive(Default)]
struct Report {
    plans: BTreeMap<PlanKey, Figures>,
    days: BTreeMap<(usize, MovementKind), (u64, i64)>,
}

/// A plan, or none, which comes last.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum PlanKey {
    Plan(PlanName),
    None,
}

/// The reports of all currencies.
#[derive(Default)]
struct Reports(BTreeMap<Currency, Report>);

impl Reports {
    /// Asks the store for all of it.
    async fn read(tx: &mut ControlTx, days: &Days) -> Result<Self, Problem> {
        let (since, until) = (days.start(), days.end());
        let mut reports = Self::default();
        for row in revenue::recurring(tx, since).await? {
            let (mrr_minor, tenants) = (row.mrr_minor, row.tenants);
            reports.of(row.currency, Some(row.plan)).start = Standing { mrr_minor, tenants };
        }
        for row in revenue::recurring(tx, until).await? {
            let (mrr_minor, tenants) = (row.mrr_minor, row.tenants);
            reports.of(row.currency, Some(row.plan)).end = Standing { mrr_minor, tenants };
        }
        for row in revenue::by_day(tx, &days.bounds).await? {
            let moves = &mut reports.of(row.currency, Some(row.plan)).moves;
            moves.count(row.kind, row.delta_minor).map_err(Problem::internal)?;
            let report = reports.0.entry(row.currency).or_default();
            let (movements, delta_minor) = report.days.entry((row.day, row.kind)).or_default();
            *movements += row.movements;
            *delta_minor = delta_minor.saturating_add(row.delta_minor);
        }
        for row in revenue::kept(tx, since, until).await? {
            reports.of(row.currency, Some(row.plan)).kept = Kept {
                tenants: row.tenants,
                start_minor: row.start_minor,
                end_minor: row.end_minor,
                lost_minor: row.lost_minor,
                lost_tenants: row.lost_tenants,
            };
        }
        for row in revenue::booked(tx, since, until).await? {
            reports.of(row.currency, row.plan).revenue = Revenue {
                billed_minor: row.billed_minor,
                credited_minor: row.credited_minor,
                collected_minor: row.collected_minor,
            };
        }
        for row in revenue::trials(tx, since, until).await? {
            let (started, converted, ended) = (row.started, row.converted, row.ended);
            reports.of(row.currency, Some(row.plan)).trials = Trials { started, converted, ended };
        }
        Ok(reports)
    }

    fn of(&mut self, currency: Currency, plan: Option<PlanName>) -> &mut Figures {
        let plan = plan.map_or(PlanKey::None, PlanKey::Plan);
        self.0.entry(currency).or_default().plans.entry(plan).or_default()
    }
}

impl CurrencyFiguresBody {
    fn new(currency: Currency, report: Report, dates: &[Date]) -> Result<Self, Problem> {
        let total = Figures::total(report.plans.values()).map_err(Problem::internal)?;
        let plans = report.plans.into_iter().map(|(plan, figures)| {
            let plan = match plan {
                PlanKey::Plan(plan) => Some(plan.as_str()),
                PlanKey::None => None,
            };
            Ok(PlanFiguresBody { plan, figures: FiguresBody::new(&figures)? })
        });
        let days = report.days.into_iter().filter_map(|((day, kind), (movements, delta_minor))| {
            let on = dates.get(day)?.to_string();
            Some(DayBody { on, kind: kind.as_str(), movements, delta_minor })
        });
        Ok(Self {
            currency: currency.to_string(),
            figures: FiguresBody::new(&total)?,
            plans: plans.collect::<Result<_, Problem>>()?,
            days: days.collect(),
        })
    }
}

/// See how revenue moved
///
/// Monthly recurring revenue at the start and at the end and what moved it between, what was billed and collected, and
/// how trials went: by currency, and by plan. Days are the issuer's. Tenants on a test clock are not in it.
#[utoipa::path(
    get,
    path = "/api/v1/admin/revenue",
    tag = "Revenue",
    params(RevenueQuery),
    responses((status = 200, body = RevenueBody)),
    extensions(("x-problems" = json!(["validation-failed"]))),
)]
pub(crate) async fn report(
    State(app): State<OperatorApp>,
    query: Result<Query<RevenueQuery>, QueryRejection>,
) -> Result<Json<RevenueBody>, Problem> {
    let Query(query) = query.map_err(|_| malformed_query())?;
    let zone = &app.books.terms.issuer.time_zone;
    let (days, currency) = query.parse(zone)?;
    let mut tx = app.store.control().await?;
    revenue::freeze(&mut tx).await?;

    let reports = Reports::read(&mut tx, &days).await?;
    let waiting = runs::standing(&mut tx, days.end()).await?.due;

    let dates: Vec<_> = days.dates().collect();
    let data = reports.0.into_iter().filter(|(of, _)| currency.is_none_or(|only| only == *of));
    let data = data.map(|(of, report)| CurrencyFiguresBody::new(of, report, &dates));
    Ok(Json(RevenueBody {
        from: days.from.to_string(),
        to: days.to.to_string(),
        time_zone: zone.to_string(),
        complete: waiting == 0 && days.end() <= app.now(),
        data: data.collect::<Result<_, Problem>>()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(from: &str, to: &str, zone: &str) -> Result<Days, Faults> {
        let (from, to) = (Some(from.to_owned()), Some(to.to_owned()));
        let query = RevenueQuery { from, to, currency: None };
        query.parse(&zone.parse().unwrap()).map(|(days, _)| days)
    }

    #[test]
    fn days_are_those_of_the_zone() {
        // 29 March has 23 hours in Berlin.
        let days = days("2026-03-28", "2026-03-29", "Europe/Berlin").unwrap();
        let bounds: Vec<_> = days.bounds.iter().map(ToString::to_string).collect();
        assert_eq!(
            bounds,
            ["2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]
        );
        assert_eq!(days.dates().count(), 2);
    }

    #[test]
    fn a_range_is_a_year_at_most() {
        assert_eq!(days("2024-01-01", "2024-12-31", "UTC").unwrap().dates().count(), 366);
        for (from, to) in
            [("2026-01-01", "2027-01-02"), ("2026-01-02", "2026-01-01"), ("x", "9999-12-31")]
        {
            assert!(days(from, to, "UTC").is_err(), "{from} {to}");
        }
    }
}
