//! The catalogue as the `webhooks` of an OpenAPI 3.1 document: one operation an event, which the receiver implements.

use serde_json::{Value, json};
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    ContentBuilder, KnownFormat, ObjectBuilder, PathItem, Paths, PathsBuilder, RefOr, Required,
    ResponseBuilder, ResponsesBuilder, Schema, SchemaFormat, Type,
};

use crate::events::{CATALOGUE, EventKind};

/// When the events of the examples happened.
const EXAMPLE_TIMESTAMP: &str = "2026-11-25T12:00:00Z";

/// One operation for each event, under its name.
#[must_use]
pub fn paths() -> Paths {
    let paths = CATALOGUE
        .iter()
        .fold(PathsBuilder::new(), |paths, kind| paths.path(kind.name, path_item(kind)));
    paths.build()
}

/// The schemas that events refer to.
#[must_use]
pub fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let mut found = Vec::new();
    for kind in CATALOGUE {
        (kind.schemas)(&mut found);
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found.dedup_by(|one, other| one.0 == other.0);
    found
}

/// The schema of an event's `data`, as JSON.
#[must_use]
pub fn data_schema(kind: &EventKind) -> Value {
    serde_json::to_value((kind.schema)()).unwrap_or_default()
}

/// A whole message of this event, as it might be.
#[must_use]
pub fn example(kind: &EventKind) -> Value {
    json!({"type": kind.name, "timestamp": EXAMPLE_TIMESTAMP, "data": (kind.example)()})
}

fn path_item(kind: &EventKind) -> PathItem {
    let body = ObjectBuilder::new()
        .property(
            "type",
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some([kind.name])),
        )
        .property(
            "timestamp",
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
                .description(Some("When it happened (RFC 3339)")),
        )
        .property("data", (kind.schema)())
        .required("type")
        .required("timestamp")
        .required("data");
    let content = ContentBuilder::new()
        .schema(Some(RefOr::T(Schema::from(body.build()))))
        .example(Some(example(kind)));
    let request = RequestBodyBuilder::new()
        .content("application/json", content.build())
        .required(Some(Required::True))
        .build();
    let operation = OperationBuilder::new()
        .tag(kind.group())
        .summary(Some(kind.summary))
        .operation_id(Some(kind.name))
        .parameter(header("webhook-id", "The same at each attempt: what you have seen, you need not do again"))
        .parameter(header("webhook-timestamp", "When this attempt was made, in seconds since 1970"))
        .parameter(header(
            "webhook-signature",
            "Signatures with a space between (Standard Webhooks 1.0): `v1,…` HMAC-SHA256 or `v1a,…` Ed25519 over \
             `id.timestamp.body`",
        ))
        .request_body(Some(request))
        .responses(
            ResponsesBuilder::new()
                .response("2XX", ResponseBuilder::new().description("Received; within 15 seconds"))
                .response("410", ResponseBuilder::new().description("Never again: the endpoint is disabled"))
                .response(
                    "default",
                    ResponseBuilder::new().description("Tried again, later as `Retry-After` says"),
                ),
        );
    PathItem::new(HttpMethod::Post, operation.build())
}

fn header(name: &str, description: &str) -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_event_is_described_and_always_alike() {
        let text = || serde_json::to_string(&paths()).unwrap();
        assert_eq!(text(), text());
        assert_eq!(paths().paths.len(), CATALOGUE.len());
        for kind in CATALOGUE {
            let operation = &serde_json::to_value(&paths().paths[kind.name]).unwrap()["post"];
            assert_eq!(operation["operationId"], kind.name);
            assert_eq!(operation["tags"], json!([kind.group()]));
            let answers: Vec<_> = operation["responses"].as_object().unwrap().keys().collect();
            assert_eq!(answers, ["2XX", "410", "default"]);
            let headers = operation["parameters"].as_array().unwrap().iter();
            let headers: Vec<_> = headers.filter_map(|header| header["name"].as_str()).collect();
            assert_eq!(headers, ["webhook-id", "webhook-timestamp", "webhook-signature"]);
            let content = &operation["requestBody"]["content"]["application/json"];
            assert_eq!(content["example"], example(kind));
            assert_eq!(content["schema"]["properties"]["type"]["enum"], json!([kind.name]));
        }
    }

    /// `schemas` keeps one of a name: two that differ would be one too few.
    #[test]
    fn a_name_stands_for_one_schema_and_each_field_is_described() {
        let mut all = Vec::new();
        for kind in CATALOGUE {
            (kind.schemas)(&mut all);
        }
        let kept: BTreeMap<_, _> = schemas().into_iter().collect();
        for (name, schema) in all {
            let schema = serde_json::to_value(schema).unwrap();
            assert_eq!(serde_json::to_value(&kept[&name]).unwrap(), schema, "{name}");
            for (field, schema) in schema["properties"].as_object().unwrap() {
                assert!(schema["description"].is_string(), "{name}.{field} has no description");
            }
        }
    }
}
