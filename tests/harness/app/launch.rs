//! Starting the programs of an installation, and waiting until they are ready.

use std::time::Duration;

use super::{App, Running, SECOND_EDGE, SECOND_WORKERS};
use crate::actor::Actor;
use crate::environment::settings_variables;
use crate::leash::{Spawn, tail};
use crate::ports::reserve;
use crate::wait::poll_async;
use crate::workspace::{program, root};

const READY_WITHIN: Duration = Duration::from_secs(30);
/// Connections of each program: a run has many of them at once on one server.
const CONNECTIONS: &str = "4";

impl App {
    pub(super) fn run(&mut self, name: &'static str) {
        let metrics = reserve().expect("a port");
        let role = match name {
            "pytake-api" => "pytake_api",
            "pytake-workers" | SECOND_WORKERS => "pytake_worker",
            _ => "pytake_edge",
        };
        let database_url = match &self.cable {
            Some(cable) => self.database.url_through(cable, role),
            None => self.database.url_as(role),
        };
        let own = [
            ("PYTAKE_DATABASE__URL", database_url),
            ("PYTAKE_EDGE__METRICS_LISTEN", metrics.address().to_string()),
            ("PYTAKE_EDGE__STATE_DIR", self.state_dir(name)),
            ("PYTAKE_API__METRICS_LISTEN", metrics.address().to_string()),
            ("PYTAKE_WORKERS__METRICS_LISTEN", metrics.address().to_string()),
        ];
        let second = self.second_edge.as_ref().filter(|_| name == SECOND_EDGE);
        let listen =
            second.map(|port| ("PYTAKE_EDGE__LISTEN", format!("[\"{}\"]", port.address())));
        let operator = (name == "pytake-api").then(|| {
            let url = match &self.cable {
                Some(cable) => self.database.url_through(cable, "pytake_operator"),
                None => self.database.url_as("pytake_operator"),
            };
            ("PYTAKE_OPERATOR__DATABASE_URL", url)
        });
        let binary = match name {
            SECOND_EDGE => "pytake-proxy",
            SECOND_WORKERS => "pytake-workers",
            name => name,
        };
        let leash = Spawn::new(program(binary).expect("built programs"), self.log(name))
            .without(settings_variables())
            .variables(self.settings())
            .variables(own)
            .variables(listen)
            .variables(operator)
            .variables(self.options.settings.iter().cloned())
            .in_directory(root())
            .start()
            .expect("a program starts");
        self.programs.push(Running { name, leash, metrics });
    }

    /// Each edge keeps its policy in a folder of its own.
    fn state_dir(&self, name: &str) -> String {
        self.home.path().join("state").join(name).to_string_lossy().into_owned()
    }

    /// What all three programs are told.
    fn settings(&self) -> Vec<(String, String)> {
        let [edge, api, operator] = &self.ports;
        let pairs = [
            ("PYTAKE_DATABASE__MAX_CONNECTIONS", CONNECTIONS.to_owned()),
            ("PYTAKE_REDIS__URL", self.redis_url()),
            ("PYTAKE_REDIS__KEY_PREFIX", format!("{}:", self.database.name())),
            ("PYTAKE_EDGE__LISTEN", format!("[\"{}\"]", edge.address())),
            ("PYTAKE_EDGE__THREADS", "1".into()),
            ("PYTAKE_EDGE__GRACE_PERIOD_SECONDS", "1".into()),
            ("PYTAKE_EDGE__UPSTREAMS", format!("{{api=[\"{}\"]}}", api.address())),
            ("PYTAKE_API__LISTEN", api.address().to_string()),
            ("PYTAKE_OPERATOR__LISTEN", operator.address().to_string()),
            ("PYTAKE_API__PUBLIC_URL", self.url()),
            // Receivers of webhooks are on this machine.
            ("PYTAKE_WEBHOOKS__ALLOWED_NETWORKS", "[\"127.0.0.0/8\", \"::1/128\"]".into()),
            ("PYTAKE_MAIL__DIR", self.mail_dir().to_string_lossy().into_owned()),
        ];
        let mut settings = self.servers.secrets().variables();
        settings.extend(pairs.map(|(name, value)| (name.to_owned(), value)));
        settings
    }

    pub(super) async fn wait_until_ready(&mut self) {
        for index in 0..self.programs.len() {
            let url = format!("http://{}", self.programs[index].metrics.address());
            let prober = self.client.calling(&url);
            let running = &mut self.programs[index];
            let ready = poll_async(READY_WITHIN, || {
                let ended = running.leash.ended().is_some();
                let prober = prober.clone();
                async move { if ended { Some(false) } else { is_ready(&prober).await.then_some(true) } }
            });
            assert_eq!(
                ready.await,
                Some(true),
                "{} does not become ready:\n{}",
                self.programs[index].name,
                tail(self.programs[index].leash.log())
            );
        }
    }
}

async fn is_ready(prober: &Actor) -> bool {
    prober.try_get("/readyz").await.is_some_and(|answer| answer.status == 200)
}
