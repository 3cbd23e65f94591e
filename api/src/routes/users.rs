//! Members of a tenant. The id in the path is the membership's; nothing here changes the platform-wide user.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::email::EmailAddress;
use domain::event::Action;
use domain::faults::Faults;
use domain::id::MembershipId;
use domain::name::PersonName;
use domain::permission::{Permission, PermissionSet, Role};
use domain::problem::ProblemKind;
use http::StatusCode;
use http::header::ETAG;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::TenantTx;
use store::invitations;
use store::memberships::{self, Membership, MembershipStatus};
use utoipa::ToSchema;
use webhooks::events::edge::{OwnershipChanged, OwnershipData};
use webhooks::events::tenant::{RemovedUserData, UserData, UserInvited, UserRemoved, UserUpdated};

use crate::app::{App, random};
use crate::authorized::{Authorized, Needs, needs};
use crate::events;
use crate::extract::{Body, IfMatch, PageQuery, PathId, Wire, etag};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::problem::Problem;
use crate::routes::List;
use crate::routes::invitations::{self as offers, InvitationBody};

/// A member, or an invited one.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserBody {
    /// The membership's id: the `{user_id}` of paths.
    #[schema(example = "member_01h455vb4pex5vsknk084sn02q")]
    id: String,
    /// The platform-wide user, once the invitation was accepted.
    user_id: Option<String>,
    #[schema(example = "manager@acme.com")]
    email: String,
    #[schema(example = "Jane Smith")]
    name: String,
    #[schema(example = "Manager")]
    role: &'static str,
    /// Permissions granted beside the role; a new role starts without.
    #[schema(example = json!(["ManageWhatsApp", "ViewAnalytics"]))]
    permissions: Vec<&'static str>,
    /// `Invited` or `Active`.
    #[schema(example = "Invited")]
    status: &'static str,
    /// Whether the member has proved that the address is theirs; left out where it is not looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    created_at: String,
    /// The invitation, in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation: Option<InvitationBody>,
}

impl UserBody {
    fn new(member: &Membership) -> Self {
        Self {
            id: member.id.to_string(),
            user_id: member.user_id.map(|id| id.to_string()),
            email: member.email.clone(),
            name: member.name.clone(),
            role: member.role.as_str(),
            permissions: member.permissions.iter().map(Permission::as_str).collect(),
            status: member.status.as_str(),
            email_verified: None,
            created_at: member.created_at.to_string(),
            invitation: None,
        }
    }

    /// With what is known of the address.
    pub(crate) fn of(member: &Membership, email_verified: bool) -> Self {
        Self { email_verified: Some(email_verified), ..Self::new(member) }
    }
}

/// Whom to invite, and as what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddUser {
    #[schema(example = "manager@acme.com")]
    email: String,
    #[schema(example = "Jane Smith")]
    name: String,
    /// `Owner`, `Admin`, `Manager`, `User` or `ReadOnly`.
    #[schema(example = "Manager")]
    role: String,
    /// Permissions beside the role; never more than you hold yourself.
    #[serde(default)]
    #[schema(example = json!(["ManageWhatsApp", "ViewAnalytics"]))]
    permissions: Vec<String>,
    /// `false` withholds the mail; send it later with `resend`.
    #[schema(example = true)]
    send_invite: Option<bool>,
}

/// A checked [`AddUser`].
pub(crate) struct NewMember {
    email: EmailAddress,
    name: PersonName,
    role: Role,
    permissions: PermissionSet,
    send_invite: bool,
}

impl Wire for AddUser {
    type Parsed = NewMember;

    fn parse(self) -> Result<NewMember, Faults> {
        let mut faults = Faults::new();
        let email = faults.check("/email", self.email.parse());
        let name = faults.check("/name", self.name.parse());
        let role = faults.check("/role", self.role.parse());
        let permissions = permission_set(&mut faults, &self.permissions);
        let send_invite = self.send_invite.unwrap_or(true);
        let member = (|| {
            let (email, name, role) = (email?, name?, role?);
            Some(NewMember { email, name, role, permissions, send_invite })
        })();
        faults.finish(member)
    }
}

fn permission_set(faults: &mut Faults, names: &[String]) -> PermissionSet {
    if names.len() > Permission::ALL.len() {
        faults.push("/permissions", format!("must have at most {} entries", Permission::ALL.len()));
        return PermissionSet::EMPTY;
    }
    let checked = names.iter().enumerate().filter_map(|(index, name)| {
        faults.check(&format!("/permissions/{index}"), name.parse::<Permission>())
    });
    checked.collect()
}

