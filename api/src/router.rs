//! Every route, a line each. Router and OpenAPI document come from this list.

use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use domain::problem::ProblemKind;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::App;
use crate::extract::BODY_BYTES_MAX;
use crate::openapi::{self, Document, Listener};
use crate::problem::Problem;
use crate::routes::{
    api_keys, audit_events, auth, billing, cancellation, credit_notes, dashboard, docs, events,
    hooks, invitations, invoices, ip_allowlist, payment_methods, plans, sign_up, tenants,
    test_clock, upgrade, usage, users, webhook_endpoints, webhook_event_types, webhook_messages,
};
use crate::{authorized, console, metrics};

/// The API's own routes, with their documentation.
pub(crate) fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(sign_up::sign_up))
        .routes(routes!(tenants::show, tenants::update, tenants::close))
        .routes(routes!(users::list, users::add))
        .routes(routes!(users::show, users::update, users::remove))
        .routes(routes!(invitations::list))
        .routes(routes!(invitations::revoke))
        .routes(routes!(invitations::resend))
        .routes(routes!(invitations::accept))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::delete))
        .routes(routes!(api_keys::rotate::rotate))
        .routes(routes!(ip_allowlist::show, ip_allowlist::replace))
        .routes(routes!(audit_events::list))
        .routes(routes!(audit_events::verification::verify))
        .routes(routes!(audit_events::export::export))
        .routes(routes!(billing::show))
        .routes(routes!(billing::profile::show, billing::profile::put))
        .routes(routes!(billing::overage::show, billing::overage::put))
        .routes(routes!(billing::coupons::redeem))
        .routes(routes!(upgrade::upgrade))
        .routes(routes!(cancellation::cancel))
        .routes(routes!(cancellation::resume))
        .routes(routes!(payment_methods::list, payment_methods::add))
        .routes(routes!(payment_methods::default::put, payment_methods::default::delete))
        .routes(routes!(payment_methods::show, payment_methods::remove))
        .routes(routes!(payment_methods::make_default))
        .routes(routes!(payment_methods::confirm))
        .routes(routes!(hooks::receive))
        .routes(routes!(invoices::list))
        .routes(routes!(invoices::show))
        .routes(routes!(invoices::document))
        .routes(routes!(invoices::pay::pay))
        .routes(routes!(credit_notes::list))
        .routes(routes!(credit_notes::document))
        .routes(routes!(test_clock::show))
        .routes(routes!(test_clock::advance))
        .routes(routes!(usage::show))
        .routes(routes!(usage::live::watch))
        .routes(routes!(usage::events::submit))
        .routes(routes!(webhook_endpoints::list, webhook_endpoints::create))
        .routes(routes!(
            webhook_endpoints::show,
            webhook_endpoints::update,
            webhook_endpoints::delete
        ))
        .routes(routes!(webhook_endpoints::secrets::rotate))
        .routes(routes!(webhook_endpoints::test_event::send))
        .routes(routes!(webhook_endpoints::deliveries::list))
        .routes(routes!(webhook_endpoints::deliveries::show))
        .routes(routes!(webhook_endpoints::deliveries::resend))
        .routes(routes!(webhook_endpoints::replays::list, webhook_endpoints::replays::create))
        .routes(routes!(webhook_endpoints::replays::show, webhook_endpoints::replays::cancel))
        .routes(routes!(webhook_messages::list))
        .routes(routes!(webhook_messages::show))
        .routes(routes!(webhook_event_types::list))
        .routes(routes!(events::publish))
        .routes(routes!(dashboard::show))
        .routes(routes!(plans::list))
        .routes(routes!(auth::login::login))
        .routes(routes!(auth::refresh::refresh))
        .routes(routes!(auth::sessions::logout))
        .routes(routes!(auth::sessions::list))
        .routes(routes!(auth::sessions::end))
        .routes(routes!(auth::email::verify))
        .routes(routes!(auth::email::join))
        .routes(routes!(auth::password::forgot))
        .routes(routes!(auth::password::reset))
        .routes(routes!(auth::jwks::show))
        .routes(routes!(audit_events::keys::show_audit_keys))
}

/// Pages for people.
fn pages() -> Router<App> {
    Router::new()
        .route("/docs/problems", get(docs::problems))
        .route("/docs/problems/{slug}", get(docs::problem))
        .route(
            "/invitations/accept",
            form(get(console::invitation_form).post(console::accept_invitation)),
        )
        .route("/verify-email", form(get(console::verify_form).post(console::verify_email)))
        .route("/reset-password", form(get(console::reset_form).post(console::reset_password)))
}

/// A page with a form of a few short fields.
fn form(route: MethodRouter<App>) -> MethodRouter<App> {
    route.layer(DefaultBodyLimit::max(64 * 1024))
}

/// Everything, behind the edge's statement.
pub(crate) fn router(app: App) -> Router {
    let (documented, mut document) = documented().split_for_parts();
    openapi::complete(&mut document, Listener::Edge);
    let swagger =
        SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none"));
    documented
        .merge(pages())
        .merge(swagger)
        .route("/openapi.json", get(move || async move { Json(document) }))
        .fallback(nothing_here)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.clone(), authorized::through_the_edge))
        .layer(middleware::from_fn(metrics::observe))
        .with_state(app)
}

/// The answer where there is no route.
pub(crate) async fn nothing_here() -> Problem {
    Problem::not_found()
}

/// The answer where the route has other methods.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(
        ProblemKind::MethodNotAllowed,
        "The `Allow` header lists the methods of this path.",
    )
}

/// A fault of ours must not cost more than one request.
pub(crate) fn panicked(_cause: Box<dyn std::any::Any + Send>) -> Response {
    Problem::internal("a handler panicked; see the line before").into_response()
}
