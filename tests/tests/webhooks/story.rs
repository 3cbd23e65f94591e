//! From a tenant that registers an endpoint to a receiver that verifies what it gets, through the edge.

use domain::id::TenantId;
use harness::{App, Manner, Owner, Receiver, official_library_verifies};
use serde_json::{Value, json};
use webhooks::signature::verify;

const ENDPOINTS: &str = "/webhook-endpoints";

async fn endpoint(owner: &Owner, receiver: &Receiver, more: Value) -> Value {
    let mut body = json!({"url": receiver.url()});
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    owner.post(&owner.path(ENDPOINTS), body).await.expect(201).json()
}

fn below(owner: &Owner, endpoint: &Value, more: &str) -> String {
    owner.path(&format!("{ENDPOINTS}/{}{more}", endpoint["id"].as_str().expect("an id")))
}

#[tokio::test]
async fn what_happens_is_told_signed_and_verified_by_the_official_library() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let receiver = Receiver::start().await;
    let made = endpoint(
        &owner,
        &receiver,
        json!({"event_types": ["api_key.*"], "headers": {"Authorization": "Bearer mine"}}),
    )
    .await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    owner.api_key(&["usage.read"]).await;
    let told = receiver.wait_for(1).await;
    let told = &told[0];
    assert_eq!(told.json()["type"], "api_key.created");
    assert_eq!(told.json()["data"]["permissions"], json!(["usage.read"]));
    assert!(!String::from_utf8_lossy(&told.body).contains("pk_"), "never the key");
    assert_eq!(told.header("authorization"), "Bearer mine");
    assert_eq!(told.header("content-type"), "application/json");
    assert!(official_library_verifies(&secret, told));
    assert!(!official_library_verifies("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", told));

    // Not shown again, nor the header's value; and another tenant sees none of it.
    let shown = owner.get(&below(&owner, &made, "")).await.expect(200).json();
    assert_eq!((shown.get("secret"), &shown["headers"]), (None, &json!(["authorization"])));
    let stranger = app.tenant("other", "Pro").await;
    let id = made["id"].as_str().unwrap();
    let theirs = stranger.path(&format!("{ENDPOINTS}/{id}"));
    assert_eq!(stranger.get(&theirs).await.problem(), "404 not-found");
    assert_eq!(stranger.delete(&theirs).await.problem(), "404 not-found");

    // The log says what was answered.
    let delivery = below(&owner, &made, &format!("/deliveries/{}", told.id()));
    app.wait_for_jobs().await;
    let log = wait_for_status(&owner, &delivery, "Delivered").await;
    assert_eq!(log["log"][0]["status_code"], 200);
    assert_eq!(log["log"][0]["error"], Value::Null);
    let message = owner.path(&format!("/webhook-messages/{}", told.id()));
    let message = owner.get(&message).await.expect(200).json();
    assert_eq!(message["payload"], told.json());
}

async fn wait_for_status(owner: &Owner, path: &str, status: &str) -> Value {
    let found = harness::poll_async(std::time::Duration::from_secs(30), async || {
        let log = owner.get(path).await.expect(200).json();
        (log["status"] == status).then_some(log)
    });
    let found = found.await;
    assert!(found.is_some(), "{:?}", owner.get(path).await);
    found.expect("the status")
}

#[tokio::test]
async fn during_a_rotation_both_secrets_verify() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let receiver = Receiver::start().await;
    let made = endpoint(&owner, &receiver, json!({})).await;
    let rotate = below(&owner, &made, "/rotate-secret");
    let rotated = owner.post(&rotate, json!({})).await.expect(200).json();
    let (old, new) = (made["secret"].as_str().unwrap(), rotated["secret"].as_str().unwrap());
    assert_ne!(old, new);
    owner.post(&below(&owner, &made, "/test"), json!({})).await.expect(202);
    let told = receiver.wait_for(1).await;
    let told = &told[0];
    assert_eq!(told.json()["type"], "webhook_endpoint.test");
    assert!(official_library_verifies(old, told) && official_library_verifies(new, told));

    // Without an overlap the old one ends at once; and a pair of keys takes its place.
    let body = json!({"overlap_hours": 0, "signature": "Ed25519"});
    let rotated = owner.post(&rotate, body).await.expect(200).json();
    assert_eq!(rotated["secret"], Value::Null);
    let public = rotated["public_key"].as_str().unwrap();
    owner.post(&below(&owner, &made, "/test"), json!({})).await.expect(202);
    let told = receiver.wait_for(2).await;
    let told = &told[1];
    let (at, header) = (told.header("webhook-timestamp"), told.header("webhook-signature"));
    assert!(header.starts_with("v1a,"), "{header}");
    let genuine = |verifier: &str| {
        verify(verifier, (told.id(), at, header), &told.body, at.parse().unwrap(), 300)
    };
    assert!(genuine(public) && !genuine(old) && !genuine(new));
}

