//! The edge's part in each phase of a request, in phase order: the table of contents. Filters gather, decide
//! and act; none calls another.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use credentials::access_token::Claims;
use credentials::api_key::ApiKey;
use credentials::edge_context::Principal;
use domain::clock::{Clock, SystemClock};
use domain::id::{RequestId, TenantId};
use domain::problem::ProblemKind;
use feed::Xid;
use http::header::{AUTHORIZATION, EXPECT, HOST};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use metering::Outcome;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};
use policy::forwarded::TrustedProxies;
use policy::routes::Route;
use policy::{Decision, Grant, HeaderFact, RequestFacts};
use prometheus::IntGauge;

use crate::access_log::{AccessLog, Line};
use crate::answer;
use crate::facts;
use crate::forward::Passage;
use crate::headers::{self, API_KEY, COMMITTED, REQUEST_ID, TENANT};
use crate::limiter::{self, Taken};
use crate::metrics::Vitals;
use crate::policy_feed::InForce;
use crate::problem::Problem;
use crate::table::Table;
use crate::usage;

/// How often a request is tried, over all peers.
pub(crate) const TRIES_MAX: usize = 3;
/// Longest that the rest of a refused request's body is read, so that its sender sees the answer.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// Longest that one write to a client may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Length of a request id's text.
const REQUEST_ID_LEN: usize = RequestId::PREFIX.len() + 1 + domain::id::SUFFIX_LEN;

/// Everything that a request meets.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) vitals: Vitals,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) access_log: Arc<AccessLog>,
    pub(crate) header_bytes_max: usize,
}

/// What is known of one request so far.
#[derive(Debug)]
pub(crate) struct Ctx {
    /// When its header was complete: the moment that it is judged by.
    now: Timestamp,
    started: Instant,
    request_id: RequestId,
    request_id_value: HeaderValue,
    client_address: IpAddr,
    /// The table that it is served by to its end.
    table: Option<Arc<Table>>,
    route: Option<Arc<Route>>,
    /// Whose usage it is, once that is known.
    caller: Option<(TenantId, Principal)>,
    counted: bool,
    grant: Option<Grant>,
    taken: Option<Taken>,
    problem: Option<ProblemKind>,
    body_bytes: u64,
    tried: Vec<usize>,
    _in_flight: InFlight,
}

/// Counts a request as being served for as long as it lives, even if a filter panics.
#[derive(Debug)]
struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[async_trait]
impl ProxyHttp for Edge {
    /// Boxed: pingora moves it from future to future.
    type CTX = Box<Ctx>;

    fn new_ctx(&self) -> Box<Ctx> {
        let gauge = self.vitals.metrics.in_flight.clone();
        gauge.inc();
        let now = SystemClock.now();
        let request_id = RequestId::new(now, rand::random());
        Box::new(Ctx {
            now,
            started: Instant::now(),
            request_id,
            request_id_value: id_value(request_id),
            client_address: policy::cidr::UNKNOWN_ADDRESS,
            table: None,
            route: None,
            caller: None,
            counted: false,
            grant: None,
            taken: None,
            problem: None,
            body_bytes: 0,
            tried: Vec::new(),
            _in_flight: InFlight(gauge),
        })
    }

