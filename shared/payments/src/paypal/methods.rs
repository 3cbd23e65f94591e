//! Ways to pay: an account, kept in `PayPal`'s vault once its owner has agreed there.

use domain::id::TenantId;
use domain::payment::Decline;
use domain::secret::Secret;
use serde_json::json;

use super::client::{Client, Failure};
use super::objects::Vaulted;
use crate::call::found;
use crate::error::PaymentError;
use crate::provider::{Fact, MethodState, NewMethod, SavedMethod};

/// What our tokens begin with: an account to be agreed on, and one that is in the vault.
const SETUP: &str = "setup/";
const VAULT: &str = "vault/";

/// What a token names.
pub(super) enum Token<'a> {
    Setup(&'a str),
    Vault(&'a str),
}

pub(super) fn token(text: &Secret<String>) -> Result<Token<'_>, PaymentError> {
    let text = text.expose();
    let setup = text.strip_prefix(SETUP).map(Token::Setup);
    setup
        .or_else(|| text.strip_prefix(VAULT).map(Token::Vault))
        .ok_or(PaymentError::Unsupported("the way to pay was not saved with PayPal"))
}

fn refused(code: &str) -> PaymentError {
    PaymentError::Declined(Decline { hard: true, code: code.to_owned() })
}

/// Keeps an account: its owner is sent to `PayPal`, or comes from there with the token of the setup.
pub(super) async fn save(
    client: &Client,
    wish: &NewMethod<'_>,
) -> Result<SavedMethod, PaymentError> {
    if let Some(id) = wish.token {
        return exchange(client, id.expose(), Some(wish.tenant_id)).await;
    }
    let tenant = wish.tenant_id.to_string();
    let body = json!({
        "customer": { "merchant_customer_id": tenant },
        "payment_source": { "paypal": {
            "usage_type": "MERCHANT",
            "usage_pattern": "SUBSCRIPTION_PREPAID",
            "experience_context": { "return_url": wish.return_url, "cancel_url": wish.return_url },
        } },
    });
    let path = ["v3", "vault", "setup-tokens"];
    // Without a key: one that nobody agrees to ends by itself.
    let setup: Vaulted = client.post(&path, &body, None).await?;
    pending(setup)
}

/// Looks whether the owner has agreed, and takes the account into the vault if so.
pub(super) async fn confirm(
    client: &Client,
    text: &Secret<String>,
) -> Result<SavedMethod, PaymentError> {
    match token(text)? {
        Token::Setup(id) => exchange(client, id, None).await,
        Token::Vault(id) => {
            let path = ["v3", "vault", "payment-tokens", id];
            let vaulted: Option<Vaulted> = found(client.get(&path, &[]).await)?;
            vaulted.map(|vaulted| usable(&vaulted)).ok_or_else(|| refused("RESOURCE_NOT_FOUND"))
        }
    }
}

/// `whose`: who must have begun the setup, where somebody else says that it is theirs.
async fn exchange(
    client: &Client,
    id: &str,
    whose: Option<TenantId>,
) -> Result<SavedMethod, PaymentError> {
    let path = ["v3", "vault", "setup-tokens", id];
    let setup: Option<Vaulted> = found(client.get(&path, &[]).await)?;
    let Some(setup) = setup else { return Err(refused("RESOURCE_NOT_FOUND")) };
    let begun_by = setup.customer.merchant_customer_id.as_deref();
    if whose.is_some_and(|whose| begun_by.is_some_and(|by| by != whose.to_string())) {
        return Err(refused("SETUP_TOKEN_OF_ANOTHER_CUSTOMER"));
    }
    if matches!(setup.status.as_deref(), Some("CREATED" | "PAYER_ACTION_REQUIRED")) {
        return pending(setup);
    }
    let body = json!({ "payment_source": { "token": { "id": id, "type": "SETUP_TOKEN" } } });
    // The setup is the key: exchanged twice, it is the same account in the vault.
    let path = ["v3", "vault", "payment-tokens"];
    match client.post::<Vaulted>(&path, &body, Some(id)).await {
        Ok(vaulted) => Ok(usable(&vaulted)),
        Err(Failure::Refused(refusal)) => Err(refused(&refusal.code())),
        Err(failure) => Err(failure.into()),
    }
}

fn pending(setup: Vaulted) -> Result<SavedMethod, PaymentError> {
    let Some(url) = setup.approve_url() else {
        return Err(PaymentError::Unavailable("it does not say where its payer agrees".to_owned()));
    };
    let token = Secret::new(format!("{SETUP}{}", setup.id));
    let state = MethodState::NeedsConfirmation { url };
    Ok(SavedMethod { token, label: setup.label(), state })
}

fn usable(vaulted: &Vaulted) -> SavedMethod {
    let token = Secret::new(format!("{VAULT}{}", vaulted.id));
    SavedMethod { token, label: vaulted.label(), state: MethodState::Usable }
}

/// Takes an account out of the vault.
pub(super) async fn forget(client: &Client, text: &Secret<String>) -> Result<(), PaymentError> {
    let Token::Vault(id) = token(text)? else {
        // What nobody agreed to ends by itself.
        return Ok(());
    };
    found(client.delete(&["v3", "vault", "payment-tokens", id]).await).map(drop)
}

/// As events name an account in the vault: with its tenant, where they tell that.
pub(super) fn named(id: &str, tenant: Option<&str>) -> String {
    tenant.map_or_else(|| id.to_owned(), |tenant| format!("{tenant}/{id}"))
}

/// What is known of an account in the vault now: it may have been taken out, by its owner at `PayPal`.
pub(super) async fn read(client: &Client, named: &str) -> Result<Option<Fact>, PaymentError> {
    let (tenant, id) = named.split_once('/').unwrap_or(("", named));
    let text = Secret::new(format!("{VAULT}{id}"));
    let path = ["v3", "vault", "payment-tokens", id];
    let vaulted: Option<Vaulted> = found(client.get(&path, &[]).await)?;
    let Some(vaulted) = vaulted else {
        return Ok(tenant.parse().ok().map(|tenant_id| Fact::Method(tenant_id, text, None)));
    };
    let whose = vaulted.customer.merchant_customer_id.as_deref().unwrap_or(tenant);
    let label = vaulted.label();
    Ok(whose.parse().ok().map(|tenant_id| Fact::Method(tenant_id, text, Some(label))))
}
