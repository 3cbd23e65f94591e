//! Whether a tenant's audit trail is what it was.

use audit_log::{Fault, Hash, Report, Verifier};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use domain::faults::Faults;
use serde::{Deserialize, Serialize};
use store::{TenantTx, audit_keys, audit_tree as tree};
use utoipa::{IntoParams, ToSchema};

use super::trail::{Step, Trail};
use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::malformed_query;
use crate::problem::Problem;
use crate::routes::usage::live::too_many_streams;

/// What came of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerificationBody {
    /// Whether every event that has a place is what and where it was. What is younger than a minute may have none yet.
    intact: bool,
    /// How many events were looked at.
    size: Option<u64>,
    /// The root of their tree. Keep it elsewhere with `size`, and hold the trail against both later.
    #[schema(example = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")]
    root: Option<String>,
    /// How many signed heads they were held against.
    heads: Option<u64>,
    /// What is wrong, where something is.
    fault: Option<FaultBody>,
}

/// What is wrong with a trail.
#[derive(Serialize, ToSchema)]
pub(crate) struct FaultBody {
    /// `changed`, `removed`, `other_than_signed`, `cut_off`, `heads_gone`, `forged` or `unlisted`.
    #[schema(example = "changed")]
    kind: &'static str,
    /// The place of the event, from 0; where it is one event's.
    position: Option<u64>,
    /// Of how many events the head is; where it is a head's.
    size: Option<u64>,
    /// An event without a place.
    event_id: Option<String>,
    /// In words.
    detail: String,
}

impl FaultBody {
    fn new(fault: &Fault) -> Self {
        let (kind, position, size, event_id) = match fault {
            Fault::Changed { position } => ("changed", Some(*position), None, None),
            Fault::Removed { position } => ("removed", Some(*position), None, None),
            Fault::OtherThanSigned { size } => ("other_than_signed", None, Some(*size), None),
            Fault::CutOff { size, .. } => ("cut_off", None, Some(*size), None),
            Fault::HeadsGone { size, .. } => ("heads_gone", None, Some(*size), None),
            Fault::Forged { size } => ("forged", None, Some(*size), None),
            Fault::Unlisted { event_id } => ("unlisted", None, None, Some(event_id.to_string())),
        };
        Self { kind, position, size, event_id, detail: fault.to_string() }
    }
}

/// A head that was kept.
#[derive(Deserialize, IntoParams)]
pub(crate) struct RememberedQuery {
    /// Of how many events it is, at least 1.
    #[param(minimum = 1)]
    size: Option<u64>,
    /// Its root.
    root: Option<String>,
}

impl RememberedQuery {
    fn parse(self) -> Result<Option<(u64, Hash)>, Faults> {
        let mut faults = Faults::new();
        let remembered = match (self.size, self.root) {
            (None, None) => None,
            (Some(0), _) => {
                faults.push("/size", "must be at least 1");
                None
            }
            (Some(size), Some(root)) => {
                faults.check("/root", root.parse()).map(|root| (size, root))
            }
            (Some(_), None) => {
                faults.push("/root", "must be there beside `size`");
                None
            }
            (None, Some(_)) => {
                faults.push("/size", "must be there beside `root`");
                None
            }
        };
        faults.finish(Some(remembered))
    }
}

/// Verify the audit trail
///
/// Goes over all of it: each event is what it was when it got its place, and the places are those that were signed. With
/// `size` and `root` of a head that you kept: they are those of then. An export can be verified without this installation.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/audit-events/verification",
    tag = "Audit",
    params(("tenant_id" = String, Path), RememberedQuery),
    responses((status = 200, body = VerificationBody)),
    extensions(("x-permission" = json!("ViewAuditEvents"))),
)]
pub(crate) async fn verify(
    State(app): State<App>,
    auth: Authorized<needs::ViewAuditEvents>,
    query: Result<Query<RememberedQuery>, QueryRejection>,
) -> Result<Json<VerificationBody>, Problem> {
    let Query(query) = query.map_err(|_| malformed_query())?;
    let remembered = query.parse()?;
    // It takes as long as there are events.
    let _permit = app.streams.clone().try_acquire_owned().map_err(|_| too_many_streams())?;
    let mut tx = auth.begin(&app).await?;

    let outcome = examine(&mut tx, remembered).await?;

    Ok(Json(match outcome {
        Ok(report) => VerificationBody {
            intact: true,
            size: Some(report.size),
            root: Some(report.root.to_string()),
            heads: Some(report.heads),
            fault: None,
        },
        Err(fault) => VerificationBody {
            intact: false,
            size: None,
            root: None,
            heads: None,
            fault: Some(FaultBody::new(&fault)),
        },
    }))
}

async fn examine(
    tx: &mut TenantTx,
    remembered: Option<(u64, Hash)>,
) -> Result<Result<Report, Fault>, Problem> {
    let extent = tree::extent(tx).await?;
    if extent.placed > extent.signed {
        return Ok(Err(Fault::HeadsGone { size: extent.signed, found: extent.placed }));
    }
    let keys = audit_keys::public(tx).await?;
    let mut verifier = Verifier::new(tx.tenant_id(), keys, remembered);
    let mut trail = Trail::until(extent.signed);
    while let Some(step) = trail.next(tx).await? {
        let checked = match step {
            Step::Head(signed) => verifier.head(&signed),
            Step::Leaf(leaf) => match &leaf.event {
                Some(event) if leaf.position == verifier.size() => {
                    let line = event.entry().line().map_err(Problem::internal)?;
                    verifier.event_of(&line, leaf.hash)
                }
                _ => Err(Fault::Removed { position: verifier.size() }),
            },
        };
        if let Err(fault) = checked {
            return Ok(Err(fault));
        }
    }
    let report = match verifier.finish() {
        Ok(report) => report,
        Err(fault) => return Ok(Err(fault)),
    };
    match tree::unlisted(tx).await? {
        Some(event_id) => Ok(Err(Fault::Unlisted { event_id })),
        None => Ok(Ok(report)),
    }
}
