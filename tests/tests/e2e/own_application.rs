//! An application of one's own behind the edge, as README.md and config/routes.toml say: a pool, a route, and
//! one header to trust.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use credentials::edge_context::{Binding, ContextKey};
use domain::clock::{Clock as _, SystemClock};
use harness::{App, AppOptions, Application, poll_async, program, random_hex, root, write_private};
use http::request::Parts;
use pytake::{ContextVerifier, EdgeContext, Permission, Principal, RequestId};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

const SEND: &str = "/api/v1/whatsapp/send?urgent=1";
/// Of the API's, without a credential.
const PLANS: &str = "/api/v1/plans";
const REREAD_WITHIN: Duration = Duration::from_secs(10);

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsent";

/// What an operator has: a route table with the application's rows, and the file of context keys.
struct Operator(TempDir);

impl Operator {
    fn new(application: std::net::SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let operator = Self(folder);
        std::fs::write(operator.file("routes.toml"), routes(application)).expect("a route table");
        operator.keep_keys(&[&random_hex()]);
        operator
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn keep_keys(&self, lines: &[&str]) {
        write_private(&self.file("edge_context_key"), &lines.join("\n")).expect("a key file");
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        vec![
            ("PYTAKE_EDGE__ROUTES_FILE", text(self.file("routes.toml"))),
            ("PYTAKE_SECRETS__EDGE_CONTEXT_KEY_FILE", text(self.file("edge_context_key"))),
        ]
    }

    async fn start(&self) -> App {
        App::start_with(AppOptions { settings: self.settings(), ..AppOptions::default() }).await
    }

    fn ask_for_keys(&self, pool: &str) -> Output {
        let mut command = Command::new(program("pytake-proxy").expect("built programs"));
        let command = command.args(["pool-keys", pool]).env_clear().envs(self.settings());
        command.current_dir(root()).output().expect("the program runs")
    }

    /// What the operator hands to the application of `pool`.
    fn keys(&self, pool: &str) -> String {
        let output = self.ask_for_keys(pool);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }
}

/// The checkout's route table with the rows that its comment shows.
fn routes(address: std::net::SocketAddr) -> String {
    let text = std::fs::read_to_string(root().join("config/routes.toml")).expect("routes.toml");
    let shown = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("#   {start}")));
        line.expect("the comment's example").trim_start_matches("#   ").to_owned()
    };
    let pool = shown("upstreams.whatsapp").replace("127.0.0.1:9000", &address.to_string());
    let row = shown("{ methods = [\"POST\"], path = \"/api/v1/whatsapp/send\"");
    text.replacen("\nroutes = [\n", &format!("\n{pool}\nroutes = [\n{row}\n"), 1)
}

/// A statement about a request to the API, by whoever holds a pool's key.
fn minted(pool_key: &str) -> String {
    let context = EdgeContext {
        request_id: RequestId::from_uuid(uuid::Uuid::from_u128(1)),
        nonce: 7,
        tenant_id: None,
        plan: None,
        principal: Principal::Anonymous,
        client_address: "192.0.2.1".parse().expect("an address"),
    };
    let key = ContextKey::new(&pool_key.parse().expect("a key"));
    let binding = Binding { audience: "api", method: "GET", path_and_query: PLANS };
    key.seal(&context, binding, SystemClock.now())
}

/// Whether the API itself believes a statement that did not come through the edge.
async fn api_believes(app: &App, pool_key: &str) -> bool {
    let direct = app.stranger().calling(&app.api_url()).with("x-pytake-context", &minted(pool_key));
    let answer = direct.get(PLANS).await;
    assert!([200, 401].contains(&answer.status), "{answer:?}");
    answer.status == 200
}

/// Has the API read its keys again, and waits until it believes `pool_key` or no longer does.
async fn reread(app: &mut App, pool_key: &str, believed: bool) {
    app.process("pytake-api").signal(Signal::HUP);
    let changed = poll_async(REREAD_WITHIN, || async {
        (api_believes(app, pool_key).await == believed).then_some(())
    });
    assert_eq!(changed.await, Some(()), "the API does not follow its key file");
}

/// The head as an HTTP library would hand it to an application.
fn parts(head: &str) -> Parts {
    let mut lines = head.lines();
    let mut first = lines.next().expect("a request line").split(' ');
    let method = first.next().expect("a method");
    let mut request = http::Request::builder().method(method).uri(first.next().expect("a path"));
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").expect("a header");
        request = request.header(name, value);
    }
    request.body(()).expect("a request").into_parts().0
}

