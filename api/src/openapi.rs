//! The OpenAPI 3.1 document: what the handlers say, completed with what holds for all of them.

use std::collections::BTreeSet;

use anyhow::Context;
use domain::problem::ProblemKind;
use serde_json::{Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Object, ObjectBuilder, OpenApi as Spec, Ref, RefOr, ResponseBuilder, Type,
};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

/// Name of the schema of problem documents.
const PROBLEM_SCHEMA: &str = "Problem";

/// The document's head.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "PyTake API",
        version = "1",
        description = "Tenants, people, API keys, plans and limits. Every refusal is a problem document \
            (RFC 9457); the page behind its `type` says what to do."
    ),
    tags(
        (name = "Tenants", description = "Signing up, settings, closing"),
        (name = "Users", description = "Members and invitations"),
        (name = "API keys", description = "Credentials of programs"),
        (name = "Network", description = "Who may call from where"),
        (name = "Billing", description = "Plans, subscription, invoices"),
        (name = "Webhooks", description = "Being told of events"),
        (name = "Usage", description = "What is used of what is allowed"),
        (name = "Audit", description = "Who did what"),
        (name = "Authentication", description = "Signing in and out"),
    ),
    security(("bearer" = [])),
    modifiers(&Credentials),
)]
pub(crate) struct Document;

/// The head of the operators' document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "PyTake operators' API",
        version = "1",
        description = "For whoever operates the installation, on a listener of its own. Refusals are problem documents \
            (RFC 9457)."
    ),
    tags(
        (name = "Jobs", description = "Looking at jobs, and repairing them"),
        (name = "Billing", description = "Payments, corrections, and what could not be billed"),
        (name = "Revenue", description = "What recurs, what was billed, what is owed"),
    ),
    security(("operator_key" = [])),
    modifiers(&OperatorCredentials),
)]
pub(crate) struct OperatorDocument;

struct Credentials;

struct OperatorCredentials;

impl Modify for OperatorCredentials {
    fn modify(&self, document: &mut Spec) {
        let components = document.components.get_or_insert_with(Default::default);
        let key = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "An operator key (`op_…`) of `pytake-api operator-credential create NAME`.",
            ))
            .build();
        components.add_security_scheme("operator_key", SecurityScheme::Http(key));
        components.schemas.insert(PROBLEM_SCHEMA.to_owned(), problem_schema().into());
    }
}

impl Modify for Credentials {
    fn modify(&self, document: &mut Spec) {
        let components = document.components.get_or_insert_with(Default::default);
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "An API key (`pk_…`) or an access token of `POST /api/v1/auth/login`.",
            ))
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let service = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A service key (`svc_…`) that the operator issues to an application of its own.",
            ))
            .build();
        components.add_security_scheme("service_key", SecurityScheme::Http(service));
        let header = ApiKey::Header(ApiKeyValue::new("X-Api-Key"));
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(header));
        components.schemas.extend(webhooks::openapi::schemas());
        document.webhooks = Some(webhooks::openapi::paths());
        let components = document.components.get_or_insert_with(Default::default);
        components.schemas.insert(PROBLEM_SCHEMA.to_owned(), problem_schema().into());
    }
}

fn problem_schema() -> Object {
    let text = |description: &str| {
        ObjectBuilder::new().schema_type(Type::String).description(Some(description)).build()
    };
    ObjectBuilder::new()
        .property("type", text("URL of the problem's page"))
        .property("title", text("The same for each occurrence"))
        .property("status", ObjectBuilder::new().schema_type(Type::Integer).build())
        .property("detail", text("What to do next"))
        .property("request_id", text("For support"))
        .property(
            "errors",
            ObjectBuilder::new()
                .schema_type(Type::Array)
                .description(Some("Faults of the body: `[{pointer, detail}]`"))
                .build(),
        )
        .required("type")
        .required("title")
        .required("status")
        .required("detail")
        .required("request_id")
        .examples([json!({
            "type": "/docs/problems/validation-failed",
            "title": "Validation failed",
            "status": 422,
            "detail": "Mend the fields listed in `errors` and send the request again.",
            "request_id": "req_01h455vb4pex5vsknk084sn02q",
            "errors": [{ "pointer": "/subdomain", "detail": "is reserved; choose another" }],
        })])
        .build()
}

