//! Every operation about a tenant, tried with another tenant's token and key.

use harness::{Actor, App, Owner};
use http::Method;
use serde_json::json;
use toml::Table;

/// Methods and paths of the route table that name a tenant: the specification's eleven endpoints and all
/// that came later.
fn operations() -> Vec<(Method, String)> {
    let text =
        std::fs::read_to_string(harness::root().join("config/routes.toml")).expect("routes.toml");
    let table: Table = text.parse().expect("routes.toml is TOML");
    let mut found = Vec::new();
    for row in table["routes"].as_array().expect("routes") {
        let path = row["path"].as_str().expect("a path");
        if path.contains("{tenant_id}") {
            for method in row["methods"].as_array().expect("methods") {
                let method = method.as_str().expect("a method").parse().expect("a method");
                found.push((method, path.to_owned()));
            }
        }
    }
    found
}

/// The specification's "API Endpoints" that are about a tenant.
const ELEVEN: [(&str, &str); 11] = [
    ("GET", ""),
    ("PUT", ""),
    ("POST", "/users"),
    ("GET", "/users"),
    ("GET", "/billing"),
    ("POST", "/upgrade"),
    ("GET", "/invoices"),
    ("GET", "/usage"),
    ("POST", "/api-keys"),
    ("GET", "/api-keys"),
    ("DELETE", "/api-keys/{key_id}"),
];

#[test]
fn the_specifications_endpoints_are_among_the_routes() {
    let operations = operations();
    for (method, below) in ELEVEN {
        let path = format!("/api/v1/tenants/{{tenant_id}}{below}");
        let served = operations.iter().any(|(m, p)| m.as_str() == method && *p == path);
        assert!(served, "{method} {path}");
    }
}

async fn attempt(actor: &Actor, method: &Method, path: &str) -> harness::Answer {
    let body = (*method != Method::GET && *method != Method::DELETE)
        .then(|| ("application/json", json!({"name": "taken over"}).to_string().into_bytes()));
    actor.send(method.clone(), path, body).await
}

/// The victim's path with ids of things that are really there.
fn path_of(template: &str, victim: &Owner, key_id: &str, invitation_id: &str) -> String {
    template
        .replace("{tenant_id}", &victim.tenant_id)
        .replace("{key_id}", key_id)
        .replace("{invitation_id}", invitation_id)
        .replace("{user_id}", victim.signed_up["owner"]["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn every_operation_refuses_another_tenants_token_and_key() {
    let app = App::start().await;
    let (victim, stranger) =
        (app.tenant("victim", "Enterprise").await, app.tenant("other", "Enterprise").await);
    let scopes = ["usage.read", "users.read", "tenant.read"];
    let body = json!({"name": "Secret name", "permissions": scopes});
    let key_id = victim.post(&victim.path("/api-keys"), body).await.expect(201).text("/id");
    let body = json!({"email": "secret@victim.example", "name": "Secret", "role": "User"});
    let invited = victim.post(&victim.path("/users"), body).await.expect(201);
    let invitation_id = invited.text("/invitation/id");
    let key = stranger.api_key(&scopes).await;
    let before = contents(&app, &victim).await;

    let callers = [
        ("token", app.stranger().bearing(stranger.token())),
        (
            "token naming its own tenant",
            app.stranger().bearing(stranger.token()).with("x-tenant-id", &stranger.tenant_id),
        ),
        (
            "token naming the victim",
            app.stranger().bearing(stranger.token()).with("x-tenant-id", &victim.tenant_id),
        ),
        (
            "token at the victim's host",
            app.stranger().bearing(stranger.token()).at("victim.api.localhost"),
        ),
        ("key", app.stranger().bearing(&key)),
        ("key at the victim's host", app.stranger().bearing(&key).at("victim.api.localhost")),
    ];
    for (method, template) in operations() {
        let path = path_of(&template, &victim, &key_id, &invitation_id);
        for (credential, actor) in &callers {
            let answer = attempt(actor, &method, &path).await;
            assert_eq!(
                answer.problem(),
                "403 tenant-mismatch",
                "{method} {template} with a {credential}"
            );
            for secret in ["Secret", "secret@victim.example", "victim Inc"] {
                assert!(!answer.body.contains(secret), "{method} {template}: {}", answer.body);
            }
        }
    }
    assert_eq!(contents(&app, &victim).await, before);
}

#[tokio::test]
async fn ids_of_another_tenants_things_are_not_found_under_ones_own_path() {
    let app = App::start().await;
    let (victim, stranger) = (app.tenant("victim", "Pro").await, app.tenant("other", "Pro").await);
    let body = json!({"name": "Key", "permissions": ["usage.read"]});
    let key_id = victim.post(&victim.path("/api-keys"), body).await.expect(201).text("/id");
    let member_id = victim.signed_up["owner"]["id"].as_str().expect("an id");
    let answers = [
        stranger.delete(&stranger.path(&format!("/api-keys/{key_id}"))).await,
        stranger.get(&stranger.path(&format!("/users/{member_id}"))).await,
        stranger.delete(&stranger.path(&format!("/users/{member_id}"))).await,
    ];
    for answer in answers {
        assert_eq!(answer.problem(), "404 not-found");
    }
}

/// Everything that the database holds of a tenant, as text.
async fn contents(app: &App, owner: &Owner) -> Vec<String> {
    let mut connection = app.database().connect().await;
    let mut found = Vec::new();
    for table in
        ["memberships", "invitations", "api_keys", "subscriptions", "audit_events", "ip_allowlists"]
    {
        let query = format!(
            "SELECT to_jsonb(t)::text FROM {table} AS t
             JOIN tenants ON tenants.id = t.tenant_id WHERE subdomain = $1 ORDER BY 1"
        );
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .bind(&owner.subdomain)
            .fetch_all(&mut connection)
            .await
            .expect("a query");
        found.extend(rows);
    }
    found
}
