//! What is counted of a request: whose it is, who asked, by which route, and what became of it. Counted when the
//! answer's status is known, before its first byte can leave, so that a kill at any moment loses no answer that a
//! client got (EDGE.md, "Metering").

use credentials::edge_context::Principal;
use domain::id::TenantId;
use metering::{Label, Outcome, Spool, SpoolError, Subject};
use policy::routes::{Auth, Route, RouteTable};

/// The labels of a table's routes, at their places.
#[derive(Debug, Default)]
pub(crate) struct Labels(Vec<Label>);

impl Labels {
    /// Has `spool` know the routes of `table`.
    pub(crate) fn of(table: &RouteTable, spool: &Spool) -> Result<Self, SpoolError> {
        let label = |route: &Route| {
            let meter = route.meter.as_ref();
            spool.label(
                &route.template,
                meter.map(|meter| (meter.name.as_str(), meter.weight.get())),
            )
        };
        table.iter().map(label).collect::<Result<_, _>>().map(Self)
    }

    /// What a request of `caller` by `route` is counted as; `None`: as nothing. What is open to everybody is
    /// nobody's usage: a stranger must not be able to run up a tenant's bill.
    pub(crate) fn subject(
        &self,
        caller: (TenantId, Principal),
        route: &Route,
        outcome: Outcome,
    ) -> Option<Subject> {
        if route.auth == Auth::Public {
            return None;
        }
        let (tenant, principal) = caller;
        let principal = match principal {
            Principal::Anonymous => metering::Principal::None,
            Principal::ApiKey { api_key_id, .. } => metering::Principal::ApiKey(api_key_id),
            Principal::User { user_id, .. } => metering::Principal::User(user_id),
        };
        Some(Subject { tenant, principal, label: *self.0.get(route.place)?, outcome })
    }
}

/// What became of a request that the edge answered itself: refused, unless it was the edge's own failure.
pub(crate) const fn outcome_of_problem(status: u16) -> Outcome {
    if status >= 500 { Outcome::ServerError } else { Outcome::Refused }
}
