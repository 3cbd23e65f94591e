//! What passes the edge and what does not, byte for byte: requests written by hand, before an application that
//! keeps what it was sent. Whatever only the edge may say, the application hears from the edge alone; whatever
//! concerns one connection, or is read in two ways, goes no further.

use credentials::edge_context::HEADER as CONTEXT;
use domain::clock::{Clock as _, SystemClock};
use harness::{App, AppOptions, Application, routes_with};
use pytake::ContextVerifier;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};

pub(crate) const ANSWER: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsent";

/// What nobody but the edge says to an application, or what ends with the connection that it came on.
const FORBIDDEN: [&str; 22] = [
    "X-Tenant-Id",
    "X-Pytake-Context",
    "X-Pytake-Anything",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Client-Cert",
    "X-Real-IP",
    "X-Request-Id",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy-Authorization",
    "Proxy-Authenticate",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "HTTP2-Settings",
];

/// What the edge says on every request.
const EDGES_OWN: [&str; 6] = [
    CONTEXT,
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "traceparent",
];

/// The real edge before one application: `/open/…` for everyone, `/kept/…` for API keys.
pub(crate) struct Stage {
    app: App,
    application: Application,
    _folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn set(answer: &str) -> Self {
        let application = Application::answering(answer).await;
        let folder = tempfile::tempdir().expect("a folder");
        let pool = format!("upstreams.mine = {{ peers = [\"{}\"] }}", application.address());
        let rows = "{ methods = [\"GET\", \"POST\"], path = \"/open/{*rest}\", upstream = \"mine\", auth = \"public\" },
            { methods = [\"GET\", \"POST\"], path = \"/kept/{*rest}\", upstream = \"mine\", auth = \"key\", tenant = \"required\" },";
        let settings = vec![("PYTAKE_EDGE__ROUTES_FILE", routes_with(folder.path(), &pool, rows))];
        let app = App::start_with(AppOptions { settings, ..AppOptions::default() }).await;
        Self { app, application, _folder: folder }
    }

    /// Sends bytes, and answers the status, the head that came back, and the request that the application got.
    pub(crate) async fn send(&self, request: &str) -> Passed {
        let address = self.app.url().replace("http://", "");
        let answer = harness::raw(&address, request.as_bytes()).await;
        let mut passed = self.application.take_requests();
        assert!(passed.len() <= 1, "one request became {}: {request:?}", passed.len());
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Passed { status, answer, upstream: passed.pop() }
    }
}

/// How a request went.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) status: u16,
    answer: String,
    pub(crate) upstream: Option<String>,
}

impl Passed {
    /// Refused with a problem document, and nobody upstream has heard of it.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, of: &str) {
        assert_eq!(self.status, status, "{of:?}: {self:?}");
        assert_eq!(self.upstream, None, "{of:?}");
        let head = self.answer.to_ascii_lowercase();
        assert!(head.contains("content-type: application/problem+json\r\n"), "{of:?}: {self:?}");
    }

    /// The value of a header that the application got exactly once.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> &str {
        one(self.upstream.as_deref().unwrap_or_else(|| panic!("nothing: {self:?}")), name)
    }
}

/// The value of a header that is in `message` exactly once.
#[track_caller]
fn one<'a>(message: &'a str, name: &str) -> &'a str {
    let mut values = lines(message).filter(|(found, _)| found == name).map(|(_, value)| value);
    let value = values.next().unwrap_or_else(|| panic!("no {name}: {message}"));
    assert_eq!(values.next(), None, "{name} twice: {message}");
    value
}

/// The header lines of a message: names as the most liberal reader takes them, without space, in lower case, and
/// with every sign as a hyphen (CGI makes underscores of all of them).
fn lines(message: &str) -> impl Iterator<Item = (String, &str)> {
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    head.split(['\r', '\n']).skip(1).filter(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        (name.trim().chars().map(fold).collect(), value.trim())
    })
}

/// How many ways [`spelled`] knows.
const SPELLINGS: usize = 12;
/// The first of them that are headers by the grammar; the others have space where none may be.
const SPELLINGS_THAT_ARE_HEADERS: usize = 8;

