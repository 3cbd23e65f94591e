//! The audit trail as evidence: what was changed, removed, put elsewhere, cut off or written past it is found, by the API
//! and by whoever has an export of it. Whoever does so here may do anything to the database, but has not the signing key.

use std::path::PathBuf;

use harness::{App, Owner};
use serde_json::{Value, json};

/// As a replica: no trigger sees it.
const UNSEEN: &str = "SET session_replication_role = replica";

struct Trail {
    app: App,
    owner: Owner,
}

impl Trail {
    /// A trail of several batches of events, each with a head.
    async fn begin() -> Self {
        let app = App::start().await;
        let owner = app.tenant("acme", "Pro").await;
        let trail = Self { app, owner };
        for round in 0..3 {
            for number in 0..3 {
                let name = json!({ "name": format!("Acme {round} {number}") });
                trail.owner.put(&trail.owner.path(""), name).await.expect(200);
            }
            trail.place().await;
        }
        trail
    }

    /// Has all events get their places.
    async fn place(&self) {
        self.alter(
            r#"SELECT apalis.enqueue('audit', '{"version": 1, "job": {"step": "place"}}', 25)"#,
        )
        .await;
        self.app.wait_for_jobs().await;
    }

    async fn alter(&self, sql: &str) {
        let mut admin = self.app.database().connect().await;
        let sql = sqlx::AssertSqlSafe(format!("{UNSEEN}; {sql}"));
        sqlx::raw_sql(sql).execute(&mut admin).await.expect("the administrator may");
    }

    async fn verify(&self, kept: &str) -> Value {
        let path = self.owner.path(&format!("/audit-events/verification{kept}"));
        self.owner.get(&path).await.expect(200).json()
    }

    /// What is wrong, as `changed 3`.
    async fn fault(&self, kept: &str) -> String {
        let answer = self.verify(kept).await;
        assert_eq!(answer["intact"], false, "{answer}");
        let fault = &answer["fault"];
        let at = fault["position"].as_u64().or_else(|| fault["size"].as_u64());
        let kind = fault["kind"].as_str().expect("a kind");
        at.map_or_else(|| kind.to_owned(), |at| format!("{kind} {at}"))
    }

    /// Verifies an export with nothing of the installation but the published keys; what the command says.
    async fn offline(&self, kept: &[&str]) -> (bool, String) {
        let dir = self.app.mail_dir();
        let write = |name: &str, body: &str| -> PathBuf {
            let path = dir.join(name);
            std::fs::write(&path, body).expect("a file");
            path
        };
        let export = self.owner.get(&self.owner.path("/audit-events/export")).await.expect(200);
        let keys = self.app.stranger().get("/.well-known/audit-keys.json").await.expect(200);
        let (file, keys) = (write("audit.jsonl", &export.body), write("keys.json", &keys.body));
        let (file, keys) = (file.display().to_string(), keys.display().to_string());
        let mut arguments =
            vec!["verify-audit", "--tenant", &self.owner.tenant_id, "--keys", &keys, &file];
        arguments.extend(kept);
        let output = self.app.try_command("pytake-api", &arguments);
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8_lossy(&said).trim().to_owned())
    }
}

#[tokio::test]
async fn what_was_not_touched_is_intact_here_and_elsewhere() {
    let trail = Trail::begin().await;
    let first = trail.verify("").await;
    assert_eq!((&first["intact"], &first["fault"]), (&json!(true), &Value::Null), "{first}");
    assert!(first["heads"].as_u64().expect("a number") >= 3, "{first}");
    let (size, root) = (first["size"].to_string(), first["root"].as_str().expect("a root"));
    let kept = format!("?size={size}&root={root}");

    // It goes on, and what was kept is still so.
    trail.owner.put(&trail.owner.path(""), json!({ "name": "Acme at last" })).await.expect(200);
    trail.place().await;
    let later = trail.verify(&kept).await;
    assert_eq!(later["intact"], true, "{later}");
    assert!(later["size"].as_u64() > first["size"].as_u64());
    let (intact, said) = trail.offline(&["--size", &size, "--root", root]).await;
    assert!(intact && said.contains(later["root"].as_str().expect("a root")), "{said}");

    // Of another head nothing is.
    let other = format!("?size={size}&root={}", "0".repeat(64));
    assert_eq!(trail.fault(&other).await, format!("other_than_signed {size}"));
    for nonsense in ["?size=1", "?root=00", "?size=1&root=xyz", "?size=-1", "?size=0&root=00"] {
        let path = trail.owner.path(&format!("/audit-events/verification{nonsense}"));
        let status = trail.owner.get(&path).await.status;
        assert!([400, 422].contains(&status), "{nonsense}: {status}");
    }
    // Whose it is not sees nothing of it.
    let other = trail.app.tenant("other", "Pro").await;
    for below in ["/audit-events/verification", "/audit-events/export"] {
        other.get(&trail.owner.path(below)).await.expect(403);
    }
    let member = trail.app.member(&trail.owner, "user@acme.example", "User").await;
    member.get(&trail.owner.path("/audit-events/verification")).await.expect(403);
}