    /// None: by default pingora would run a compression that is off through every phase of each request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Box<Ctx>,
    ) -> pingora::Result<()> {
        session.set_total_drain_timeout(Some(DRAIN_MAX));
        session.set_write_timeout(Some(WRITE_TIMEOUT));
        let peer = session.client_addr().and_then(|address| address.as_inet()).copied();
        let request = session.req_header();
        ctx.client_address = facts::client_address(&self.trusted_proxies, peer, &request.headers);
        if let HeaderFact::Value(text) = facts::header(request, &REQUEST_ID)
            && let Ok(id) = text.parse()
        {
            ctx.request_id = id;
            ctx.request_id_value = id_value(id);
        }
        Ok(())
    }

    // The rare ways of a filter are boxed, so that the future of the common one stays small.
    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Box<Ctx>,
    ) -> pingora::Result<bool> {
        let health = match session.req_header().uri.path() {
            "/healthz" => Some(Ok(())),
            "/readyz" => Some(self.vitals.ready()),
            _ => None,
        };
        if let Some(health) = health {
            Box::pin(answer::health(session, health, &ctx.request_id_value)).await?;
            return Ok(true);
        }
        let outcome = match self.admit(session.req_header(), ctx) {
            Ok(()) => self.take_limits(ctx).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = outcome {
            ctx.problem = Some(problem.kind);
            // The rest of its body is read then, within a bound: who is cut off while sending would not see the
            // answer. Who waits for a word before sending is not waited for.
            let waits = session.req_header().headers.contains_key(EXPECT);
            session.set_close_on_response_before_downstream_finish(waits);
            self.count(ctx, usage::outcome_of_problem(problem.kind.status()));
            Box::pin(answer::problem(session, &problem, ctx)).await?;
            return Ok(true);
        }
        // Before pingora copies it for each try; what it said was judged as it came.
        headers::make_plain(session.req_header_mut());
        Ok(false)
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        ctx: &mut Box<Ctx>,
    ) -> pingora::Result<Box<HttpPeer>> {
        let (grant, table) = ctx.granted()?;
        let affinity = grant.tenant.map_or(0, |(id, _)| id.as_uuid().as_u128());
        let (number, mut peer) =
            table.upstreams.pick(&grant.route.upstream, affinity, &ctx.tried).ok_or_else(|| {
                Error::explain(ErrorType::ConnectError, "no peer is resolved").into_up()
            })?;
        if grant.route.read_timeout.is_some() {
            peer.options.read_timeout = grant.route.read_timeout;
        }
        ctx.tried.push(number);
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Box<Ctx>,
    ) -> pingora::Result<()> {
        let (grant, table) = ctx.granted()?;
        let passage = Passage {
            grant,
            request_id: ctx.request_id,
            request_id_value: &ctx.request_id_value,
            client_address: ctx.client_address,
            scheme: "http",
        };
        table.forwarder.prepare(request, &passage, ctx.now)
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        ctx: &mut Box<Ctx>,
    ) -> pingora::Result<()> {
        ctx.body_bytes += body.as_ref().map_or(0, |part| part.len() as u64);
        let bytes_max = ctx.route.as_ref().map_or(0, |route| route.body_bytes_max);
        if ctx.body_bytes > bytes_max {
            return Err(Error::explain(ErrorType::HTTPStatus(413), "body too large").into_down());
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Box<Ctx>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if let (Ok((grant, table)), Some(number)) = (ctx.granted(), ctx.tried.last()) {
            table.upstreams.mark_unfit(&grant.route.upstream, *number);
        }
        // Nothing was sent, so any request may be tried elsewhere.
        error.set_retry(ctx.tried.len() < TRIES_MAX);
        error
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<Ctx>,
    ) -> pingora::Result<()> {
        if response.status.is_informational() {
            headers::change_answer(response, answer::clean);
            return Ok(());
        }
        let committed = response.headers.get(&COMMITTED);
        if let Some(committed) = committed {
            let xid = committed.to_str().ok().and_then(|text| text.parse::<Xid>().ok());
            if let Some(xid) = xid
                && !Box::pin(self.vitals.policy.wait_for(xid)).await
            {
                self.vitals.metrics.commit_waits_missed.inc();
            }
        }
        headers::change_answer(response, |headers| {
            answer::clean(headers);
            headers.insert(&REQUEST_ID, ctx.request_id_value.clone());
            ctx.write_limits(headers);
        });
        self.count(ctx, Outcome::of_status(response.status.as_u16()));
        Ok(())
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Box<Ctx>,
    ) -> FailToProxy {
        let unwritten = session.response_written().is_none();
        let Some(problem) = Problem::of_error(error).filter(|_| unwritten) else {
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        };
        ctx.problem = Some(problem.kind);
        session.set_keepalive(None);
        self.count(ctx, usage::outcome_of_problem(problem.kind.status()));
        let written = answer::problem(session, &problem, ctx).await;
        if written.is_ok() && problem.kind == ProblemKind::PayloadTooLarge {
            // A sender that is cut off while writing would not see the answer.
            let drained = tokio::time::timeout(DRAIN_MAX, session.drain_request_body()).await;
            tracing::debug!(whole = drained.is_ok(), "drained a body that was too large");
        }
        FailToProxy { error_code: problem.kind.status(), can_reuse_downstream: false }
    }

    /// For pingora's own error records: without the query, in which mailed tokens travel.
    fn request_summary(&self, session: &Session, ctx: &Box<Ctx>) -> String {
        let request = session.req_header();
        let id = ctx.request_id_value.to_str().unwrap_or_default();
        format!("{} {} {id}", request.method, request.uri.path())
    }

    /// Clients that hang up are their own affair; logging each would let them flood the log.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Box<Ctx>, error: &Error) -> bool {
        *error.esource() == ErrorSource::Downstream
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Box<Ctx>) {
        let metrics = &self.vitals.metrics;
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        let route = ctx.route.as_ref().map(|route| route.template.as_str());
        metrics.count(route.unwrap_or("none"), status, ctx.problem);
        metrics.request_seconds.observe(ctx.started.elapsed().as_secs_f64());
        if self.access_log.samples(rand::random()) && !self.log(session, error, ctx, status) {
            metrics.log_lines_dropped.inc();
        }
    }
}

