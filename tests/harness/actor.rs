//! Someone who calls the edge: with a credential or without, at one host or another.

use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::answer::Answer;

const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// Fields of answers and requests whose values no log may hold.
const SECRET_FIELDS: [&str; 5] =
    ["access_token", "refresh_token", "key", "password", "payment_method"];
/// What stands for a way to pay on file in such a field, and may be known.
const PUBLIC_ID: &str = "paymethod_";
/// Shorter values would be found in logs by chance.
const CANARY_LEN_MIN: usize = 8;

/// Secrets that were seen in traffic: none of them may turn up in a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Canaries(Arc<Mutex<Vec<String>>>);

impl Canaries {
    pub(crate) fn plant(&self, secret: &str) {
        if secret.len() >= CANARY_LEN_MIN {
            self.0.lock().expect("no test panics while it holds this").push(secret.to_owned());
        }
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("no test panics while it holds this").clone()
    }

    fn plant_all_of(&self, json: &Value) {
        match json {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(id) if id.starts_with(PUBLIC_ID) => {}
                        Value::String(secret) if SECRET_FIELDS.contains(&name.as_str()) => {
                            self.plant(secret);
                        }
                        _ => self.plant_all_of(value),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.plant_all_of(item)),
            _ => {}
        }
    }
}

/// A caller of the edge.
#[derive(Debug, Clone)]
pub struct Actor {
    http: reqwest::Client,
    base: String,
    headers: Vec<(String, String)>,
    canaries: Canaries,
}

impl Actor {
    pub(crate) fn new(base: String, canaries: Canaries) -> Self {
        // Fails the second time in a process, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(ANSWERED_WITHIN)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        Self { http, base, headers: Vec::new(), canaries }
    }

    /// The same caller with one header more.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut actor = self.clone();
        actor.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        actor.headers.push((name.to_owned(), value.to_owned()));
        actor
    }

    /// The same caller with this access token or API key.
    #[must_use]
    pub fn bearing(&self, credential: &str) -> Self {
        self.with("authorization", &format!("Bearer {credential}"))
    }

    /// The same caller at another host, e.g. `acme.api.localhost`.
    #[must_use]
    pub fn at(&self, host: &str) -> Self {
        self.with("host", host)
    }

    /// The same caller at another address of ours, e.g. a second edge or the API itself.
    #[must_use]
    pub fn calling(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send_json(Method::POST, path, body).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send_json(Method::PUT, path, body).await
    }

    /// PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send_json(Method::PATCH, path, body).await
    }

    async fn send_json(&self, method: Method, path: &str, body: Value) -> Answer {
        self.canaries.plant_all_of(&body);
        self.send(method, path, Some(("application/json", body.to_string().into_bytes()))).await
    }

    /// GET of something that may not be there: `None` when no answer comes.
    pub async fn try_get(&self, path: &str) -> Option<Answer> {
        let mut request = self.http.get(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.ok()?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Some(Answer { status, headers, body: answer.text().await.ok()? })
    }

    /// The bytes of a document.
    ///
    /// # Panics
    /// When it is not there.
    pub async fn download(&self, path: &str) -> Vec<u8> {
        let mut request = self.http.get(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        answer.bytes().await.expect("all of it").to_vec()
    }

    /// Any request: method, path, and content type with body.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Answer {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some((content_type, body)) = body {
            request = request.header("content-type", content_type).body(body);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {path}: no answer: {error:?}"),
        };
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.text().await.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
        if let Ok(json) = serde_json::from_str(&body) {
            self.canaries.plant_all_of(&json);
        }
        Answer { status, headers, body }
    }
}

/// The owner of a tenant, signed in with the token that sign-up gave.
#[derive(Debug, Clone)]
pub struct Owner {
    pub(crate) actor: Actor,
    /// The tenant's id.
    pub tenant_id: String,
    /// The tenant's subdomain.
    pub subdomain: String,
    /// The owner's address.
    pub email: String,
    /// The whole answer to sign-up.
    pub signed_up: Value,
}

impl Owner {
    /// Invites someone as a user.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn invite(&self, email: &str) {
        let body = json!({"email": email, "name": "Jane", "role": "User", "send_invite": true});
        self.post(&self.path("/users"), body).await.expect(201);
    }

    /// A path below the tenant, e.g. `/users`.
    #[must_use]
    pub fn path(&self, below: &str) -> String {
        format!("/api/v1/tenants/{}{below}", self.tenant_id)
    }

    /// The caller without what is known of the tenant.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.actor.clone()
    }

    /// The access token that sign-up gave.
    #[must_use]
    pub fn token(&self) -> &str {
        self.signed_up["access_token"].as_str().unwrap_or_default()
    }

    /// The refresh token that sign-up gave.
    #[must_use]
    pub fn refresh_token(&self) -> &str {
        self.signed_up["refresh_token"].as_str().unwrap_or_default()
    }

    /// Makes an API key with these scopes and answers the key.
    pub async fn api_key(&self, scopes: &[&str]) -> String {
        let body = serde_json::json!({"name": "Test key", "permissions": scopes});
        self.post(&self.path("/api-keys"), body).await.expect(201).text("/key")
    }
}

impl Deref for Owner {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.actor
    }
}
