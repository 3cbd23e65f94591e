//! The route table: what may be asked at all, of whom, and which upstream answers. Data (`config/routes.toml`),
//! checked whole when it is loaded: the most specific template wins, two that match alike are refused.

mod file;
mod shadow;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use domain::meter::MeterName;
use domain::permission::Permission;
use serde::Deserialize;

pub use file::{RouteFault, RouteFaults};
pub use shadow::Shadow;

/// The placeholder that names the tenant in a template.
const TENANT_PARAMETER: &str = "tenant_id";

/// A method that a route may serve. `HEAD` is served wherever `GET` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Read.
    Get,
    /// Create or act.
    Post,
    /// Replace.
    Put,
    /// Change in part.
    Patch,
    /// Remove.
    Delete,
}

impl Method {
    const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The method that a route for `name` is looked up by.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "GET" | "HEAD" => Some(Self::Get),
            "POST" => Some(Self::Post),
            "PUT" => Some(Self::Put),
            "PATCH" => Some(Self::Patch),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }

    /// As the `Allow` header names it.
    #[must_use]
    pub const fn allow(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Whom a route serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Everyone; credentials are not looked at.
    Public,
    /// Signed-in people.
    User,
    /// API keys.
    Key,
    /// Either.
    Any,
}

/// Whether a route is about one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantNeed {
    /// It is, and the request must name it.
    Required,
    /// It is not.
    None,
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The path template, which is also the route's name in metrics and logs.
    pub template: String,
    /// Its place in the table, from 0.
    pub place: usize,
    /// A number of the template that is the same in every process, for limits by address.
    pub number: u64,
    /// Who answers: a name in [`RouteTable::upstreams`].
    pub upstream: Arc<str>,
    /// Whom it serves.
    pub auth: Auth,
    /// Whether it is about one tenant.
    pub tenant: TenantNeed,
    /// What the caller must be allowed to do in that tenant.
    pub permission: Option<Permission>,
    /// Open to members that still lack the second factor that their tenant requires.
    pub without_two_factor: bool,
    /// Open to tenants that do not pay: what they need to pay, to leave, and to see what they owe.
    pub open_when_suspended: bool,
    /// Requests a minute that one address may send here.
    pub address_limit: Option<NonZeroU32>,
    /// Whether that limit is counted only, and denies nobody.
    pub address_limit_shadow: bool,
    /// What a request counts as, by the unit.
    pub meter: Option<Meter>,
    /// Largest body taken.
    pub body_bytes_max: u64,
    /// How long the upstream may take between two reads, instead of its pool's time.
    pub read_timeout: Option<Duration>,
}

/// What each request of a route adds to a meter of its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// The meter.
    pub name: MeterName,
    /// How much it adds.
    pub weight: NonZeroU32,
}

/// A pool of peers that answer alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// `host:port` of each peer.
    pub peers: Vec<String>,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time between two reads of an answer.
    pub read_timeout: Duration,
    /// Time for one write of a request.
    pub write_timeout: Duration,
    /// How long an unused connection is kept; must be below the peers' own keep-alive time.
    pub idle_timeout: Duration,
}

/// The table, ready for look-ups.
#[derive(Debug, Clone)]
pub struct RouteTable {
    /// Templates that say every segment: more specific than any with a rest, so looked at first.
    whole: matchit::Router<PathRoutes>,
    /// Templates that end in `{*rest}`.
    open: matchit::Router<PathRoutes>,
    /// Every route, at its place.
    all: Vec<Arc<Route>>,
    upstreams: BTreeMap<Arc<str>, Upstream>,
    shadow: Shadow,
}

/// The routes of one template, by method.
#[derive(Debug, Clone, Default)]
struct PathRoutes([Option<Arc<Route>>; Method::ALL.len()]);

/// What a method and a path lead to.
#[derive(Debug)]
pub enum RouteMatch<'t, 'p> {
    /// A route, and what stands at `{tenant_id}` in the path.
    Found {
        /// The route.
        route: &'t Arc<Route>,
        /// The segment that should be a tenant's id, as sent.
        tenant: Option<&'p str>,
    },
    /// The path is served, with other methods.
    OtherMethods(Vec<Method>),
    /// Nothing is there.
    Nothing,
}

impl RouteTable {
    /// Reads a table. `name` is the file's, for messages.
    ///
    /// # Errors
    /// All that is wrong, each with its line and what to do.
    pub fn parse(name: &str, text: &str) -> Result<Self, RouteFaults> {
        file::parse(name, text)
    }

    /// The route for `method` and `path`.
    #[must_use]
    pub fn find<'t, 'p>(&'t self, method: &str, path: &'p str) -> RouteMatch<'t, 'p> {
        let matched = self.whole.at(path).or_else(|_| self.open.at(path));
        let Ok(matched) = matched else { return RouteMatch::Nothing };
        let routes = &matched.value.0;
        let route = Method::of(method).and_then(|method| routes[method as usize].as_ref());
        match route {
            Some(route) => {
                RouteMatch::Found { route, tenant: matched.params.get(TENANT_PARAMETER) }
            }
            None => RouteMatch::OtherMethods(
                Method::ALL.into_iter().filter(|m| routes[*m as usize].is_some()).collect(),
            ),
        }
    }

    /// How many routes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.all.len()
    }

    /// Every route, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.all.iter().map(Arc::as_ref)
    }

    /// Whether nothing is served.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The limits that are counted and deny nobody.
    #[must_use]
    pub const fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    /// The pools, by name.
    pub fn upstreams(&self) -> impl Iterator<Item = (&Arc<str>, &Upstream)> {
        self.upstreams.iter()
    }
}

/// FNV-1a (RFC 9923): the same in every process and release, unlike the standard library's hashers.
const fn number_of(template: &str) -> u64 {
    let bytes = template.as_bytes();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        index += 1;
    }
    hash
}

/// Whether `path` is in the one normal form that edge and upstream cannot read differently: it starts with
/// a slash and has no empty or dot segment, encoded or not, no encoded slash, and nothing but printable ASCII.
/// A segment is judged without what follows a semicolon in it: servlet containers drop that before they look.
#[must_use]
pub fn is_normal_path(path: &str) -> bool {
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    {
        return false;
    }
    if path.contains('%') {
        let lower = path.to_ascii_lowercase();
        // %2e is '.', %2f '/', %5c '\': harmless to no two parsers alike.
        if ["%2e", "%2f", "%5c", "%00"].iter().any(|code| lower.contains(code)) {
            return false;
        }
    }
    // A slash at the very end is one empty segment, which is no ambiguity: such a path just has no route.
    let inner = path[1..].strip_suffix('/').unwrap_or(&path[1..]);
    let mut bare = inner.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    path == "/" || bare.all(|segment| !matches!(segment, "" | "." | ".."))
}

#[cfg(test)]
mod tests;
