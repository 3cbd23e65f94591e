//! What a newcomer is shown, and what scripts read.

use anyhow::{Context as _, Result};
use settings::Settings;

use super::programs::Programs;
use super::seed::Demo;
use super::servers::Servers;
use crate::place::Place;
use crate::say;

/// Writes `.dev/env`: plain `NAME='value'` lines that a shell can source.
pub(crate) fn write_env(
    place: &Place,
    programs: &Programs,
    servers: &Servers,
    settings: &Settings,
) -> Result<()> {
    let metrics: Vec<_> =
        programs.all.iter().map(|p| format!("{}/metrics", p.metrics_url)).collect();
    let lines = [
        ("PROXY_URL", programs.proxy_url().to_owned()),
        ("PROXY_URLS", programs.proxy_urls.join(" ")),
        ("API_URL", programs.api_url.clone()),
        ("OPERATOR_URL", format!("http://{}", settings.operator.listen)),
        ("METRICS_URLS", metrics.join(" ")),
        ("DATABASE_URL", servers.database_url()),
        // So that the programs' own commands work in this shell.
        ("PYTAKE_DATABASE__URL", servers.database_url()),
        ("REDIS_URL", servers.redis_url.clone()),
        ("MAIL_DIR", place.mail().to_string_lossy().into_owned()),
    ];
    let quote = |value: &str| value.replace('\'', r"'\''");
    let text: String =
        lines.iter().map(|(name, value)| format!("{name}='{}'\n", quote(value))).collect();
    harness::write_private(&place.env(), &text).context("cannot write .dev/env")
}

pub(crate) fn print(place: &Place, programs: &Programs, settings: &Settings, demo: &Demo) {
    let url = programs.proxy_url();
    let port = url.rsplit_once(':').map_or("", |(_, port)| port);
    let (subdomain, base) = (&demo.subdomain, settings.edge.base_domain.as_str());
    let (tenant, key) = (&demo.tenant_id, &demo.api_key);
    let (email, password) = (&demo.email, &demo.password);
    let shown = |path: std::path::PathBuf| path.display().to_string();
    say::line(&format!(
        r#"
PyTake runs: {url} is the edge, {url}/docs the API's description.

A tour, line by line:

  # who is calling: the API key names the tenant
  curl {url}/api/v1/dashboard -H 'Authorization: Bearer {key}'

  # the tenant by its host, and nobody gets in without a credential
  curl -i http://{subdomain}.{base}:{port}/api/v1/dashboard

  # a person: sign in, then use the token with the tenant's id
  TOKEN=$(curl -s {url}/api/v1/auth/login -H 'Content-Type: application/json' \
    -d '{{"email": "{email}", "password": "{password}"}}' \
    | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl {url}/api/v1/dashboard -H "Authorization: Bearer $TOKEN" -H 'X-Tenant-ID: {tenant}'

  # invite someone, and read the mail
  curl {url}/api/v1/tenants/{tenant}/users -H "Authorization: Bearer $TOKEN" \
    -H 'Content-Type: application/json' \
    -d '{{"email": "jane@demo.example", "name": "Jane", "role": "Manager", "send_invite": true}}'
  cat {mail}/*.eml

The specification's quick start:  tests/quick_start.sh
Addresses for scripts: {env}   logs: {logs}"#,
        mail = shown(place.mail()),
        env = shown(place.env()),
        logs = shown(place.folder().join("log")),
    ));
    say::line("");
}
