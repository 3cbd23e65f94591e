//! The operators' listener: every route, a line each, and who is calling. It has a database role and keys of its own, and
//! shares no state with what tenants reach.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequestParts, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use credentials::SymmetricKey;
use credentials::platform_key::PlatformPepper;
use domain::clock::{Clock, SystemClock};
use domain::credential::PlatformCredentialKind;
use domain::id::{OperatorEventId, PlatformCredentialId, RequestId};
use domain::problem::ProblemKind;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde_json::Value;
use settings::Settings;
use store::billing::Books;
use store::operator_events::OperatorEvent;
use store::{Store, TenantTx, platform_credentials};
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{Keys, books, random, stored, tenant_now};
use crate::extract::{BODY_BYTES_MAX, bearer_key};
use crate::openapi::{self, Listener, OperatorDocument};
use crate::problem::{self, Problem};
use crate::router;
use crate::routes::admin::{
    bank, billing, invoices, jobs, queues, receivables, reconciliation, refunds, revenue,
};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What operators' handlers may use; cheap to clone.
#[derive(Clone)]
pub(crate) struct OperatorApp(Arc<Inner>);

/// What [`OperatorApp`] holds.
pub(crate) struct Inner {
    /// Postgres, as `pytake_operator`.
    pub(crate) store: Store,
    /// By which terms invoices are made.
    pub(crate) books: Arc<Books>,
    /// Seals stored answers; see `idempotency`.
    pub(crate) answers: SymmetricKey,
    keys: PlatformPepper,
    clock: Box<dyn Clock>,
}

impl std::ops::Deref for OperatorApp {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl OperatorApp {
    /// By the settings; `None` where they name no database for it.
    pub(crate) fn start(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let url = &settings.operator.database_url;
        if url.expose().is_empty() {
            return Ok(None);
        }
        let database = &settings.database;
        let store = Store::connect_lazy(url, database.max_connections, database.acquire_timeout())?;
        let Keys { platform_keys, answers, .. } = Keys::read(settings)?;
        Ok(Some(Self(Arc::new(Inner {
            store,
            books: books(settings)?,
            answers,
            keys: platform_keys,
            clock: Box::new(SystemClock),
        }))))
    }

    /// The current instant, in the microseconds that the database keeps.
    pub(crate) fn now(&self) -> Timestamp {
        stored(self.clock.now())
    }

    /// What time it is for the tenant of `tx`.
    pub(crate) async fn tenant_now(&self, tx: &mut TenantTx) -> Result<Timestamp, store::Error> {
        tenant_now(self.now(), tx).await
    }
}

/// The operators' own routes, with their documentation.
pub(crate) fn documented() -> OpenApiRouter<OperatorApp> {
    OpenApiRouter::with_openapi(OperatorDocument::openapi())
        .routes(routes!(queues::list))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::retry))
        .routes(routes!(jobs::discard))
        .routes(routes!(billing::parked))
        .routes(routes!(billing::set_tax_exempt))
        .routes(routes!(invoices::record_payment))
        .routes(routes!(invoices::issue_credit_note))
        .routes(routes!(refunds::refund))
        .routes(routes!(refunds::show_refund))
        .routes(routes!(reconciliation::list_differences))
        .routes(routes!(reconciliation::repair_difference))
        .routes(routes!(reconciliation::accept_difference))
        .routes(routes!(invoices::void))
        .routes(routes!(invoices::give_up))
        .routes(routes!(revenue::report))
        .routes(routes!(receivables::receivables))
        .routes(routes!(bank::list))
        .routes(routes!(bank::match_entry))
        .routes(routes!(bank::ignore))
        // Statements are larger than what is else sent.
        .merge(
            OpenApiRouter::new()
                .routes(routes!(bank::import))
                .layer(DefaultBodyLimit::max(payments::bank::BYTES_MAX)),
        )
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, app: OperatorApp) {
    let (documented, mut document) = documented().split_for_parts();
    openapi::complete(&mut document, Listener::Operators);
    let router: Router = documented
        .route("/openapi.json", axum::routing::get(move || async move { Json(document) }))
        .fallback(router::nothing_here)
        .method_not_allowed_fallback(router::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::custom(router::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), identified))
        .with_state(app);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    if let Err(error) = axum::serve(listener, service).await {
        tracing::error!("the operators' listener ended: {error}");
    }
}

/// Who is calling.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    credential: PlatformCredentialId,
    address: IpAddr,
    request_id: RequestId,
}

impl FromRequestParts<OperatorApp> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &OperatorApp) -> Result<Self, Problem> {
        let operator = parts.extensions.get::<Self>().cloned();
        operator.ok_or_else(|| Problem::internal("the route was mounted without its middleware"))
    }
}

impl Operator {
    /// Whose `Idempotency-Key` it is.
    pub(crate) fn subject(&self) -> String {
        format!("operator/{}", self.credential)
    }

    /// What they did, to be recorded in the transaction that does it.
    pub(crate) fn event(
        &self,
        app: &OperatorApp,
        action: &'static str,
        details: Value,
    ) -> OperatorEvent {
        let at = app.now();
        OperatorEvent {
            id: OperatorEventId::new(at, random()),
            at,
            operator: self.credential.to_string(),
            action,
            details,
            address: Some(self.address),
            request_id: Some(self.request_id),
        }
    }
}

/// Lets nobody through but operators, and completes the answers.
async fn identified(
    State(app): State<OperatorApp>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let request_id = RequestId::new(app.now(), random());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (caller, response) = match credential(&app, request.headers()).await {
        Ok(credential) => {
            let operator = Operator { credential, address: peer.ip(), request_id };
            request.extensions_mut().insert(operator);
            (credential.to_string(), next.run(request).await)
        }
        Err(problem) => ("nobody".to_owned(), problem.into_response()),
    };
    let mut response = problem::render(response, request_id);
    tracing::info!(
        request.id = %request_id, operator = caller, address = %peer.ip(), %method, path,
        status = response.status().as_u16(), "an operator called"
    );
    if let Ok(value) = HeaderValue::from_str(&request_id.to_string()) {
        response.headers_mut().insert(&REQUEST_ID, value);
    }
    response
}

async fn credential(
    app: &OperatorApp,
    headers: &HeaderMap,
) -> Result<PlatformCredentialId, Problem> {
    let kind = PlatformCredentialKind::Operator;
    if let Some(key) = bearer_key(headers, kind) {
        let mut tx = app.store.control().await?;
        let hash = key.hash(&app.keys);
        if let Some(id) = platform_credentials::find(&mut tx, kind, &hash, app.now()).await? {
            return Ok(id);
        }
    }
    Err(Problem::new(
        ProblemKind::Unauthenticated,
        "This needs an operator key in force, as `Authorization: Bearer op_…`; make one on the machine with \
         `pytake-api operator-credential create`.",
    ))
}
