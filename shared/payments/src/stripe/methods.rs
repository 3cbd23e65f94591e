//! Ways to pay: cards of a customer. Each tenant has one customer at Stripe, whom its cards are attached to.

use domain::id::TenantId;
use domain::payment::Decline;
use domain::secret::Secret;
use http::StatusCode;

use super::client::{Client, Failure, Form};
use super::objects::{CUSTOMER, Customer, Method, NextAction, OURS, Page, SetupIntent};
use crate::call::{Refusal as _, found};
use crate::error::PaymentError;
use crate::provider::{Fact, MethodState, NewMethod, SavedMethod};

/// Customer and card of a token.
pub(super) fn parts(token: &Secret<String>) -> Result<(&str, &str), PaymentError> {
    token
        .expose()
        .split_once('/')
        .ok_or(PaymentError::Unsupported("the way to pay was not saved with Stripe"))
}

fn token_of(customer: &str, method: &str) -> Secret<String> {
    Secret::new(format!("{customer}/{method}"))
}

fn refused(code: &str) -> PaymentError {
    PaymentError::Declined(Decline { hard: true, code: code.to_owned() })
}

/// Keeps a card that Stripe's script gave. Twice the same: it is attached already, and that is all.
pub(super) async fn save(
    client: &Client,
    wish: &NewMethod<'_>,
) -> Result<SavedMethod, PaymentError> {
    let id = match wish.token.map(Secret::expose) {
        Some(id) if id.starts_with("pm_") => id.as_str(),
        Some(_) => return Err(refused("invalid_payment_method")),
        None => {
            return Err(PaymentError::Unsupported(
                "Stripe wants the payment method (`pm_…`) that its script in the browser gives",
            ));
        }
    };
    let method: Option<Method> = found(client.get(&["payment_methods", id], &[]).await)?;
    let Some(method) = method else { return Err(refused("resource_missing")) };
    if let Some(customer) = &method.customer {
        // A card of another tenant's must not be charged for this one, whoever knows its id.
        if !belongs(client, customer, wish.tenant_id).await? {
            return Err(refused("payment_method_of_another_customer"));
        }
        return usable(client, wish.tenant_id, customer, id).await;
    }
    let customer = match wish.beside {
        Some(beside) => parts(beside)?.0.to_owned(),
        None => new_customer(client, wish).await?,
    };
    let setup = set_up(client, wish, &customer, id).await?;
    if setup.status == "succeeded" {
        return usable(client, wish.tenant_id, &customer, id).await;
    }
    let url = setup.next_action.and_then(NextAction::into_url);
    pending(token_of(&customer, id), &method, url)
}

async fn belongs(
    client: &Client,
    customer: &str,
    tenant_id: TenantId,
) -> Result<bool, PaymentError> {
    let customer: Option<Customer> = found(client.get(&["customers", customer], &[]).await)?;
    Ok(customer.is_some_and(|customer| tenant(&customer) == Some(tenant_id)))
}

fn tenant(customer: &Customer) -> Option<TenantId> {
    customer.metadata.get(OURS)?.parse().ok()
}

async fn new_customer(client: &Client, wish: &NewMethod<'_>) -> Result<String, PaymentError> {
    let metadata = format!("metadata[{OURS}]");
    let tenant = wish.tenant_id.to_string();
    let mut form: Form<'_> = vec![("description", tenant.clone()), (&metadata, tenant)];
    form.extend(wish.email.map(|email| ("email", email.to_owned())));
    // Without a key: one too many holds nothing and costs nothing, and the address may have changed meanwhile.
    let customer: Customer = client.post(&["customers"], &form, None).await?;
    Ok(customer.id)
}

/// Lets the bank agree to charges without the customer.
async fn set_up(
    client: &Client,
    wish: &NewMethod<'_>,
    customer: &str,
    id: &str,
) -> Result<SetupIntent, PaymentError> {
    let metadata = format!("metadata[{OURS}]");
    let form: Form<'_> = vec![
        ("customer", customer.to_owned()),
        ("payment_method", id.to_owned()),
        ("payment_method_types[0]", "card".to_owned()),
        ("usage", "off_session".to_owned()),
        ("confirm", "true".to_owned()),
        ("return_url", wish.return_url.to_owned()),
        (&metadata, wish.tenant_id.to_string()),
    ];
    match client.post(&["setup_intents"], &form, None).await {
        Ok(setup) => Ok(setup),
        Err(Failure::Refused(refusal)) if refusal.status == StatusCode::PAYMENT_REQUIRED => {
            Err(PaymentError::Declined(refusal.decline()))
        }
        Err(failure) => Err(failure.into()),
    }
}

