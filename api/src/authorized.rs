//! Who is calling, as an argument of the handler: a handler that does not ask for it cannot reach a tenant.
//!
//! [`Authorized<P>`] proves that the edge vouched for the caller, that the path's tenant is the context's, and
//! that the caller holds the permission `P`. [`SignedIn`] proves a person, on routes without a tenant;
//! [`Anyone`] is for public routes.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::event::{Action, ActorKind};
use domain::id::{AuditEventId, MembershipId, RequestId, SessionId, TenantId, UserId};
use domain::permission::{Permission, PermissionSet, Role};
use domain::problem::ProblemKind;
use http::HeaderValue;
use http::request::Parts;
use pytake::{EdgeContext, Principal};
use serde_json::{Value, json};
use store::audit_events::{self, Actor, NewAuditEvent};
use store::{ControlTx, TenantTx};

use crate::app::{App, random};
use crate::problem::{self, Problem};

/// Tells the edge which transaction to wait for before it passes the answer on.
const COMMITTED_HEADER: &str = "x-pytake-committed";

/// Verifies the edge's statement, runs the handler, and completes its answer.
pub(crate) async fn through_the_edge(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let now = app.now();
    let Ok(context) = app.edge.verify(&parts, now) else {
        let problem =
            Problem::new(ProblemKind::Unauthenticated, "Requests must come through the edge.");
        return problem::render(problem.into_response(), RequestId::new(now, random()));
    };
    let request_id = context.request_id;
    let committed = CommitLog::default();
    parts.extensions.insert(context);
    parts.extensions.insert(committed.clone());

    let response = next.run(Request::from_parts(parts, body)).await;

    let mut response = problem::render(response, request_id);
    if let Some(xid) = committed.newest() {
        response.headers_mut().insert(COMMITTED_HEADER, HeaderValue::from(xid));
    }
    response
}

/// The newest transaction that the request committed.
#[derive(Debug, Clone, Default)]
struct CommitLog(Arc<AtomicU64>);

impl CommitLog {
    fn note(&self, committed: Option<store::Committed>) {
        if let Some(committed) = committed {
            self.0.fetch_max(committed.xid(), Ordering::Relaxed);
        }
    }

    fn newest(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|xid| *xid != 0)
    }
}

/// A caller on a public route, or what every other extractor starts from.
#[derive(Debug, Clone)]
pub(crate) struct Anyone {
    pub(crate) context: EdgeContext,
    committed: CommitLog,
}

impl FromRequestParts<App> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        let context = parts.extensions.get::<EdgeContext>().cloned();
        let committed = parts.extensions.get::<CommitLog>().cloned();
        match (context, committed) {
            (Some(context), Some(committed)) => Ok(Self { context, committed }),
            _ => Err(Problem::internal("the route was mounted without the edge's middleware")),
        }
    }
}

impl Anyone {
    /// Commits, so that the edge will wait for what was written.
    pub(crate) async fn commit(&self, tx: TenantTx) -> Result<(), Problem> {
        self.committed.note(tx.commit().await?);
        Ok(())
    }

    /// As [`Self::commit`].
    pub(crate) async fn commit_control(&self, tx: ControlTx) -> Result<(), Problem> {
        self.committed.note(tx.commit().await?);
        Ok(())
    }

    /// The caller, as the audit trail names them.
    pub(crate) fn actor(&self) -> Actor {
        let (kind, id) = match &self.context.principal {
            Principal::Anonymous => (ActorKind::Anonymous, None),
            Principal::ApiKey { api_key_id, .. } => {
                (ActorKind::ApiKey, Some(api_key_id.to_string()))
            }
            Principal::User { user_id, membership, .. } => {
                let id = membership.map_or_else(|| user_id.to_string(), |m| m.id.to_string());
                (ActorKind::User, Some(id))
            }
        };
        Actor {
            kind,
            id,
            address: Some(self.context.client_address),
            request_id: Some(self.context.request_id),
        }
    }

    /// Records what was done to `target` in the transaction that does it.
    pub(crate) async fn audit(
        &self,
        app: &App,
        tx: &mut TenantTx,
        action: Action,
        target: impl ToString,
        changes: Value,
    ) -> Result<(), Problem> {
        let at = app.now();
        let event = NewAuditEvent {
            id: AuditEventId::new(at, random()),
            at,
            action,
            target: target.to_string(),
            changes,
        };
        Ok(audit_events::record(tx, &self.actor(), &event).await?)
    }
}

impl Anyone {
    /// As [`Self::audit`], once for each tenant that what was done to a person concerns, in the one
    /// transaction that does it.
    pub(crate) async fn audit_each(
        &self,
        app: &App,
        mut tx: ControlTx,
        tenants: &[TenantId],
        action: Action,
        target: impl ToString,
    ) -> Result<ControlTx, Problem> {
        for tenant_id in tenants {
            let mut inside = tx.enter_tenant(*tenant_id).await?;
            self.audit(app, &mut inside, action, target.to_string(), json!({})).await?;
            tx = inside.leave_tenant().await?;
        }
        Ok(tx)
    }
}

