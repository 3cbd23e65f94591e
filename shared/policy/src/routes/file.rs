//! The form of `routes.toml`, and every check of it. Each fault names its line and what to do.

use std::collections::BTreeMap;
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use domain::meter::{self, MeterName};
use domain::permission::Permission;
use serde::Deserialize;
use toml::Spanned;

use super::shadow::FIXED_NAMES;
use super::{
    Auth, Meter, Method, PathRoutes, Route, RouteTable, Shadow, TENANT_PARAMETER, TenantNeed,
    Upstream, number_of,
};

/// Body size of a route that states none.
const BODY_BYTES_MAX: u64 = 1 << 20;
const CONNECT_TIMEOUT_MS: u64 = 1_000;
const READ_TIMEOUT_MS: u64 = 30_000;
const WRITE_TIMEOUT_MS: u64 = 10_000;
const IDLE_TIMEOUT_MS: u64 = 30_000;

/// One thing that is wrong in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteFault {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// All that is wrong in a route table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RouteFaults {
    /// The file's name.
    pub file: String,
    /// The faults, by line.
    pub faults: Vec<RouteFault>,
}

impl fmt::Display for RouteFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{}: {}", self.file, fault.line, fault.message)?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    limits_in_shadow: Vec<Spanned<String>>,
    upstreams: BTreeMap<Spanned<String>, UpstreamRow>,
    routes: Vec<Spanned<RouteRow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamRow {
    peers: Vec<String>,
    connect_timeout_ms: Option<NonZeroU64>,
    read_timeout_ms: Option<NonZeroU64>,
    write_timeout_ms: Option<NonZeroU64>,
    idle_timeout_ms: Option<NonZeroU64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteRow {
    methods: Vec<Method>,
    path: String,
    upstream: String,
    auth: Auth,
    tenant: Option<TenantNeed>,
    permission: Option<Permission>,
    #[serde(default)]
    without_two_factor: bool,
    #[serde(default)]
    open_when_suspended: bool,
    address_limit: Option<NonZeroU32>,
    #[serde(default)]
    address_limit_shadow: bool,
    meter: Option<MeterName>,
    weight: Option<NonZeroU32>,
    body_bytes_max: Option<NonZeroU64>,
    read_timeout_ms: Option<NonZeroU64>,
}

/// Collects faults while the table is built.
struct Checker<'a> {
    text: &'a str,
    faults: Vec<RouteFault>,
}

impl Checker<'_> {
    fn line(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        1 + before.bytes().filter(|byte| *byte == b'\n').count()
    }

    fn refuse(&mut self, at: &Range<usize>, message: impl Into<String>) {
        let line = self.line(at.start);
        self.faults.push(RouteFault { line, message: message.into() });
    }
}

pub(super) fn parse(name: &str, text: &str) -> Result<RouteTable, RouteFaults> {
    let mut checker = Checker { text, faults: Vec::new() };
    let table = match toml::from_str::<File>(text) {
        Ok(file) => Some(build(file, &mut checker)),
        Err(error) => {
            checker.refuse(&error.span().unwrap_or_default(), error.message().trim());
            None
        }
    };
    match table {
        Some(table) if checker.faults.is_empty() => Ok(table),
        _ => {
            checker.faults.sort_by_key(|fault| fault.line);
            Err(RouteFaults { file: name.to_owned(), faults: checker.faults })
        }
    }
}

