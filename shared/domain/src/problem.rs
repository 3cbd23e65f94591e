//! The catalogue of problems (RFC 9457) that edge and API share: slug, status, title, and the page's text.

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:literal, $title:literal, $page:literal;)*) => {
        /// A kind of problem. Its URL is `/docs/problems/<slug>`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemKind { $($(#[$doc])* $name,)* }

        impl ProblemKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The last part of the problem's URL.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The HTTP status code.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// One line that is the same for each occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do: the text of the problem's page.
            #[must_use]
            pub const fn page(self) -> &'static str {
                match self { $(Self::$name => $page,)* }
            }
        }
    };
}

problems! {
    /// The request could not be read at all.
    MalformedRequest = "malformed-request", 400, "Malformed request",
        "The request could not be read: broken JSON, a malformed header or an ambiguous length. Mend the request and send it again.";
    /// Two different credentials.
    AmbiguousCredentials = "ambiguous-credentials", 400, "Ambiguous credentials",
        "The request carries more than one credential. Send exactly one: `Authorization: Bearer …` or `X-Api-Key`.";
    /// No credential where one is needed.
    Unauthenticated = "unauthenticated", 401, "Unauthenticated",
        "This operation needs a credential. Send an API key or an access token as `Authorization: Bearer …`.";
    /// The key is unknown or mistyped.
    ApiKeyInvalid = "api-key-invalid", 401, "API key invalid",
        "No such API key. Check that it was copied whole (`pk_` and 49 characters) and that it belongs to this installation.";
    /// The key's time is over.
    ApiKeyExpired = "api-key-expired", 401, "API key expired",
        "The API key has expired. Create a new one and replace it where it is used.";
    /// The key was deleted.
    ApiKeyRevoked = "api-key-revoked", 401, "API key revoked",
        "The API key has been deleted or replaced. Use its successor or create a new one.";
    /// The access token is garbled, forged or foreign.
    TokenInvalid = "token-invalid", 401, "Access token invalid",
        "The access token could not be verified. Sign in again.";
    /// The access token's time is over.
    TokenExpired = "token-expired", 401, "Access token expired",
        "The access token has expired. Use the refresh token at `POST /api/v1/auth/refresh`, or sign in again.";
    /// Wrong address or password.
    LoginFailed = "login-failed", 401, "Login failed",
        "Address or password is wrong, or the address has not been verified. The answer is the same in each case.";
    /// The tenant owes money.
    PaymentRequired = "payment-required", 402, "Payment required",
        "Invoices of the tenant are overdue, and charging them was given up. At first it may only read, later it is served nothing but billing. Pay the open invoices or set another payment method: the routes about billing, invoices and payment methods stay open, and access returns within seconds. `access` in `GET /api/v1/tenants/{tenant_id}/billing` says how things stand.";
    /// The change needs a way to pay.
    PaymentMethodRequired = "payment-method-required", 402, "Payment method required",
        "This plan costs money and the tenant has no usable payment method. Send `payment_method` or add one first.";
    /// The tenant hints disagree, or the principal is not of the tenant.
    TenantMismatch = "tenant-mismatch", 403, "Tenant mismatch",
        "The host, the credential, `X-Tenant-ID` and the path must all name one tenant, and the credential must belong to it.";
    /// Stopped by the operator.
    TenantSuspended = "tenant-suspended", 403, "Tenant suspended",
        "The tenant has been suspended or closed. Contact support to have it restored.";
    /// Role or scope does not suffice.
    PermissionDenied = "permission-denied", 403, "Permission denied",
        "The role, the extra permissions or the API key's scopes do not allow this. Ask an owner or admin for the permission named in the answer.";
    /// The address is not on the allowlist.
    IpNotAllowed = "ip-not-allowed", 403, "IP address not allowed",
        "The tenant or the API key accepts requests from listed addresses only, and yours is not among them.";
    /// A second factor is needed.
    TwoFactorRequired = "two-factor-required", 403, "Two-factor authentication required",
        "The tenant requires a second factor. Enrol one and sign in with it.";
    /// The address must be verified first.
    EmailUnverified = "email-unverified", 403, "E-mail address not verified",
        "Open the link that was mailed to the address; until then this is not available.";
    /// No tenant at this host.
    TenantNotFound = "tenant-not-found", 404, "Tenant not found",
        "No active tenant is reached at this host. Check the spelling of the subdomain and that the domain has been verified.";
    /// No such thing.
    NotFound = "not-found", 404, "Not found",
        "Nothing is here, or nothing that this credential may see. Check the path and the id.";
    /// The path knows other methods only.
    MethodNotAllowed = "method-not-allowed", 405, "Method not allowed",
        "The path exists with other methods; the `Allow` header lists them.";
    /// The state of things is against it.
    Conflict = "conflict", 409, "Conflict",
        "The request contradicts what is already there; the answer says what. Load the present state and decide again.";
    /// Changed meanwhile.
    PreconditionFailed = "precondition-failed", 412, "Precondition failed",
        "The resource was changed since it was read. Read it again and repeat the change with the new `ETag`.";
    /// Body too large.
    PayloadTooLarge = "payload-too-large", 413, "Payload too large",
        "The body is larger than this operation takes. Send less at once.";
    /// Not JSON.
    UnsupportedMediaType = "unsupported-media-type", 415, "Unsupported media type",
        "The body must be `application/json`.";
    /// Connection and host disagree.
    MisdirectedRequest = "misdirected-request", 421, "Misdirected request",
        "The connection was made for another host. Open a new one.";
    /// The body says something impossible.
    ValidationFailed = "validation-failed", 422, "Validation failed",
        "Some fields are not acceptable; `errors` lists each with its place and what it must be.";
    /// One key, two bodies.
    IdempotencyKeyReused = "idempotency-key-reused", 422, "Idempotency key reused",
        "This `Idempotency-Key` came before with another body. Use a new key for a new request.";
    /// The plan has no room left.
    PlanLimitReached = "plan-limit-reached", 403, "Plan limit reached",
        "The plan's limit has been reached. Remove something or upgrade the plan.";
    /// Too many requests.
    RateLimitExceeded = "rate-limit-exceeded", 429, "Rate limit exceeded",
        "More requests than the plan, the key or the address may send. Wait for `Retry-After` seconds, spread the requests, or upgrade the plan.";
    /// The period's quota is used up.
    QuotaExceeded = "quota-exceeded", 429, "Quota exceeded",
        "The plan's quota for this period is used up. Wait for the next period or upgrade the plan.";
    /// A fault of ours.
    Internal = "internal", 500, "Internal error",
        "Something failed on our side. Try again; if it persists, contact support with the `request_id`.";
    /// The application behind the edge did not answer properly.
    UpstreamUnavailable = "upstream-unavailable", 502, "Upstream unavailable",
        "The application behind the edge could not be reached. Try again shortly.";
    /// More than can be served now.
    Overloaded = "overloaded", 503, "Overloaded",
        "More requests than can be served at this moment. Wait for `Retry-After` seconds.";
    /// The edge's knowledge is too old.
    PolicyStale = "policy-stale", 503, "Policy stale",
        "The edge has been cut off from its database for too long to decide safely. Try again shortly.";
    /// The edge has no place left for what it counts.
    UsageNotCountable = "usage-not-countable", 503, "Usage cannot be counted",
        "The edge has been cut off from its database for so long that it cannot keep what it counts. Try again shortly; operators: `edge.usage_bytes_max`.";
    /// The application took too long.
    UpstreamTimeout = "upstream-timeout", 504, "Upstream timeout",
        "The application behind the edge took too long. Try again; make the request smaller if it persists.";
}