#[tokio::test]
async fn what_was_changed_is_named() {
    let trail = Trail::begin().await;
    let at_two = "(SELECT event_id FROM audit_leaves WHERE position = 2)";
    trail
        .alter(&format!("UPDATE audit_events SET target = target || 'x' WHERE id = {at_two}"))
        .await;
    assert_eq!(trail.fault("").await, "changed 2");
    let (intact, said) = trail.offline(&[]).await;
    assert!(!intact && said.contains("not those that the head of"), "{said}");

    // With its hash, and with the head: there is no signature of that.
    let rehash = format!(
        "UPDATE audit_events SET target = rtrim(target, 'x') WHERE id = {at_two};
        UPDATE audit_leaves SET hash = sha256(hash) WHERE position = 2"
    );
    trail.alter(&rehash).await;
    assert_eq!(trail.fault("").await, "changed 2");
}

#[tokio::test]
async fn what_was_removed_is_missed() {
    let trail = Trail::begin().await;
    let event = "DELETE FROM audit_events WHERE id = (SELECT event_id FROM audit_leaves WHERE position = 4)";
    trail.alter(event).await;
    assert_eq!(trail.fault("").await, "removed 4");
    assert!(!trail.offline(&[]).await.0);
    // With its place.
    trail.alter("DELETE FROM audit_leaves WHERE position = 4").await;
    assert_eq!(trail.fault("").await, "removed 4");
    // And what comes after moved up.
    let moved = "UPDATE audit_leaves SET position = position + 999999 WHERE position > 4;
        UPDATE audit_leaves SET position = position - 1000000 WHERE position >= 1000000";
    trail.alter(moved).await;
    let fault = trail.fault("").await;
    assert!(fault.starts_with("other_than_signed"), "{fault}");
}

#[tokio::test]
async fn what_was_put_elsewhere_is_found() {
    let trail = Trail::begin().await;
    let swapped = "
        UPDATE audit_leaves SET position = CASE position WHEN 1 THEN 1000002 ELSE 1000001 END WHERE position IN (1, 2);
        UPDATE audit_leaves SET position = position - 1000000 WHERE position >= 1000000";
    trail.alter(swapped).await;
    let fault = trail.fault("").await;
    assert!(fault.starts_with("other_than_signed"), "{fault}");
    assert!(!trail.offline(&[]).await.0);
}

#[tokio::test]
async fn what_was_cut_off_is_found() {
    let trail = Trail::begin().await;
    let whole = trail.verify("").await;
    let (size, root) = (whole["size"].to_string(), whole["root"].as_str().expect("a root"));
    // The last events and their places; then the heads that told of them.
    let last = "
        DELETE FROM audit_events WHERE id IN (SELECT event_id FROM audit_leaves ORDER BY position DESC LIMIT 2);
        DELETE FROM audit_leaves WHERE position >= (SELECT max(position) - 1 FROM audit_leaves)";
    trail.alter(last).await;
    assert_eq!(trail.fault("").await, format!("cut_off {size}"));
    assert!(!trail.offline(&[]).await.0);

    trail.alter("DELETE FROM audit_heads WHERE size = (SELECT max(size) FROM audit_heads)").await;
    let fault = trail.fault("").await;
    assert!(fault.starts_with("heads_gone"), "{fault}");
    let gone = "
        DELETE FROM audit_events WHERE id IN (
            SELECT event_id FROM audit_leaves WHERE position >= (SELECT max(size) FROM audit_heads));
        DELETE FROM audit_leaves WHERE position >= (SELECT max(size) FROM audit_heads)";
    trail.alter(gone).await;
    // By itself what is left holds, as it did then; whoever kept a head knows better.
    assert_eq!(trail.verify("").await["intact"], true);
    assert_eq!(trail.fault(&format!("?size={size}&root={root}")).await, format!("cut_off {size}"));
    assert!(trail.offline(&[]).await.0);
    assert!(!trail.offline(&["--size", &size, "--root", root]).await.0);
}

#[tokio::test]
async fn what_was_written_past_it_or_signed_by_another_is_found() {
    let trail = Trail::begin().await;
    let past = "INSERT INTO audit_events (tenant_id, id, at, actor_kind, action, target)
        SELECT tenant_id, gen_random_uuid(), now(), 'System', 'tenant.updated', 'x' FROM audit_events LIMIT 1";
    trail.alter(past).await;
    assert_eq!(trail.fault("").await, "unlisted");
    trail.alter("DELETE FROM audit_events WHERE target = 'x'").await;
    assert_eq!(trail.verify("").await["intact"], true);

    trail.alter("UPDATE audit_heads SET at = at + interval '1 second' WHERE size = (SELECT min(size) FROM audit_heads)").await;
    let fault = trail.fault("").await;
    assert!(fault.starts_with("forged"), "{fault}");
    assert!(!trail.offline(&[]).await.0);
}

#[tokio::test]
async fn programs_may_add_to_it_and_do_nothing_else() {
    let trail = Trail::begin().await;
    let mut admin = trail.app.database().connect().await;
    for role in ["pytake_api", "pytake_worker", "pytake_edge", "pytake_operator"] {
        for table in ["audit_events", "audit_leaves", "audit_heads"] {
            for right in ["UPDATE", "DELETE", "TRUNCATE"] {
                let sql = "SELECT has_table_privilege($1, $2, $3)";
                let may: bool = sqlx::query_scalar(sql)
                    .bind(role)
                    .bind(table)
                    .bind(right)
                    .fetch_one(&mut admin)
                    .await
                    .expect("an answer");
                assert!(!may, "{role} may {right} {table}");
            }
        }
    }
    // What signs is the workers' alone.
    let sql = "SELECT has_column_privilege('pytake_api', 'audit_keys', 'private_sealed', 'SELECT')";
    let may: bool = sqlx::query_scalar(sql).fetch_one(&mut admin).await.expect("an answer");
    assert!(!may);
}