/// Invite a user
///
/// The person becomes a member when they open the mailed link. They take a seat from now on.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/users",
    tag = "Users",
    params(("tenant_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = AddUser,
    responses((status = 201, body = UserBody)),
    extensions(
        ("x-permission" = json!("InviteUsers")),
        ("x-problems" = json!(["conflict", "plan-limit-reached", "email-unverified"])),
    ),
)]
pub(crate) async fn add(
    State(app): State<App>,
    auth: Authorized<needs::InviteUsers>,
    key: IdempotencyKey,
    body: Body<AddUser>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    let first = match key.attempt(&app, &mut tx, body.hash).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    let new = body.value;
    auth.check_may_grant(new.role)?;
    check_extra(&auth, new.permissions)?;
    memberships::lock(&mut tx).await?;
    check_seat(&mut tx).await?;
    offers::check_unverified_bound(&auth, &mut tx, new.role).await?;

    let now = app.now();
    let member = Membership {
        id: MembershipId::new(now, random()),
        user_id: None,
        email: new.email.as_str().to_owned(),
        name: new.name.as_str().to_owned(),
        role: new.role,
        permissions: new.permissions,
        status: MembershipStatus::Invited,
        created_at: now,
        version: 1,
    };
    memberships::insert(&mut tx, &member).await?;
    let invitation = offers::offer(&app, &auth, &mut tx, member.id).await?;
    if new.send_invite {
        offers::mail(&mut tx, &invitation).await?;
    }
    let changes = json!({
        "email": member.email,
        "role": member.role,
        "permissions": member.permissions,
        "invitation": invitation.id,
    });
    auth.caller.audit(&app, &mut tx, Action::UserInvited, member.id, changes).await?;
    events::publish(&app, &mut tx, &UserInvited(told(&member))).await?;

    let mut shown = UserBody::new(&member);
    shown.invitation = Some(InvitationBody::new(&invitation, now));
    let response = first.answer(&app, &mut tx, StatusCode::CREATED, &shown).await?;
    auth.caller.commit(tx).await?;
    Ok(response)
}

/// Refuses extra permissions that the granter does not hold.
fn check_extra<P: Needs>(auth: &Authorized<P>, extra: PermissionSet) -> Result<(), Problem> {
    let beyond = extra.difference(auth.permissions());
    if beyond.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = beyond.iter().map(Permission::as_str).collect();
    let detail = format!("You cannot give what you do not hold: {}.", names.join(", "));
    Err(Problem::new(ProblemKind::PermissionDenied, detail))
}

/// Refuses when the plan has no seat left. The caller holds the tenant's lock.
async fn check_seat(tx: &mut TenantTx) -> Result<(), Problem> {
    let limits = crate::routes::billing::limits(tx).await?;
    if limits.users.allows_one_more(memberships::count_seats(tx).await?) {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::PlanLimitReached,
        "Every seat of the plan is taken, invited people included; remove somebody or upgrade.",
    ))
}

/// List users
///
/// Members and invited people, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/users",
    tag = "Users",
    params(
        ("tenant_id" = String, Path),
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = List<UserBody>)),
    extensions(("x-permission" = json!("ViewUsers"))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    auth: Authorized<needs::ViewUsers>,
    PageQuery(page): PageQuery,
) -> Result<Json<List<UserBody>>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let rows = memberships::list(&mut tx, page).await?;

    Ok(Json(List::of(rows, |member| UserBody::new(&member))))
}