fn build(file: File, checker: &mut Checker<'_>) -> RouteTable {
    let shadow = shadow(&file, checker);
    let mut upstreams = BTreeMap::new();
    for (name, row) in file.upstreams {
        let span = name.span();
        if row.peers.is_empty() {
            checker.refuse(
                &span,
                format!("upstream `{}` has no peers; list at least one `host:port`", name.as_ref()),
            );
        }
        upstreams.insert(Arc::from(name.into_inner()), upstream(row));
    }
    let mut all = Vec::with_capacity(file.routes.len());
    let mut templates: BTreeMap<String, (usize, PathRoutes)> = BTreeMap::new();
    for row in file.routes {
        let span = row.span();
        let row = row.into_inner();
        check(&row, &span, &upstreams, checker);
        check_limits(&row, &span, checker);
        let line = checker.line(span.start);
        let (_, routes) =
            templates.entry(row.path.clone()).or_insert_with(|| (line, PathRoutes::default()));
        let methods = row.methods.clone();
        let route = Arc::new(route(row, all.len()));
        all.push(Arc::clone(&route));
        for method in methods {
            if routes.0[method as usize].replace(Arc::clone(&route)).is_some() {
                let message = format!(
                    "{} `{}` is served twice; remove one of the two rows",
                    method.allow(),
                    route.template
                );
                checker.refuse(&span, message);
            }
        }
    }
    let (mut whole, mut open) = (matchit::Router::new(), matchit::Router::new());
    for (template, (line, routes)) in templates {
        let paths = if template.contains("{*") { &mut open } else { &mut whole };
        if let Err(error) = paths.insert(template.clone(), routes) {
            let message = format!(
                "`{template}` cannot be told from another path ({error}); give the placeholders one name or change a segment"
            );
            checker.faults.push(RouteFault { line, message });
        }
    }
    RouteTable { whole, open, all, upstreams, shadow }
}

fn shadow(file: &File, checker: &mut Checker<'_>) -> Shadow {
    let meters = file.routes.iter().filter_map(|row| row.as_ref().meter.clone()).collect();
    let mut shadow = Shadow::default();
    for name in &file.limits_in_shadow {
        if !shadow.add(name.as_ref(), &meters) {
            let known: Vec<_> = FIXED_NAMES
                .into_iter()
                .chain(meters.iter().map(MeterName::as_str))
                .map(|name| format!("`{name}`"))
                .collect();
            let message = format!(
                "`limits_in_shadow`: there is no limit `{}`; use one of {}",
                name.as_ref(),
                known.join(", ")
            );
            checker.refuse(&name.span(), message);
        }
    }
    shadow
}

fn check(
    row: &RouteRow,
    span: &Range<usize>,
    upstreams: &BTreeMap<Arc<str>, Upstream>,
    checker: &mut Checker<'_>,
) {
    let path = &row.path;
    if row.methods.is_empty() {
        checker.refuse(span, format!("`{path}` has no methods; list at least one"));
    }
    if let Err(message) = check_template(path) {
        checker.refuse(span, message);
    }
    if !upstreams.contains_key(row.upstream.as_str()) {
        let known: Vec<_> = upstreams.keys().map(|name| format!("`{name}`")).collect();
        let message = format!(
            "`{path}`: upstream `{}` is not defined; use one of {} or add `upstreams.{}`",
            row.upstream,
            known.join(", "),
            row.upstream
        );
        checker.refuse(span, message);
    }
    let required = row.tenant == Some(TenantNeed::Required);
    let names_tenant = path.contains(&format!("{{{TENANT_PARAMETER}}}"));
    let refusal = match row.auth {
        Auth::Public if required || row.permission.is_some() => {
            Some("a public route has no caller, so leave out `tenant` and `permission`")
        }
        Auth::Public if names_tenant => {
            Some("a public route cannot be about `{tenant_id}`; choose another `auth`")
        }
        Auth::Public => None,
        _ if row.tenant.is_none() => Some("say whether `tenant` is \"required\" or \"none\""),
        Auth::Key | Auth::Any if !required => {
            Some("an API key always names a tenant, so `tenant` must be \"required\"")
        }
        _ if !required && (row.permission.is_some() || names_tenant) => {
            Some("`permission` and `{tenant_id}` need `tenant = \"required\"`")
        }
        _ => None,
    };
    if let Some(refusal) = refusal {
        checker.refuse(span, format!("`{path}`: {refusal}"));
    }
    // Where nobody looks at who pays, the key would promise a difference that there is not.
    if row.open_when_suspended && !required {
        checker.refuse(
            span,
            format!("`{path}`: no tenant has to pay for this; leave out `open_when_suspended`"),
        );
    }
}