impl Edge {
    /// Decides on the request, as far as that needs no waiting, and keeps the grant.
    fn admit(&self, request: &RequestHeader, ctx: &mut Ctx) -> Result<(), Problem> {
        let malformed = |detail| Problem::new(ProblemKind::MalformedRequest, detail);
        facts::check_size(request, self.header_bytes_max).map_err(malformed)?;
        let host = facts::host(request).map_err(malformed)?;
        let path = facts::path(request).map_err(malformed)?;
        let in_force = self.vitals.policy.current();
        let in_force = in_force.as_deref().filter(|_| !self.vitals.stale()).ok_or_else(|| {
            Problem::new(
                ProblemKind::PolicyStale,
                "The edge cannot reach its database, so it does not decide; try again shortly.",
            )
        })?;

        if !self.vitals.spool.has_room() {
            return Err(Problem::new(
                ProblemKind::UsageNotCountable,
                "The edge has no place left for what it counts; try again shortly.",
            ));
        }

        let authorization = facts::header(request, &AUTHORIZATION);
        let token = token(authorization);
        let remembered = token.and_then(|token| self.remembered(in_force, token));
        let facts = RequestFacts {
            host: &host,
            method: request.method.as_str(),
            path,
            authorization,
            api_key: facts::header(request, &API_KEY),
            tenant: facts::header(request, &TENANT),
            client_address: ctx.client_address,
            remembered: remembered.as_deref(),
        };
        let start = Instant::now();
        let decision = policy::decide(&in_force.policy, &facts, ctx.now);
        self.vitals.metrics.decision_seconds.observe(start.elapsed().as_secs_f64());

        let mut grant = match decision {
            Decision::Allow(grant) => grant,
            Decision::Deny(denial) => {
                ctx.route.clone_from(&denial.route);
                ctx.caller = denial.caller.as_deref().copied();
                ctx.table = Some(Arc::clone(&in_force.table));
                return Err(denial.into());
            }
        };
        ctx.route = Some(Arc::clone(&grant.route));
        ctx.caller = grant.tenant.map(|(id, _)| (id, grant.principal));
        if let (Some(claims), Some(token)) = (grant.verified.take(), token) {
            self.vitals.policy.remember(in_force, token, *claims);
        }
        facts::check_body_size(request, grant.route.body_bytes_max)?;
        ctx.grant = Some(grant);
        ctx.table = Some(Arc::clone(&in_force.table));
        Ok(())
    }

