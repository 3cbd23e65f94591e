//! The edge's route table against the API's description: what the edge lets through is what is served.

use std::collections::BTreeSet;

use harness::root;
use serde_json::Value;
use toml::Table;

/// `GET /api/v1/tenants/{tenant_id} ViewTenant` for each row that leads to the API.
fn routes() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("config/routes.toml")).expect("routes.toml");
    let table: Table = text.parse().expect("routes.toml is TOML");
    let rows = table["routes"].as_array().expect("routes").iter();
    let of_api = rows.filter(|row| row["upstream"].as_str() == Some("api"));
    let lines = of_api.flat_map(|row| {
        let path = row["path"].as_str().expect("a path").to_owned();
        let permission =
            row.get("permission").and_then(toml::Value::as_str).unwrap_or("-").to_owned();
        let methods = row["methods"].as_array().expect("methods").clone();
        methods.into_iter().map(move |method| {
            format!("{} {path} {permission}", method.as_str().expect("a method"))
        })
    });
    lines.collect()
}

/// The same from the description's operations.
fn operations() -> BTreeSet<String> {
    let text =
        std::fs::read_to_string(root().join("docs/openapi.json")).expect("docs/openapi.json");
    let document: Value = serde_json::from_str(&text).expect("docs/openapi.json is JSON");
    let paths = document["paths"].as_object().expect("paths");
    let lines = paths.iter().flat_map(|(path, item)| {
        let operations = item.as_object().expect("operations").iter();
        operations.map(move |(method, operation)| {
            let permission = operation["x-permission"].as_str().unwrap_or("-");
            format!("{} {path} {permission}", method.to_uppercase())
        })
    });
    lines.collect()
}

#[test]
fn the_edge_lets_through_exactly_what_the_api_describes() {
    let is_api = |line: &&String| line.contains(" /api/v1/");
    let (routes, operations) = (routes(), operations());
    let routes: BTreeSet<_> = routes.iter().filter(is_api).collect();
    let operations: BTreeSet<_> = operations.iter().filter(is_api).collect();
    let undescribed: Vec<_> = routes.difference(&operations).collect();
    let unreachable: Vec<_> = operations.difference(&routes).collect();
    assert!(
        undescribed.is_empty() && unreachable.is_empty(),
        "in routes.toml only: {undescribed:#?}\nin docs/openapi.json only: {unreachable:#?}"
    );
}

#[test]
fn every_operation_states_its_problems_and_an_answer() {
    let text =
        std::fs::read_to_string(root().join("docs/openapi.json")).expect("docs/openapi.json");
    let document: Value = serde_json::from_str(&text).expect("docs/openapi.json is JSON");
    let mut faults = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        if !path.starts_with("/api/v1/") {
            continue;
        }
        for (method, operation) in item.as_object().expect("operations") {
            let statuses: Vec<_> =
                operation["responses"].as_object().expect("responses").keys().collect();
            let has = |first: char| statuses.iter().any(|status| status.starts_with(first));
            if !has('2') || !has('4') {
                faults.push(format!("{method} {path}: {statuses:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