/// `name` as a client may write it so that some reader takes it for the same.
fn spelled(name: &str, way: usize, random: &mut StdRng) -> String {
    let signs = |sign: &str| name.replace('-', sign);
    match way {
        0 => name.to_owned(),
        1 => name.to_lowercase(),
        2 => name.to_uppercase(),
        3 => name
            .chars()
            .map(|c| if random.random() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() })
            .collect(),
        4 => signs("_"),
        5 => name.replacen('-', "_", 1),
        6 => signs("."),
        7 => signs("!"),
        8 => format!("{name} "),
        9 => format!("{name}\t"),
        10 => format!(" {name}"),
        _ => format!("\t{name}"),
    }
}

#[tokio::test]
async fn what_only_the_edge_may_say_reaches_no_application_in_any_spelling() {
    let stage = Stage::set(ANSWER).await;
    let seed = harness::variable("HARNESS_SEED").and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u64>);
    println!("HARNESS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let ways = |name: &'static str| (0..SPELLINGS * 3).map(move |way| (name, way / 3, way % 3));
    let mut cases: Vec<_> = FORBIDDEN.into_iter().flat_map(ways).collect();
    cases.shuffle(&mut random);
    for (name, way, repeated) in cases {
        let spelled = spelled(name, way, &mut random);
        let value = ["forged", "forged, Forged", "\"forged\""].choose(&mut random).expect("some");
        // `Connection` nominates; in quotes it is no list of names, and refused.
        let value = if name == "Connection" { "forged" } else { value };
        let lines_sent = match repeated {
            0 => format!("{spelled}: {value}\r\n"),
            1 => format!("{spelled}: {value}\r\n{spelled}:forged\r\n"),
            _ => format!(
                "{spelled}: {value}\r\nX-Between: a\r\n{}: {value}\r\n",
                spelled.to_lowercase()
            ),
        };
        let request =
            format!("GET /open/a HTTP/1.1\r\nHost: localhost\r\nX-Mine: a\r\n{lines_sent}\r\n");
        let passed = stage.send(&request).await;
        // Space before a colon or a name is no header (RFC 9112, 5.1, 5.2), and neither is a coding that nobody
        // knows: pingora refuses both without a body, before any filter of ours.
        if way >= SPELLINGS_THAT_ARE_HEADERS || (name == "Transfer-Encoding" && way <= 3) {
            assert_eq!((passed.status, &passed.upstream), (400, &None), "{request:?}");
            continue;
        }
        assert_eq!(passed.status, 200, "{request:?}: {passed:?}");
        let upstream = passed.upstream.as_deref().expect("an answer comes from the application");
        for (_, value) in lines(upstream) {
            assert!(!value.to_lowercase().contains("forged"), "{request:?}:\n{upstream}");
        }
        for name in EDGES_OWN.into_iter().chain(["x-mine"]) {
            passed.one(name);
        }
    }
}

#[tokio::test]
async fn a_client_cannot_have_headers_of_the_edge_removed() {
    let stage = Stage::set(ANSWER).await;
    let owner = stage.app.tenant("acme", "Pro").await;
    let key = owner.api_key(&["usage.read"]).await;
    let verifier =
        ContextVerifier::from_hex("mine", &stage.app.pool_key("mine")).expect("the pool's key");
    let bodies = [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ];
    for (nominated, obeyed) in [
        ("x-pytake-context", true),
        ("X-Request-ID, X_Request_Id", true),
        ("AUTHORIZATION", true),
        ("content-length", true),
        ("Transfer-Encoding", true),
        ("traceparent", true),
        ("x-tenant-id", true),
        ("close, x-else", true),
        ("", true),
        ("host", false),
        ("Host", false),
        ("x-forwarded-for", false),
        ("close, X-Forwarded-Host", false),
        ("x-forwarded-proto", false),
        (":authority", false),
        ("\"x-forwarded-for\"", false),
        ("x forwarded for", false),
        ("a, b, c, d, e, f, g, h, i, j, k", false),
    ] {
        for body in bodies {
            let request = format!(
                "POST /kept/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nConnection: {nominated}\r\nConnection: X-Mine\r\nX-Mine: mine\r\n{body}"
            );
            let passed = stage.send(&request).await;
            if !obeyed {
                passed.refused(400, nominated);
                continue;
            }
            assert_eq!(passed.status, 200, "{nominated}: {passed:?}");
            let upstream = passed.upstream.as_deref().expect("a request");
            assert!(EDGES_OWN.iter().all(|name| !passed.one(name).is_empty()), "{nominated}");
            assert!(!upstream.contains("mine\r\n") && !upstream.contains(&key), "{upstream}");
            // One framing, and the body within it.
            let framed = ["content-length: 5\r\n", "transfer-encoding: chunked\r\n"];
            let head = upstream.to_lowercase();
            assert_eq!(framed.iter().filter(|line| head.contains(**line)).count(), 1, "{upstream}");
            let body = upstream.split_once("\r\n\r\n").map(|(_, body)| body);
            assert!(matches!(body, Some("hello" | "5\r\nhello\r\n0\r\n\r\n")), "{upstream:?}");
            let request = http::Request::post("/kept/a").header(CONTEXT, passed.one(CONTEXT));
            let parts = request.body(()).expect("a request").into_parts().0;
            let context = verifier.verify(&parts, SystemClock.now()).expect("the edge's statement");
            assert_eq!(context.tenant_id.map(|id| id.to_string()), Some(owner.tenant_id.clone()));
        }
    }
}