#[tokio::test]
async fn an_invoice_that_is_paid_is_told_in_the_transaction_that_pays_it() {
    use webhooks::events::Event as _;
    use webhooks::events::billing::InvoicePaid;
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let receiver = Receiver::start().await;
    let made = endpoint(&owner, &receiver, json!({"event_types": ["invoice.*"]})).await;
    let tenant_id: TenantId = owner.tenant_id.parse().unwrap();
    // The billing engine will do it so: what is rolled back is told to nobody.
    app.publish_and(tenant_id, &InvoicePaid::example(), false).await;
    app.publish_and(tenant_id, &InvoicePaid::example(), true).await;
    let told = receiver.wait_for(1).await;
    assert_eq!(told[0].json()["type"], "invoice.paid");
    assert_eq!(told[0].json()["data"]["status"], "Paid");
    assert!(official_library_verifies(made["secret"].as_str().unwrap(), &told[0]));
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn applications_tell_of_messages_once_each() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let receiver = Receiver::start().await;
    let filter = json!([{"field": "/data/channel", "equals": "whatsapp"}]);
    endpoint(&owner, &receiver, json!({"event_types": ["message.*"], "filter": filter})).await;
    let key = app.command("pytake-api", &["service-credential", "create", "messages"]);
    let key = key.split_whitespace().find(|word| word.starts_with("svc_")).unwrap().to_owned();
    let service = app.stranger().bearing(&key);
    let event = |id: &str, channel: &str| {
        json!({
            "tenant_id": owner.tenant_id, "type": "message.delivered", "id": id,
            "data": {"message_id": "m1", "channel": channel},
        })
    };
    let path = "/api/v1/events";
    let first = service.post(path, event("1", "whatsapp")).await.expect(202).json();
    let again = service.post(path, event("1", "whatsapp")).await.expect(202).json();
    assert_eq!(first["message_id"], again["message_id"]);
    assert_eq!((&first["endpoints"], &again["duplicate"]), (&json!(1), &json!(true)));
    // The filter leaves this one out.
    let other = service.post(path, event("2", "sms")).await.expect(202).json();
    assert_eq!(other["endpoints"], 0);
    let told = receiver.wait_for(1).await;
    assert_eq!(told[0].id(), first["message_id"]);
    let wrong =
        json!({"tenant_id": owner.tenant_id, "type": "invoice.paid", "id": "x", "data": []});
    let refused = service.post(path, wrong).await;
    assert_eq!(refused.fault_pointers(), ["/type", "/data"]);
    assert_eq!(owner.post(path, event("3", "sms")).await.problem(), "401 unauthenticated");
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn what_an_endpoint_may_not_be_is_refused_with_its_place() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Free").await;
    let path = owner.path(ENDPOINTS);
    let bad = json!({
        "url": "ftp://example.com", "event_types": ["Invoice"], "filter": [{"field": "x"}], "ordering": "Some",
        "headers": {"Host": "x", "webhook-id": "x", "x-mine": "é", "a b": "c"}, "signature": "Rsa",
        "rate_limit": 0, "max_in_flight": 0, "description": "x".repeat(501),
    });
    let refused = owner.post(&path, bad).await;
    assert_eq!(refused.status, 422);
    let places = refused.fault_pointers();
    for place in [
        "/url",
        "/event_types/0",
        "/headers/Host",
        "/headers/webhook-id",
        "/headers/x-mine",
        "/headers/a b",
        "/signature",
        "/ordering",
        "/rate_limit",
        "/max_in_flight",
        "/description",
    ] {
        assert!(places.contains(&place.to_owned()), "{place} is not in {places:?}");
    }
    assert!(places.iter().any(|place| place.starts_with("/filter/0")), "{places:?}");
    for address in ["http://10.0.0.1/", "https://169.254.169.254/latest", "https://[fd00::1]/"] {
        let refused = owner.post(&path, json!({"url": address})).await;
        assert_eq!(refused.fault_pointers(), ["/url"], "{address}");
    }

    // One is what the plan allows; deleted, it makes room.
    let receiver = Receiver::start().await;
    let made = endpoint(&owner, &receiver, json!({})).await;
    let another = owner.post(&path, json!({"url": receiver.url()})).await;
    assert_eq!(another.problem(), "403 plan-limit-reached");
    owner.delete(&below(&owner, &made, "")).await.expect(204);
    assert_eq!(owner.get(&below(&owner, &made, "")).await.problem(), "404 not-found");
    endpoint(&owner, &receiver, json!({})).await;
}

