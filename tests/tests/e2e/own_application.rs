//! An application of one's own behind the edge, as README.md and config/routes.toml say: a pool, a route, and
//! one header to trust.

use std::sync::{Arc, Mutex};

use domain::clock::{Clock as _, SystemClock};
use harness::{App, AppOptions, root};
use http::request::Parts;
use pytake::{ContextVerifier, Permission};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SEND: &str = "/api/v1/whatsapp/send?urgent=1";

/// An application that answers everything alike, and what it was sent.
struct Application {
    heads: Arc<Mutex<Vec<String>>>,
}

impl Application {
    async fn start() -> (Self, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_one(stream, Arc::clone(&kept)));
            }
        });
        (Self { heads }, address)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic while it is held").clone()
    }
}

async fn answer_one(mut stream: TcpStream, heads: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    while !read.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await? {
            // The edge only looks whether somebody listens.
            0 => return Ok(()),
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
    let head = String::from_utf8_lossy(&read).into_owned();
    heads.lock().expect("no panic while it is held").push(head);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsent").await
}

/// The checkout's route table with the rows that its comment shows.
fn routes(folder: &std::path::Path, address: std::net::SocketAddr) -> String {
    let text = std::fs::read_to_string(root().join("config/routes.toml")).expect("routes.toml");
    let shown = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("#   {start}")));
        line.expect("the comment's example").trim_start_matches("#   ").to_owned()
    };
    let pool = shown("upstreams.whatsapp").replace("127.0.0.1:9000", &address.to_string());
    let row = shown("{ methods = [\"POST\"], path = \"/api/v1/whatsapp/send\"");
    let text = text.replacen("\nroutes = [\n", &format!("\n{pool}\nroutes = [\n{row}\n"), 1);
    let path = folder.join("routes.toml");
    std::fs::write(&path, text).expect("a route table");
    path.to_string_lossy().into_owned()
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
    let (application, address) = Application::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let settings = vec![("PYTAKE_EDGE__ROUTES_FILE", routes(folder.path(), address))];
    let app = App::start_with(AppOptions { settings, ..AppOptions::default() }).await;
    let owner = app.tenant("acme", "Pro").await;

    let key = owner.api_key(&["whatsapp.send"]).await;
    let forged = app.stranger().bearing(&key).with("x-pytake-context", "v1.forged");
    let answer = forged.post(SEND, json!({"to": "+1"})).await.expect(200);
    assert_eq!(answer.body, "sent");

    let heads = application.heads();
    assert_eq!(heads.len(), 1);
    assert!(!heads[0].contains(&key), "the caller's key is the edge's business:\n{}", heads[0]);
    let parts = parts(&heads[0]);
    let now = SystemClock.now();
    let verifier = ContextVerifier::from_hex(&app.edge_context_key(), "whatsapp").expect("a key");
    let context = verifier.verify(&parts, now).expect("a statement of the edge's");
    assert_eq!(context.tenant_id.map(|id| id.to_string()), Some(owner.tenant_id.clone()));
    assert!(context.principal.permissions().contains(Permission::SendMessages));
    let other = ContextVerifier::from_hex(&app.edge_context_key(), "api").expect("a key");
    assert!(other.verify(&parts, now).is_err(), "a statement for one pool is none for another");
}

#[tokio::test]
async fn what_the_edge_refuses_never_reaches_the_application() {
    let (application, address) = Application::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let settings = vec![("PYTAKE_EDGE__ROUTES_FILE", routes(folder.path(), address))];
    let app = App::start_with(AppOptions { settings, ..AppOptions::default() }).await;
    let owner = app.tenant("acme", "Pro").await;
    let reader = app.stranger().bearing(&owner.api_key(&["usage.read"]).await);
    assert_eq!(reader.post(SEND, json!({})).await.problem(), "403 permission-denied");
    assert_eq!(app.stranger().post(SEND, json!({})).await.problem(), "401 unauthenticated");
    assert!(application.heads().is_empty());
}
