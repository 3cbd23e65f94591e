//! The catalogue of events that endpoints can be told of.

use std::sync::LazyLock;

use axum::Json;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use webhooks::events::{CATALOGUE, EventKind};
use webhooks::openapi::{data_schema, example};

use crate::authorized::Anyone;

/// An event of the catalogue.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventTypeBody {
    #[schema(example = "invoice.paid")]
    name: &'static str,
    /// When it happens.
    #[schema(example = "An invoice was paid in full.")]
    summary: &'static str,
    /// What is before the first dot.
    #[schema(example = "invoice")]
    group: &'static str,
    /// The JSON Schema of its `data`; what it refers to is in this document's components.
    schema: Value,
    /// A message, as it might be.
    example: Value,
}

/// The whole catalogue.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventTypesBody {
    data: Vec<EventTypeBody>,
}

/// List event types
///
/// What webhook endpoints can be told of, with schemas and examples.
#[utoipa::path(
    get,
    path = "/api/v1/webhook-event-types",
    tag = "Webhooks",
    responses((status = 200, body = EventTypesBody)),
    security(()),
)]
pub(crate) async fn list(_: Anyone) -> Json<&'static EventTypesBody> {
    Json(&EVENT_TYPES)
}

/// Made once: it is the same for everybody, and anybody may ask.
static EVENT_TYPES: LazyLock<EventTypesBody> = LazyLock::new(|| {
    let body = |kind: &EventKind| EventTypeBody {
        name: kind.name,
        summary: kind.summary,
        group: kind.group(),
        schema: data_schema(kind),
        example: example(kind),
    };
    EventTypesBody { data: CATALOGUE.iter().map(body).collect() }
});
