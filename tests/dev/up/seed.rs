//! The demo tenant: signed up through the edge, as any customer would be.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use harness::{Mailbox, poll_async, random_hex, write_private};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use settings::Settings;

use super::programs::http_client;
use crate::place::Place;
use crate::say;

const SUBDOMAIN: &str = "demo";
const OWNER: &str = "owner@demo.example";
const MAIL_WITHIN: Duration = Duration::from_secs(15);

/// What `.dev/demo` keeps, so that a later `up` on the same data can use the tenant again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Demo {
    pub(crate) tenant_id: String,
    pub(crate) subdomain: String,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) api_key: String,
}

pub(crate) async fn ensure(place: &Place, proxy_url: &str, settings: &Settings) -> Result<Demo> {
    let client = Client { http: http_client()?, proxy_url };
    let base = settings.edge.base_domain.as_str();
    if let Ok(text) = std::fs::read_to_string(place.demo()) {
        let demo: Demo = toml::from_str(&text).context(".dev/demo cannot be read; remove it")?;
        // Not so after DATABASE_URL was pointed elsewhere.
        if client.admits(&demo.api_key).await? {
            say::step("the demo tenant is there from last time");
            return Ok(demo);
        }
    }
    say::step(&format!("signing up the demo tenant ({SUBDOMAIN}.{base})"));
    let body = json!({
        "name": "Demo Corp",
        "subdomain": SUBDOMAIN,
        "plan": "Pro",
        "owner_email": OWNER,
        "owner_name": "Dana Demo",
    });
    let mailbox = Mailbox::over(place.mail());
    let read_before = mailbox.all_to(OWNER).len();
    let signed_up = client.post("/api/v1/tenants", None, &body).await?;
    let tenant_id = text(&signed_up, "/tenant/id")?;
    let token = text(&signed_up, "/access_token")?;

    let body = json!({"name": "Tour", "permissions": ["usage.read", "users.read", "tenant.read"]});
    let path = format!("/api/v1/tenants/{tenant_id}/api-keys");
    let api_key = text(&client.post(&path, Some(&token), &body).await?, "/key")?;

    // As the owner would: open the mailed link and set a password.
    let mail = poll_async(MAIL_WITHIN, async || mailbox.all_to(OWNER).into_iter().nth(read_before));
    let mail = mail
        .await
        .with_context(|| format!("no mail came for {OWNER}; see .dev/log/workers.log"))?;
    let password = random_hex();
    // It was them who signed up: the key stays.
    let body = json!({"token": mail.token(), "password": password, "keep_access": true});
    client.post("/api/v1/auth/email/verify", None, &body).await?;
    if !client.admits(&api_key).await? {
        bail!("the demo tenant's key is not admitted; see .dev/log");
    }

    let demo =
        Demo { tenant_id, subdomain: SUBDOMAIN.into(), email: OWNER.into(), password, api_key };
    write_private(&place.demo(), &toml::to_string(&demo)?)?;
    Ok(demo)
}

struct Client<'a> {
    http: reqwest::Client,
    proxy_url: &'a str,
}

impl Client<'_> {
    async fn admits(&self, api_key: &str) -> Result<bool> {
        let request = self.http.get(format!("{}/api/v1/dashboard", self.proxy_url));
        Ok(request.bearer_auth(api_key).send().await?.status().is_success())
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Result<Value> {
        let mut request = self.http.post(format!("{}{path}", self.proxy_url)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.with_context(|| format!("no answer from POST {path}"))?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!(
                "the demo tenant could not be made (--fresh starts over): POST {path} answered {status}: {text}"
            );
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}

fn text(json: &Value, pointer: &str) -> Result<String> {
    let found = json.pointer(pointer).and_then(Value::as_str);
    Ok(found.with_context(|| format!("no {pointer} in the answer"))?.to_owned())
}