/// A signed-in person, on a route that needs no tenant.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    pub(crate) caller: Anyone,
    pub(crate) user_id: UserId,
    pub(crate) session_id: SessionId,
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Anyone::from_request_parts(parts, app).await?;
        match caller.context.principal {
            Principal::User { user_id, session_id, .. } => Ok(Self { caller, user_id, session_id }),
            Principal::Anonymous | Principal::ApiKey { .. } => Err(Problem::new(
                ProblemKind::Unauthenticated,
                "Sign in at `POST /api/v1/auth/login` and send the access token.",
            )),
        }
    }
}

/// A caller who holds the permission `P` in the tenant that the request is about.
#[derive(Debug, Clone)]
pub(crate) struct Authorized<P> {
    pub(crate) caller: Anyone,
    pub(crate) tenant_id: TenantId,
    permission: PhantomData<P>,
}

/// A permission as a type.
pub(crate) trait Needs: Send + Sync {
    /// The permission.
    const PERMISSION: Permission;
}

/// The permissions that handlers ask for.
pub(crate) mod needs {
    use super::{Needs, Permission};

    macro_rules! needs {
        ($($name:ident)*) => {$(
            #[derive(Debug, Clone, Copy)]
            pub(crate) struct $name;

            impl Needs for $name {
                const PERMISSION: Permission = Permission::$name;
            }
        )*};
    }

    needs! {
        ViewTenant ManageTenant CloseTenant ViewUsers InviteUsers ManageUsers ViewApiKeys ManageApiKeys
        ViewNetwork ManageNetwork ViewBilling ManageBilling ViewUsage ViewAuditEvents ViewWebhooks
        ManageWebhooks
    }
}

impl<P: Needs> FromRequestParts<App> for Authorized<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Anyone::from_request_parts(parts, app).await?;
        let mismatch = || {
            Problem::new(
                ProblemKind::TenantMismatch,
                "The credential does not belong to the tenant that the request names.",
            )
        };
        let tenant_id = caller.context.tenant_id.ok_or_else(mismatch)?;
        let path = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|_| Problem::not_found())?;
        if let Some((_, text)) = path.iter().find(|(name, _)| *name == "tenant_id") {
            let named: TenantId = text.parse().map_err(|_| Problem::not_found())?;
            if named != tenant_id {
                return Err(mismatch());
            }
        }
        if !caller.context.principal.permissions().contains(P::PERMISSION) {
            let detail = format!(
                "This needs the permission `{}`; ask an owner or admin for it.",
                P::PERMISSION
            );
            return Err(Problem::new(ProblemKind::PermissionDenied, detail));
        }
        Ok(Self { caller, tenant_id, permission: PhantomData })
    }
}

impl<P> Authorized<P> {
    /// A transaction in the caller's tenant.
    pub(crate) async fn begin(&self, app: &App) -> Result<TenantTx, Problem> {
        Ok(app.store.begin(self.tenant_id).await?)
    }

    /// The caller's tenant.
    pub(crate) const fn tenant_id(&self) -> TenantId {
        self.tenant_id
    }

    /// Everything that the caller may do.
    pub(crate) fn permissions(&self) -> PermissionSet {
        self.caller.context.principal.permissions()
    }

    /// The caller's membership; an API key has none.
    pub(crate) fn membership_id(&self) -> Option<MembershipId> {
        match self.caller.context.principal {
            Principal::User { membership, .. } => membership.map(|membership| membership.id),
            Principal::Anonymous | Principal::ApiKey { .. } => None,
        }
    }

    /// Refuses unless the caller may give and take `role`.
    pub(crate) fn check_may_grant(&self, role: Role) -> Result<(), Problem> {
        let needed = role.granting_permission();
        let held = self.permissions();
        // A key that may invite is not thereby a way to what its scopes leave out; and whoever was given
        // the one permission to manage users may not make themselves more than they are.
        let by_person = self.membership_id().is_some();
        let plain = by_person && needed == Permission::InviteUsers;
        if held.contains(needed) && (plain || held.contains_all(role.permissions())) {
            return Ok(());
        }
        let detail = format!(
            "Giving or taking the role `{role}` needs the permission `{needed}` and all that the role holds."
        );
        Err(Problem::new(ProblemKind::PermissionDenied, detail))
    }

    /// Refuses API keys, where only a signed-in member may act.
    pub(crate) fn check_is_person(&self) -> Result<(), Problem> {
        if self.membership_id().is_some() {
            return Ok(());
        }
        let detail = "API keys cannot do this; use a signed-in member's access token.";
        Err(Problem::new(ProblemKind::PermissionDenied, detail))
    }
}