    fn remembered(&self, in_force: &InForce, token: &str) -> Option<Arc<Claims>> {
        self.vitals.policy.remembered(in_force, token)
    }

    /// Takes a permit of each limit that the grant names.
    async fn take_limits(&self, ctx: &mut Ctx) -> Result<(), Problem> {
        let Some(grant) = &ctx.grant else { return Ok(()) };
        let vitals = &self.vitals;
        let (taken, problem) =
            limiter::take(&vitals.limiter, &vitals.metrics.limits, grant, ctx.now).await;
        ctx.taken = Some(taken);
        problem.map_or(Ok(()), Err)
    }

    /// Counts the request, once, before its answer can leave.
    fn count(&self, ctx: &mut Ctx, outcome: Outcome) {
        let (Some(caller), Some(route), Some(table)) = (ctx.caller, &ctx.route, &ctx.table) else {
            return;
        };
        if std::mem::replace(&mut ctx.counted, true) {
            return;
        }
        if let Some(subject) = table.labels.subject(caller, route, outcome)
            && self.vitals.spool.count(&subject).is_err()
        {
            self.vitals.metrics.usage.uncounted();
            tracing::error!("a request could not be counted: the spool is full");
        }
    }

    /// Writes the access log's line; false if it was dropped.
    fn log(&self, session: &Session, error: Option<&Error>, ctx: &Ctx, status: u16) -> bool {
        let request = session.req_header();
        let principal = ctx.grant.as_ref().map(|grant| grant.principal);
        let (user_id, api_key_id) = match principal {
            Some(Principal::User { user_id, .. }) => (Some(user_id), None),
            Some(Principal::ApiKey { api_key_id, .. }) => (None, Some(api_key_id)),
            _ => (None, None),
        };
        self.access_log.write(&Line {
            at: ctx.now,
            request_id: ctx.request_id_value.to_str().unwrap_or_default(),
            client: ctx.client_address,
            host: request.headers.get(HOST).and_then(|value| value.to_str().ok()),
            method: request.method.as_str(),
            path: request.uri.path(),
            route: ctx.route.as_ref().map(|route| route.template.as_str()),
            status,
            problem: ctx.problem.map(ProblemKind::slug),
            tenant_id: ctx.grant.as_ref().and_then(|grant| grant.tenant).map(|(id, _)| id),
            user_id,
            api_key_id,
            request_bytes: session.body_bytes_read() as u64,
            response_bytes: session.body_bytes_sent() as u64,
            duration_us: u64::try_from(ctx.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            error: error.map(|error| error.etype().as_str().to_owned()),
        })
    }
}

/// The access token of a request, if it sends one.
fn token(authorization: HeaderFact<'_>) -> Option<&str> {
    let HeaderFact::Value(text) = authorization else { return None };
    policy::bearer(text).filter(|credential| !ApiKey::looks_like(credential))
}

impl Ctx {
    /// What names the request.
    pub(crate) const fn request_id(&self) -> &HeaderValue {
        &self.request_id_value
    }

    /// Says how the limits stand, once they have been asked.
    pub(crate) fn write_limits(&self, headers: &mut HeaderMap) {
        if let (Some(taken), Some(grant)) = (&self.taken, &self.grant) {
            taken.write_headers(headers, grant, self.now);
        }
    }

    /// What was granted, and the table that it was granted by.
    fn granted(&self) -> pingora::Result<(&Grant, &Table)> {
        self.grant.as_ref().zip(self.table.as_deref()).ok_or_else(not_granted)
    }
}

fn not_granted() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "a request without a grant must not go upstream")
}

fn id_value(id: RequestId) -> HeaderValue {
    let mut text = String::with_capacity(REQUEST_ID_LEN);
    // Writing into a String cannot fail, and an id is letters, digits and an underscore: always a value.
    let _ = write!(text, "{id}");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
