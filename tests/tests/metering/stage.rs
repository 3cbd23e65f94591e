//! An installation before applications whose answers are known, and the figures that come of it.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{App, AppOptions, Application, poll_async, routes_with};
use sqlx::{Row as _, query};
use tempfile::TempDir;

/// Sealed, submitted, rolled up: four seconds as a rule.
pub(crate) const COUNTED_WITHIN: Duration = Duration::from_secs(30);

const ROUTES: &str = r#"
    { methods = ["GET"], path = "/fine", upstream = "fine", auth = "any", tenant = "required", permission = "ViewUsage" },
    { methods = ["POST"], path = "/send", upstream = "fine", auth = "any", tenant = "required", permission = "ViewUsage", meter = "messages", weight = 3 },
    { methods = ["GET"], path = "/open", upstream = "fine", auth = "public" },
    { methods = ["GET"], path = "/moved", upstream = "moved", auth = "any", tenant = "required", permission = "ViewUsage" },
    { methods = ["GET"], path = "/missing", upstream = "missing", auth = "any", tenant = "required", permission = "ViewUsage" },
    { methods = ["POST"], path = "/broken", upstream = "broken", auth = "any", tenant = "required", permission = "ViewUsage", meter = "messages" },
    { methods = ["GET"], path = "/refused", upstream = "refused", auth = "any", tenant = "required", permission = "ViewUsage" },
    { methods = ["GET"], path = "/gone", upstream = "gone", auth = "any", tenant = "required", permission = "ViewUsage" },
    { methods = ["GET"], path = "/money", upstream = "fine", auth = "any", tenant = "required", permission = "ManageBilling" },
"#;
const POOLS: [(&str, &str); 5] = [
    ("fine", "200 OK"),
    ("moved", "302 Found"),
    ("missing", "404 Not Found"),
    ("broken", "500 Internal Server Error"),
    ("refused", "403 Forbidden"),
];

pub(crate) struct Stage {
    pub(crate) app: App,
    _applications: Vec<Application>,
    _folder: TempDir,
}

impl Stage {
    pub(crate) async fn set(options: AppOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut applications = Vec::new();
        let gone = Application::answering("").await;
        let mut pools = format!("upstreams.gone = {{ peers = [\"{}\"] }}\n", gone.address());
        for (name, status) in POOLS {
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
            let application = Application::answering(&answer).await;
            let address = application.address();
            pools.push_str(&format!("upstreams.{name} = {{ peers = [\"{address}\"] }}\n"));
            applications.push(application);
        }
        let mut options = options;
        let routes = routes_with(folder.path(), &pools, ROUTES);
        options.settings.push(("PYTAKE_EDGE__ROUTES_FILE", routes));
        options.settings.push(("PYTAKE_EDGE__ACCESS_LOG_PER_MILLION", "0".to_owned()));
        let app = App::start_with(options).await;
        drop(gone);
        Self { app, _applications: applications, _folder: folder }
    }

    /// What the days say of a meter, by outcome.
    pub(crate) async fn days(&self, meter: &str) -> BTreeMap<String, i64> {
        self.sums(
            "SELECT outcome, sum(quantity)::bigint FROM usage_days WHERE meter = $1 GROUP BY 1",
            meter,
        )
        .await
    }

    /// Two columns, text and number.
    pub(crate) async fn sums(&self, sql: &'static str, argument: &str) -> BTreeMap<String, i64> {
        let rows =
            query(sql).bind(argument).fetch_all(&mut self.app.database().connect().await).await;
        rows.expect("rows").into_iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Waits until the days say this of a meter.
    pub(crate) async fn wait_for(&self, meter: &str, expected: &[(&str, i64)]) {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect();
        let found =
            poll_async(COUNTED_WITHIN, async || (self.days(meter).await == expected).then_some(()));
        assert!(found.await.is_some(), "{meter}: {:?}, not {expected:?}", self.days(meter).await);
    }

    /// What does not add up.
    pub(crate) async fn discrepancies(&self) -> Vec<String> {
        let sql = "SELECT concat_ws(' ', stage, subject, bucket, expected, found)
             FROM check_usage(now() - interval '2 days')";
        sqlx::query_scalar(sql)
            .fetch_all(&mut self.app.database().connect().await)
            .await
            .expect("a check")
    }
}
