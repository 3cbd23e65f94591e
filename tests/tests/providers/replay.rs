//! Documents of a provider's, played back: a request that is written down is answered as it is written down, and any other
//! fails the test. What has happened changes what is answered later (`after`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Deserialize;
use serde_json::Value;

use crate::fake::{Reply, Request, serve};

/// A request and its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    name: String,
    /// Only once this has happened; the last one that fits is taken.
    after: Option<String>,
    request: Asked,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    response: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    method: String,
    path: String,
    #[serde(default)]
    query: BTreeMap<String, String>,
    /// Those that must be there; there may be others.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
}

const fn ok() -> u16 {
    200
}

impl Asked {
    fn is(&self, request: &Request) -> bool {
        let query: BTreeMap<_, _> = request.query.iter().cloned().collect();
        self.method == request.method
            && self.path == request.path
            && self.query == query
            && self.headers.iter().all(|(name, value)| request.header(name) == value)
            && self.body == request.content()
    }
}

/// What goes wrong at an exchange, once.
#[derive(Debug, Clone)]
struct Fault {
    /// Whether what was asked for is done all the same.
    commits: bool,
    reply: Reply,
}

#[derive(Debug, Default)]
struct State {
    exchanges: Vec<Exchange>,
    happened: Mutex<BTreeSet<String>>,
    faults: Mutex<BTreeMap<String, Fault>>,
    seen: Mutex<Vec<(String, Request)>>,
}

/// The player.
#[derive(Debug, Clone)]
pub(crate) struct Replay {
    address: SocketAddr,
    state: Arc<State>,
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds this")
}

impl Replay {
    /// Plays these documents, with words like `$tenant` replaced.
    pub(crate) async fn start(documents: &str, words: &[(&str, String)]) -> Self {
        let mut text = documents.to_owned();
        for (word, value) in words {
            text = text.replace(&format!("${word}"), value);
        }
        let exchanges = serde_json::from_str(&text).expect("documents of exchanges");
        let state = Arc::new(State { exchanges, ..State::default() });
        let shared = state.clone();
        let address = serve(move |request| {
            let reply = shared.answer(request);
            Box::pin(async move { reply })
        })
        .await;
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it has happened.
    pub(crate) fn happen(&self, name: &str) {
        hold(&self.state.happened).insert(name.to_owned());
    }

    /// The next time that this is asked for, it is done and the answer is this one.
    pub(crate) fn answer_after_all(&self, name: &str, reply: Reply) {
        hold(&self.state.faults).insert(name.to_owned(), Fault { commits: true, reply });
    }

    /// The next time that this is asked for, it is not done and the answer is this one.
    pub(crate) fn answer_instead(&self, name: &str, reply: Reply) {
        hold(&self.state.faults).insert(name.to_owned(), Fault { commits: false, reply });
    }

    /// How often this was asked for.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.named(name).len()
    }

    /// The requests for this.
    pub(crate) fn named(&self, name: &str) -> Vec<Request> {
        let seen = hold(&self.state.seen);
        seen.iter().filter(|(known, _)| known == name).map(|(_, request)| request.clone()).collect()
    }

    /// All requests; what is not written down fails the test here.
    pub(crate) fn all(&self) -> Vec<Request> {
        let seen = hold(&self.state.seen);
        let unknown: Vec<_> = seen.iter().filter(|(name, _)| name.is_empty()).collect();
        assert!(unknown.is_empty(), "not written down: {:#?}", describe(&unknown));
        seen.iter().map(|(_, request)| request.clone()).collect()
    }
}

fn describe(requests: &[&(String, Request)]) -> Vec<String> {
    let text = |(_, request): &&(String, Request)| {
        let Request { method, path, query, .. } = request;
        format!("{method} {path} {query:?} {}", request.content())
    };
    requests.iter().map(text).collect()
}

impl State {
    fn answer(&self, request: Request) -> Reply {
        let mut happened = hold(&self.happened);
        let has_happened = |name: &String| happened.contains(name);
        let fits = |exchange: &&Exchange| {
            exchange.after.as_ref().is_none_or(has_happened) && exchange.request.is(&request)
        };
        let found = self.exchanges.iter().rfind(fits);
        let name = found.map(|exchange| exchange.name.clone()).unwrap_or_default();
        hold(&self.seen).push((name.clone(), request));
        let Some(exchange) = found else {
            return Reply::json(501, &Value::Null);
        };
        let fault = hold(&self.faults).remove(&name);
        if fault.as_ref().is_none_or(|fault| fault.commits) {
            happened.insert(name);
        }
        match fault {
            Some(fault) => fault.reply,
            None if exchange.response.is_null() => {
                Reply::Answer(exchange.status, Vec::new(), Vec::new())
            }
            None => Reply::json(exchange.status, &exchange.response),
        }
    }
}