/// Show a user
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/users/{user_id}",
    tag = "Users",
    params(("tenant_id" = String, Path), ("user_id" = String, Path)),
    responses((status = 200, body = UserBody)),
    extensions(("x-permission" = json!("ViewUsers"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewUsers>,
    PathId(id): PathId<MembershipId>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;

    let member = memberships::get(&mut tx, id).await?;

    Ok(([(ETAG, etag(member.version))], Json(UserBody::new(&member))).into_response())
}

/// What to change of a membership; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateUser {
    #[schema(example = "Jane Smith")]
    name: Option<String>,
    #[schema(example = "Admin")]
    role: Option<String>,
    /// Replaces the permissions granted beside the role.
    #[schema(example = json!(["ViewAnalytics"]))]
    permissions: Option<Vec<String>>,
}

/// A checked [`UpdateUser`].
pub(crate) struct MemberChange {
    name: Option<PersonName>,
    role: Option<Role>,
    permissions: Option<PermissionSet>,
}

impl Wire for UpdateUser {
    type Parsed = MemberChange;

    fn parse(self) -> Result<MemberChange, Faults> {
        let mut faults = Faults::new();
        let name = self.name.and_then(|name| faults.check("/name", name.parse()));
        let role = self.role.and_then(|role| faults.check("/role", role.parse()));
        let permissions = self.permissions.map(|names| permission_set(&mut faults, &names));
        faults.finish(Some(MemberChange { name, role, permissions }))
    }
}

/// Change a user
///
/// Changes the membership in this tenant. Taking effect at the edge at once.
#[utoipa::path(
    patch,
    path = "/api/v1/tenants/{tenant_id}/users/{user_id}",
    tag = "Users",
    params(
        ("tenant_id" = String, Path),
        ("user_id" = String, Path),
        ("If-Match" = Option<String>, Header),
    ),
    request_body = UpdateUser,
    responses((status = 200, body = UserBody)),
    extensions(
        ("x-permission" = json!("ManageUsers")),
        ("x-problems" = json!(["conflict", "precondition-failed"])),
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    auth: Authorized<needs::ManageUsers>,
    PathId(id): PathId<MembershipId>,
    if_match: IfMatch,
    body: Body<UpdateUser>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    memberships::lock(&mut tx).await?;
    let before = memberships::get(&mut tx, id).await?;
    if_match.check(before.version)?;

    let change = body.value;
    let role = change.role.unwrap_or(before.role);
    // A new role starts without what was granted beside the old one: nobody keeps more than was meant.
    let kept = if role == before.role { before.permissions } else { PermissionSet::EMPTY };
    let extra = change.permissions.unwrap_or(kept);
    let name = match change.name {
        Some(name) => name,
        None => before.name.parse().map_err(Problem::internal)?,
    };
    auth.check_may_grant(before.role)?;
    auth.check_may_grant(role)?;
    check_extra(&auth, extra.difference(before.permissions))?;
    if role != Role::Owner {
        check_not_last_owner(&mut tx, &before).await?;
    }

    memberships::update(&mut tx, id, before.version, &name, role, extra).await?;
    let after = memberships::get(&mut tx, id).await?;
    let fields = |member: &Membership| json!({ "name": member.name, "role": member.role, "permissions": member.permissions });
    let changes = json!({ "before": fields(&before), "after": fields(&after) });
    auth.caller.audit(&app, &mut tx, Action::UserUpdated, id, changes).await?;
    events::publish(&app, &mut tx, &UserUpdated(told(&after))).await?;
    if before.role != after.role && [before.role, after.role].contains(&Role::Owner) {
        events::publish(&app, &mut tx, &ownership(&auth, &after)).await?;
    }

    auth.caller.commit(tx).await?;
    Ok(([(ETAG, etag(after.version))], Json(UserBody::new(&after))).into_response())
}

/// What webhooks say of a member.
pub(crate) fn told(member: &Membership) -> UserData {
    UserData {
        user_id: member.id.to_string(),
        email: member.email.to_string(),
        name: member.name.clone(),
        role: member.role.to_string(),
    }
}

/// Somebody became an owner, or is one no more.
fn ownership(auth: &Authorized<needs::ManageUsers>, member: &Membership) -> OwnershipChanged {
    OwnershipChanged(OwnershipData {
        tenant_id: auth.tenant_id().to_string(),
        user_id: member.id.to_string(),
        role: member.role.to_string(),
    })
}

/// Refuses to leave the tenant without an owner. The caller holds the tenant's lock.
async fn check_not_last_owner(tx: &mut TenantTx, member: &Membership) -> Result<(), Problem> {
    let owner = member.role == Role::Owner && member.status == MembershipStatus::Active;
    if owner && memberships::count_owners(tx).await? <= 1 {
        return Err(Problem::new(
            ProblemKind::Conflict,
            "This is the last owner; make somebody else an owner first.",
        ));
    }
    Ok(())
}

/// Remove a user
///
/// Ends the membership and any waiting invitation. The person is out at once.
#[utoipa::path(
    delete,
    path = "/api/v1/tenants/{tenant_id}/users/{user_id}",
    tag = "Users",
    params(("tenant_id" = String, Path), ("user_id" = String, Path)),
    responses((status = 204)),
    extensions(("x-permission" = json!("InviteUsers")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    auth: Authorized<needs::InviteUsers>,
    PathId(id): PathId<MembershipId>,
) -> Result<StatusCode, Problem> {
    let mut tx = auth.begin(&app).await?;
    memberships::lock(&mut tx).await?;
    let member = memberships::get(&mut tx, id).await?;
    auth.check_is_person()?;
    auth.check_may_grant(member.role)?;
    check_not_last_owner(&mut tx, &member).await?;

    memberships::remove(&mut tx, id).await?;
    invitations::revoke_of(&mut tx, id, app.now()).await?;
    let changes = json!({ "email": member.email, "role": member.role });
    auth.caller.audit(&app, &mut tx, Action::UserRemoved, id, changes).await?;
    let event = UserRemoved(RemovedUserData { user_id: id.to_string() });
    events::publish(&app, &mut tx, &event).await?;

    auth.caller.commit(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}