/// pingora prefers the chunks, as RFC 9112, 6.3 has it, and closes behind the request: what follows is not read
/// as another one.
#[tokio::test]
async fn two_framings_become_one() {
    let stage = Stage::set(ANSWER).await;
    for framing in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nContent_Length: 4\r\n",
    ] {
        let smuggled = "GET /open/b HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let request = format!(
            "POST /open/a HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}"
        );
        let passed = stage.send(&request).await;
        assert_eq!(passed.status, 200, "{request:?}: {passed:?}");
        let upstream = passed.upstream.as_deref().expect("a request");
        assert_eq!(passed.one("transfer-encoding"), "chunked");
        assert!(lines(upstream).all(|(name, _)| name != "content-length"), "{upstream}");
        assert!(upstream.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{upstream:?}");
    }
    for framing in
        ["Content-Length: 4, 5", "Content-Length: +4", "Content-Length: 4\r\nContent-Length: 5"]
    {
        let request = format!("POST /open/a HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\nhello");
        let passed = stage.send(&request).await;
        assert_eq!((passed.status, &passed.upstream), (400, &None), "{request:?}: {passed:?}");
    }
}

#[tokio::test]
async fn no_connection_becomes_another_protocol() {
    let stage = Stage::set(ANSWER).await;
    for lines_sent in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    ] {
        let request = format!("GET /open/a HTTP/1.1\r\nHost: localhost\r\n{lines_sent}\r\n");
        let passed = stage.send(&request).await;
        assert_eq!(passed.status, 200, "{passed:?}");
        let upstream = passed.upstream.as_deref().expect("a request").to_lowercase();
        for name in ["upgrade", "connection", "http2-settings"] {
            assert!(lines(&upstream).all(|(found, _)| found != name), "{upstream}");
        }
    }
    // Tunnels are pingora's to refuse, which it does without a body.
    let tunnel = stage.send("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!((tunnel.status, tunnel.upstream), (405, None));
    // So is HTTP/2 by prior knowledge: this listener speaks HTTP/1 only, so there is no `:authority` to disagree.
    let preface = stage.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!((preface.status, preface.upstream), (400, None));
}

#[tokio::test]
async fn an_application_cannot_speak_for_the_edge_or_its_connection() {
    let forged = "Keep-Alive: forged\r\nProxy-Authenticate: forged\r\nProxy-Authentication-Info: forged\r\nProxy-Connection: forged\r\nTE: forged\r\nTrailer: forged\r\nUpgrade: forged\r\nX-Request-Id: forged\r\nx-request-id: forged\r\nX-Pytake-Committed: forged\r\nX-Pytake-Context: forged\r\nServer: forged\r\n";
    let answer = format!(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n{forged}\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close, X-Nominated, Content-Length\r\nConnection: X-Too\r\nX-Nominated: forged\r\nX-Too: forged\r\n{forged}X-Mine: mine\r\n\r\nsent"
    );
    let stage = Stage::set(&answer).await;
    let address = stage.app.url().replace("http://", "");
    let request = "GET /open/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = harness::raw_to_end(&address, request.as_bytes()).await;
    assert!(!answer.contains("forged"), "{answer}");
    let (hint, answer) = answer.split_once("\r\n\r\n").expect("a hint and an answer");
    assert_eq!(hint, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>");
    assert!(one(answer, "x-request-id").starts_with("req_"), "{answer}");
    assert_eq!((one(answer, "content-length"), one(answer, "x-mine")), ("4", "mine"));
    assert_eq!(one(answer, "connection"), "close");
    assert_eq!(answer.split("\r\n\r\n").nth(1), Some("sent"));
}