fn check_limits(row: &RouteRow, span: &Range<usize>, checker: &mut Checker<'_>) {
    let mut refuse = |refusal: &str| checker.refuse(span, format!("`{}`: {refusal}", row.path));
    if row.address_limit_shadow && row.address_limit.is_none() {
        refuse("`address_limit_shadow` needs an `address_limit`");
    }
    match &row.meter {
        None if row.weight.is_some() => {
            refuse(
                "`weight` says what a request adds to a meter; name the `meter` or leave it out",
            );
        }
        None => {}
        Some(_) if row.tenant != Some(TenantNeed::Required) => {
            refuse("a meter counts for the caller's tenant; it needs `tenant = \"required\"`");
        }
        Some(meter) if FIXED_NAMES.contains(&meter.as_str()) => {
            refuse(&format!("`{meter}` is the name of another limit; call the meter otherwise"));
        }
        Some(meter) if [meter::API_CALLS, meter::ACTIVE_USERS].contains(&meter.as_str()) => {
            refuse(&format!("`{meter}` is counted of every request; leave it out here"));
        }
        Some(_) => {}
    }
}

/// Templates are plain: literal segments, whole-segment placeholders, and a rest or a slash at the end.
fn check_template(path: &str) -> Result<(), String> {
    let inner = path.strip_prefix('/').unwrap_or_default();
    let segments: Vec<&str> = inner.strip_suffix('/').unwrap_or(inner).split('/').collect();
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let good = |(index, segment): (usize, &&str)| match segment
        .strip_prefix('{')
        .and_then(|s| s.strip_suffix('}'))
    {
        Some(name) => match name.strip_prefix('*') {
            Some(rest) => word(rest) && index + 1 == segments.len(),
            None => word(name),
        },
        None => word(segment) && !matches!(*segment, "." | ".."),
    };
    if path == "/" || (path.starts_with('/') && segments.iter().enumerate().all(good)) {
        return Ok(());
    }
    Err(format!(
        "`{path}` is not a path template; write `/like/{{this_id}}/one`, with `{{*rest}}` only at the end"
    ))
}

fn upstream(row: UpstreamRow) -> Upstream {
    let time = |value: Option<NonZeroU64>, default| {
        Duration::from_millis(value.map_or(default, NonZeroU64::get))
    };
    Upstream {
        peers: row.peers,
        connect_timeout: time(row.connect_timeout_ms, CONNECT_TIMEOUT_MS),
        read_timeout: time(row.read_timeout_ms, READ_TIMEOUT_MS),
        write_timeout: time(row.write_timeout_ms, WRITE_TIMEOUT_MS),
        idle_timeout: time(row.idle_timeout_ms, IDLE_TIMEOUT_MS),
    }
}

fn route(row: RouteRow, place: usize) -> Route {
    Route {
        place,
        number: number_of(&row.path),
        template: row.path,
        upstream: Arc::from(row.upstream),
        auth: row.auth,
        tenant: row.tenant.unwrap_or(TenantNeed::None),
        permission: row.permission,
        without_two_factor: row.without_two_factor,
        open_when_suspended: row.open_when_suspended,
        address_limit: row.address_limit,
        address_limit_shadow: row.address_limit_shadow,
        meter: row.meter.map(|name| Meter { name, weight: row.weight.unwrap_or(NonZeroU32::MIN) }),
        body_bytes_max: row.body_bytes_max.map_or(BODY_BYTES_MAX, NonZeroU64::get),
        read_timeout: row.read_timeout_ms.map(|ms| Duration::from_millis(ms.get())),
    }
}
