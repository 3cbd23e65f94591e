//! Who signs in from elsewhere than lately is told, once, by mail.

use harness::{App, AppOptions, PASSWORD};
use serde_json::json;

const ALERT: &str = "was signed in to";

#[tokio::test]
async fn a_sign_in_from_another_network_is_told_once_and_one_from_the_same_is_not() {
    let settings = vec![("PYTAKE_EDGE__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]".to_owned())];
    let app = App::start_with(AppOptions { settings, ..AppOptions::default() }).await;
    let owner = app.tenant("acme", "Pro").await;
    let owner = app.verified(owner).await;
    let sign_in = async |address: &str| {
        let body = json!({"email": owner.email, "password": PASSWORD});
        let caller = app.stranger().with("x-forwarded-for", address).with("user-agent", "lynx");
        caller.post("/api/v1/auth/login", body).await.expect(200);
        app.wait_for_jobs().await;
        let mails = app.mailbox().all_to(&owner.email);
        mails.into_iter().filter(|mail| mail.text.contains(ALERT)).collect::<Vec<_>>()
    };
    assert!(sign_in("127.0.0.1").await.is_empty(), "the network of the sign-up");
    let told = sign_in("203.0.113.7").await;
    assert_eq!(told.len(), 1);
    assert!(told[0].text.contains("203.0.113.7, by lynx"), "{}", told[0].text);
    assert_eq!(sign_in("203.0.113.200").await.len(), 1, "the same network");
    assert_eq!(sign_in("2001:db8:1:2::3").await.len(), 2);
    assert_eq!(sign_in("2001:db8:1:3::4").await.len(), 2, "the same network");
}