/// A card that can be charged. It is told whose it is: when it is detached one day, its customer is gone from it.
async fn usable(
    client: &Client,
    tenant_id: TenantId,
    customer: &str,
    id: &str,
) -> Result<SavedMethod, PaymentError> {
    let (ours, whose) = (format!("metadata[{OURS}]"), format!("metadata[{CUSTOMER}]"));
    let form: Form<'_> = vec![(&ours, tenant_id.to_string()), (&whose, customer.to_owned())];
    let method: Method = client.post(&["payment_methods", id], &form, None).await?;
    let token = token_of(customer, id);
    Ok(SavedMethod { token, label: method.label(), state: MethodState::Usable })
}

fn pending(
    token: Secret<String>,
    method: &Method,
    url: Option<String>,
) -> Result<SavedMethod, PaymentError> {
    // `processing`: nobody has to do anything, and it cannot be charged yet.
    let Some(url) = url else {
        return Err(PaymentError::Unavailable("the card is still being set up".to_owned()));
    };
    let state = MethodState::NeedsConfirmation { url };
    Ok(SavedMethod { token, label: method.label(), state })
}

/// Looks what became of the setting up.
pub(super) async fn confirm(
    client: &Client,
    token: &Secret<String>,
) -> Result<SavedMethod, PaymentError> {
    let (customer, id) = parts(token)?;
    let query = [("payment_method", id), ("limit", "1")];
    let page: Page<SetupIntent> = client.get(&["setup_intents"], &query).await?;
    let Some(setup) = page.data.into_iter().next() else { return Err(refused("resource_missing")) };
    if setup.status == "succeeded" {
        let whose: Customer = client.get(&["customers", customer], &[]).await?;
        let tenant_id = tenant(&whose).ok_or_else(|| refused("customer_of_another"))?;
        return usable(client, tenant_id, customer, id).await;
    }
    if let Some(refusal) = &setup.last_setup_error
        && setup.status == "requires_payment_method"
    {
        return Err(PaymentError::Declined(refusal.decline()));
    }
    if setup.status == "canceled" {
        return Err(refused("setup_canceled"));
    }
    let method: Method = client.get(&["payment_methods", id], &[]).await?;
    pending(token.clone(), &method, setup.next_action.and_then(NextAction::into_url))
}

/// Detaches a card for good.
pub(super) async fn forget(client: &Client, token: &Secret<String>) -> Result<(), PaymentError> {
    let (_, id) = parts(token)?;
    match client.post::<Method>(&["payment_methods", id, "detach"], &Vec::new(), None).await {
        Ok(_) => Ok(()),
        Err(Failure::Refused(refusal)) if refusal.status == StatusCode::NOT_FOUND => Ok(()),
        // It is attached to nobody, as after the first time.
        Err(Failure::Refused(refusal)) if refusal.status == StatusCode::BAD_REQUEST => {
            let method: Option<Method> = found(client.get(&["payment_methods", id], &[]).await)?;
            match method {
                Some(method) if method.customer.is_some() => Err(refusal.into_error()),
                _ => Ok(()),
            }
        }
        Err(failure) => Err(failure.into()),
    }
}

/// What is known of a card now: its bank may have sent another, and its owner may have been forgotten at Stripe.
pub(super) async fn read(client: &Client, id: &str) -> Result<Option<Fact>, PaymentError> {
    let method: Option<Method> = found(client.get(&["payment_methods", id], &[]).await)?;
    let Some(method) = method else { return Ok(None) };
    if let Some(customer) = method.customer.as_deref() {
        let whose: Option<Customer> = found(client.get(&["customers", customer], &[]).await)?;
        let tenant_id = whose.as_ref().and_then(tenant);
        return Ok(tenant_id.map(|tenant_id| {
            Fact::Method(tenant_id, token_of(customer, id), Some(method.label()))
        }));
    }
    let tenant_id = method.metadata.get(OURS).and_then(|text| text.parse().ok());
    let customer = method.metadata.get(CUSTOMER);
    Ok(tenant_id
        .zip(customer)
        .map(|(tenant_id, customer)| Fact::Method(tenant_id, token_of(customer, id), None)))
}