/// Whose document it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Behind the edge.
    Edge,
    /// The operators' own.
    Operators,
}

/// Adds to each operation the problems that follow from what it is, and answers of their statuses.
pub(crate) fn complete(document: &mut Spec, listener: Listener) {
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            complete_operation(operation, listener);
        }
    }
}

fn complete_operation(operation: &mut Operation, listener: Listener) {
    let extensions = operation.extensions.get_or_insert_with(Default::default);
    let own = extensions.get("x-problems").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut slugs: BTreeSet<String> =
        own.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let mut add =
        |kinds: &[ProblemKind]| slugs.extend(kinds.iter().map(|kind| kind.slug().to_owned()));
    add(&[ProblemKind::MalformedRequest, ProblemKind::Internal, ProblemKind::Overloaded]);
    match listener {
        Listener::Edge => add(&[ProblemKind::RateLimitExceeded]),
        Listener::Operators => add(&[ProblemKind::Unauthenticated]),
    }
    let public = operation.security.as_ref().is_some_and(|needs| {
        needs.iter().any(|need| *need == utoipa::openapi::SecurityRequirement::default())
    });
    if listener == Listener::Edge && !public {
        add(&[
            ProblemKind::Unauthenticated,
            ProblemKind::AmbiguousCredentials,
            ProblemKind::TokenExpired,
            ProblemKind::TokenInvalid,
        ]);
    }
    if extensions.contains_key("x-permission") {
        add(&[
            ProblemKind::ApiKeyExpired,
            ProblemKind::ApiKeyInvalid,
            ProblemKind::ApiKeyRevoked,
            ProblemKind::IpNotAllowed,
            ProblemKind::NotFound,
            ProblemKind::PermissionDenied,
            ProblemKind::TenantMismatch,
            ProblemKind::TenantNotFound,
            ProblemKind::TenantSuspended,
            ProblemKind::TwoFactorRequired,
        ]);
    }
    if operation.request_body.is_some() {
        add(&[
            ProblemKind::PayloadTooLarge,
            ProblemKind::UnsupportedMediaType,
            ProblemKind::ValidationFailed,
        ]);
    }
    let has_key = operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.name == "Idempotency-Key",
        RefOr::Ref(_) => false,
    });
    if has_key {
        add(&[ProblemKind::IdempotencyKeyReused]);
    }
    extensions.insert("x-problems".to_owned(), json!(slugs));
    answers(operation, &slugs);
}

/// One response for each status, which names its problems.
fn answers(operation: &mut Operation, slugs: &BTreeSet<String>) {
    let kinds = || ProblemKind::ALL.iter().filter(|kind| slugs.contains(kind.slug()));
    let statuses: BTreeSet<u16> = kinds().map(|kind| kind.status()).collect();
    for status in statuses {
        let names: Vec<_> = kinds()
            .filter(|kind| kind.status() == status)
            .map(|kind| format!("`{}`", kind.slug()))
            .collect();
        let content = ContentBuilder::new()
            .schema(Some(RefOr::Ref(Ref::from_schema_name(PROBLEM_SCHEMA))))
            .build();
        let response = ResponseBuilder::new()
            .description(names.join(", "))
            .content(domain::problem::ProblemDocument::MEDIA_TYPE, content)
            .build();
        operation.responses.responses.insert(status.to_string(), RefOr::T(response));
    }
}

/// The document of a listener, its keys in order: extensions have none of their own, and the file is compared from one
/// run to the next.
pub(crate) fn text<S: Clone + Send + Sync + 'static>(
    documented: OpenApiRouter<S>,
    listener: Listener,
) -> anyhow::Result<String> {
    let (_, mut document) = documented.split_for_parts();
    complete(&mut document, listener);
    let sorted = serde_json::to_value(document).context("the OpenAPI document")?;
    serde_json::to_string_pretty(&sorted).context("the OpenAPI document")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router;

    #[test]
    fn the_document_is_the_same_each_time() {
        let text = || text(router::documented(), Listener::Edge).unwrap();
        assert_eq!(text(), text());
    }
}