#[tokio::test]
async fn a_disabled_endpoint_keeps_what_it_would_get_and_a_replay_sends_it() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let receiver = Receiver::start().await;
    let made = endpoint(&owner, &receiver, json!({"event_types": ["api_key.created"]})).await;
    let path = below(&owner, &made, "");
    let etag = owner.get(&path).await.expect(200).header("etag").to_owned();
    owner.with("if-match", &etag).patch(&path, json!({"enabled": false})).await.expect(200);
    let stale = owner.with("if-match", &etag).patch(&path, json!({"enabled": true})).await;
    assert_eq!(stale.problem(), "412 precondition-failed");
    for _ in 0..3 {
        owner.api_key(&["usage.read"]).await;
    }
    let held = owner.get(&below(&owner, &made, "/deliveries?status=Held")).await.expect(200).json();
    assert_eq!(held["data"].as_array().map(Vec::len), Some(3));
    let replays = below(&owner, &made, "/replays");
    assert_eq!(owner.post(&replays, json!({})).await.problem(), "409 conflict");
    owner.patch(&path, json!({"enabled": true})).await.expect(200);
    let replay = owner.post(&replays, json!({})).await.expect(202).json();
    assert_eq!(replay["total"], 3);
    let ids: Vec<_> = receiver.wait_for(3).await.iter().map(|told| told.id().to_owned()).collect();
    app.wait_for_jobs().await;
    let replay = format!("{replays}/{}", replay["id"].as_str().unwrap());
    let done = owner.get(&replay).await.expect(200).json();
    assert_eq!((&done["status"], &done["queued"]), (&json!("Done"), &json!(3)));

    // One of them once more: the same id.
    let resend = below(&owner, &made, &format!("/deliveries/{}/resend", ids[0]));
    wait_for_status(&owner, resend.trim_end_matches("/resend"), "Delivered").await;
    owner.post(&resend, json!({})).await.expect(202);
    let told = receiver.wait_for(4).await;
    assert_eq!(told[3].id(), ids[0]);
    assert_eq!(told[3].body, told.iter().find(|one| one.id() == ids[0]).unwrap().body);
}

#[tokio::test]
async fn an_endpoint_that_answers_410_is_disabled_and_its_owner_and_the_others_are_told() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let (gone, other) = (Receiver::start().await, Receiver::start().await);
    gone.always(Manner::Answer(410, "", "no more"));
    let made = endpoint(&owner, &gone, json!({"event_types": ["api_key.*"]})).await;
    endpoint(&owner, &other, json!({"event_types": ["webhook_endpoint.*"]})).await;
    owner.api_key(&["usage.read"]).await;
    let told = other.wait_for(1).await;
    assert_eq!(told[0].json()["type"], "webhook_endpoint.disabled");
    assert_eq!(told[0].json()["data"]["reason"], "Gone");
    let shown = owner.get(&below(&owner, &made, "")).await.expect(200).json();
    assert_eq!((&shown["enabled"], &shown["disabled"]["reason"]), (&json!(false), &json!("Gone")));
    app.wait_for_jobs().await;
    let mails = app.mailbox().all_to(&owner.email);
    assert!(mails.iter().any(|mail| mail.text.contains("was disabled")), "{mails:?}");
    // Nothing is lost: the message and what comes after are there, to be replayed.
    owner.api_key(&["usage.read"]).await;
    let held = owner.get(&below(&owner, &made, "/deliveries?status=Held")).await.expect(200).json();
    assert_eq!(held["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_catalogue_is_public_and_in_the_document() {
    let app = App::start().await;
    let types = app.stranger().get("/api/v1/webhook-event-types").await.expect(200).json();
    let document = app.stranger().get("/openapi.json").await.expect(200).json();
    let types = types["data"].as_array().cloned().unwrap();
    assert!(types.len() > 30);
    for event in types {
        let described = &document["webhooks"][event["name"].as_str().unwrap()]["post"];
        let media = &described["requestBody"]["content"]["application/json"];
        assert_eq!(media["example"], event["example"]);
    }
}