/// The body of a problem answer, `application/problem+json` (RFC 9457). One shape for edge and API.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ProblemDocument {
    /// URL of the problem's page.
    #[serde(rename = "type")]
    pub type_url: String,
    /// As [`ProblemKind::title`].
    pub title: &'static str,
    /// As the HTTP status.
    pub status: u16,
    /// What to do next, in one sentence.
    pub detail: String,
    /// The request's id, for support.
    pub request_id: String,
    /// Faults of a body, each with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<crate::faults::Fault>,
    /// Names of the limits that refused (draft-ietf-httpapi-ratelimit-headers-10, "Problem Types").
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    pub violated_policies: Vec<String>,
}

impl ProblemDocument {
    /// The media type of the body.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A document of `kind`; `detail` says what to do next about this very occurrence.
    #[must_use]
    pub fn new(
        kind: ProblemKind,
        detail: impl Into<String>,
        request_id: impl Into<String>,
    ) -> Self {
        Self {
            type_url: format!("/docs/problems/{}", kind.slug()),
            title: kind.title(),
            status: kind.status(),
            detail: detail.into(),
            request_id: request_id.into(),
            errors: Vec::new(),
            violated_policies: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_unique_and_statuses_are_errors() {
        let mut slugs: Vec<_> = ProblemKind::ALL.iter().map(|kind| kind.slug()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), ProblemKind::ALL.len());
        assert!(ProblemKind::ALL.iter().all(|kind| (400..=599).contains(&kind.status())));
    }
}