#[tokio::test]
async fn an_application_behind_the_edge_learns_who_calls_from_one_header() {
    let application = Application::answering(ANSWER).await;
    let operator = Operator::new(application.address());
    let app = operator.start().await;
    let owner = app.tenant("acme", "Pro").await;

    let key = owner.api_key(&["whatsapp.send"]).await;
    let forged = app.stranger().bearing(&key).with("x-pytake-context", "v1.forged");
    let answer = forged.post(SEND, json!({"to": "+1"})).await.expect(200);
    assert_eq!(answer.body, "sent");

    let heads = application.requests();
    assert_eq!(heads.len(), 1);
    assert!(!heads[0].contains(&key), "the caller's key is the edge's business:\n{}", heads[0]);
    let parts = parts(&heads[0]);
    let now = SystemClock.now();
    let keys = operator.keys("whatsapp");
    let verifier = ContextVerifier::from_hex("whatsapp", &keys).expect("a key");
    let context = verifier.verify(&parts, now).expect("a statement of the edge's");
    assert_eq!(context.tenant_id.map(|id| id.to_string()), Some(owner.tenant_id.clone()));
    assert!(context.principal.permissions().contains(Permission::SendMessages));
    let other = ContextVerifier::from_hex("api", &operator.keys("api")).expect("a key");
    assert!(other.verify(&parts, now).is_err(), "a statement for one pool is none for another");
}

#[tokio::test]
async fn what_the_edge_refuses_never_reaches_the_application() {
    let application = Application::answering(ANSWER).await;
    let app = Operator::new(application.address()).start().await;
    let owner = app.tenant("acme", "Pro").await;
    let reader = app.stranger().bearing(&owner.api_key(&["usage.read"]).await);
    assert_eq!(reader.post(SEND, json!({})).await.problem(), "403 permission-denied");
    assert_eq!(app.stranger().post(SEND, json!({})).await.problem(), "401 unauthenticated");
    assert!(application.requests().is_empty());
}

#[tokio::test]
async fn with_what_an_application_holds_nobody_speaks_for_the_edge_to_the_api() {
    let application = Application::answering(ANSWER).await;
    let operator = Operator::new(application.address());
    let app = operator.start().await;
    assert!(!api_believes(&app, operator.keys("whatsapp").trim()).await);
    // The same statement under the right key: it is the key that was refused.
    assert!(api_believes(&app, operator.keys("api").trim()).await);

    let unknown = operator.ask_for_keys("shop");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stdout.is_empty());
    assert_eq!(
        String::from_utf8_lossy(&unknown.stderr),
        "pytake-proxy: the route table has no pool \"shop\"; it has api, whatsapp\n"
    );
}

/// docs/context.md, "Keys", step by step.
#[tokio::test]
async fn keys_are_rotated_without_a_request_refused() {
    let application = Application::answering(ANSWER).await;
    let operator = Operator::new(application.address());
    let (old, new) = (random_hex(), random_hex());
    operator.keep_keys(&[&old]);
    let options = AppOptions {
        settings: operator.settings(),
        errors_expected: true,
        ..AppOptions::default()
    };
    let mut app = App::start_with(options).await;
    let owner = app.tenant("acme", "Pro").await;
    let sender = app.stranger().bearing(&owner.api_key(&["whatsapp.send"]).await);
    let old_keys = operator.keys("whatsapp");
    let old_api_key = operator.keys("api");

    operator.keep_keys(&[&new, &old]);
    let api_keys = operator.keys("api");
    let new_api_key = api_keys.lines().next().expect("two keys");
    assert!(!api_believes(&app, new_api_key).await);
    reread(&mut app, new_api_key, true).await;
    assert!(api_believes(&app, old_api_key.trim()).await);
    let both_keys = operator.keys("whatsapp");
    sender.post(SEND, json!({})).await.expect(200);

    operator.keep_keys(&[&old, &new]);
    app.restart("pytake-proxy").await;
    sender.post(SEND, json!({})).await.expect(200);
    owner.get("/api/v1/dashboard").await.expect(200);

    operator.keep_keys(&[&new]);
    reread(&mut app, old_api_key.trim(), false).await;
    owner.get("/api/v1/dashboard").await.expect(200);
    let new_keys = operator.keys("whatsapp");

    // What came before and after the edge's restart, and who of the applications understands it.
    let heads = application.requests();
    let [before, after] = &heads[..] else { panic!("two requests: {heads:?}") };
    let understood = |keys: &str, head: &str| {
        let verifier = ContextVerifier::from_hex("whatsapp", keys).expect("keys");
        verifier.verify(&parts(head), SystemClock.now()).is_ok()
    };
    assert_eq!([before, after].map(|head| understood(&old_keys, head)), [true, false]);
    assert_eq!([before, after].map(|head| understood(&both_keys, head)), [true, true]);
    assert_eq!([before, after].map(|head| understood(&new_keys, head)), [false, true]);

    // A slip of the pen takes nobody's key away.
    operator.keep_keys(&["not a key"]);
    let log = app.process("pytake-api").log().to_owned();
    app.process("pytake-api").signal(Signal::HUP);
    assert_eq!(poll_async(REREAD_WITHIN, || complained(&log)).await, Some(()));
    assert!(api_believes(&app, new_api_key).await);
}

async fn complained(log: &Path) -> Option<()> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.contains("the edge context keys stay as they were").then_some(())
}
