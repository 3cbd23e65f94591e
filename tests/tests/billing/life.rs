//! A tenant on a test clock, as its owner lives with it through the edge.

use std::time::Duration;

use harness::{Actor, Answer, App, AppOptions, poll_async};
use serde_json::{Value, json};

pub(crate) const BOUND: Duration = Duration::from_secs(60);
pub(crate) const CARD: &str = "card_1234567890";

/// An installation where tenants may have a time of their own.
pub(crate) async fn start() -> App {
    start_with(Vec::new()).await
}

/// The same, with more settings.
pub(crate) async fn start_with(mut settings: Vec<(&'static str, String)>) -> App {
    settings.push(("PYTAKE_BILLING__TEST_CLOCKS", "true".to_owned()));
    App::start_with(AppOptions { settings, ..AppOptions::default() }).await
}

/// A tenant that lives from a given time on.
pub(crate) struct Life {
    pub(crate) actor: Actor,
    pub(crate) id: String,
}

impl Life {
    /// Signs up at `now`.
    pub(crate) async fn begin(app: &App, subdomain: &str, plan: &str, now: &str) -> Self {
        let body = json!({
            "name": "Acme", "subdomain": subdomain, "plan": plan, "owner_name": "Ann",
            "owner_email": format!("owner@{subdomain}.example"), "test_clock": now,
        });
        let answer = app.stranger().post("/api/v1/tenants", body).await.expect(201);
        let id = answer.text("/tenant/id");
        let token = answer.text("/access_token");
        let actor = app.stranger().bearing(&token).with("x-tenant-id", &id);
        Self { actor, id }
    }

    /// Signs up at `now` and ends the trial there: the first period begins, and is billed.
    pub(crate) async fn paying(app: &App, subdomain: &str, plan: &str, now: &str) -> Self {
        let life = Self::begin(app, subdomain, plan, now).await;
        life.upgrade(json!({ "new_plan": plan, "payment_method": CARD })).await;
        life
    }

    pub(crate) fn path(&self, below: &str) -> String {
        format!("/api/v1/tenants/{}{below}", self.id)
    }

    /// What `below` shows; where a small plan allows no more calls this minute, as soon as it does.
    pub(crate) async fn see(&self, below: &str) -> Value {
        let path = self.path(below);
        let answer = poll_async(BOUND, async || {
            let answer = self.actor.get(&path).await;
            (answer.status != 429).then_some(answer)
        });
        answer.await.expect("an answer within a minute").expect(200).json()
    }

    /// Its subscription.
    pub(crate) async fn subscription(&self) -> Value {
        self.see("/billing").await["subscription"].clone()
    }

    /// Asks for another plan; what was changed and billed.
    pub(crate) async fn upgrade(&self, wish: Value) -> Value {
        self.actor.post(&self.path("/upgrade"), wish).await.expect(200).json()
    }

    /// What `upgrade` would change and bill.
    pub(crate) async fn preview(&self, wish: Value) -> Value {
        let path = self.path("/upgrade?preview=true");
        self.actor.post(&path, wish).await.expect(200).json()
    }

    /// POST without a body, such as `/cancel`.
    pub(crate) async fn act(&self, below: &str) -> Answer {
        self.actor.post(&self.path(below), json!({})).await
    }

    /// Lets time pass until `to`.
    pub(crate) async fn advance(&self, to: &str) {
        let body = json!({ "to": to });
        self.actor.post(&self.path("/test-clock/advance"), body).await.expect(202);
        let ready = poll_async(BOUND, async || {
            // A small plan allows few calls a minute.
            tokio::time::sleep(Duration::from_secs(1)).await;
            (self.see("/test-clock").await["status"] == "ready").then_some(())
        });
        assert!(ready.await.is_some(), "the clock does not get to {to}");
    }

    /// Its invoices, oldest first.
    pub(crate) async fn invoices(&self) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.see(&format!("/invoices?limit=100{cursor}")).await;
            all.extend(page["data"].as_array().expect("a list").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        all.reverse();
        all
    }

    /// Its newest invoice, with its lines.
    pub(crate) async fn last_invoice(&self) -> Value {
        let all = self.invoices().await;
        let id = all.last().expect("an invoice")["id"].as_str().expect("an id").to_owned();
        self.see(&format!("/invoices/{id}")).await
    }
}

/// An amount of `json`, in minor units, such as `minor(&invoice, "total")`.
pub(crate) fn minor(json: &Value, name: &str) -> i64 {
    json[name]["amount_minor"].as_i64().unwrap_or_else(|| panic!("no {name} in {json}"))
}

/// Of each line of an invoice one amount.
pub(crate) fn of_lines(invoice: &Value, name: &str) -> Vec<i64> {
    let lines = invoice["lines"].as_array().expect("lines");
    lines.iter().map(|line| minor(line, name)).collect()
}
