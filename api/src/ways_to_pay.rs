//! Ways to pay, as handlers keep them: first the provider is asked, without a transaction, as that takes its time; then what
//! it keeps is put on file, in the transaction of whatever it is for.

use domain::faults::Faults;
use domain::id::{PaymentMethodId, TenantId};
use domain::payment::ProviderName;
use domain::plan::PlanName;
use domain::problem::ProblemKind;
use domain::secret::Secret;
use jiff::Timestamp;
use payments::{MethodState, NewMethod, PaymentError, Provider, SavedMethod};
use store::payment_methods::{self, Method};
use store::subscriptions::Running;
use store::{TenantTx, invoices, test_clocks};

use crate::account;
use crate::app::{App, random};
use crate::problem::Problem;

/// Most ways to pay of a tenant.
const METHODS_MAX: u64 = 10;
/// Longest token of a provider.
const TOKEN_LEN_MAX: usize = 255;
/// Seconds after which a provider may be asked again.
const PROVIDER_RETRY_SECS: u32 = 10;

/// A way to pay that is to be kept.
#[derive(Debug)]
pub(crate) struct Wish {
    /// With whom; `None`: with the first that takes money by itself.
    pub(crate) provider: Option<ProviderName>,
    /// What the provider's page or script gave.
    pub(crate) token: Option<Secret<String>>,
}

/// A way to pay that its provider keeps, and that is not on file yet.
#[derive(Debug)]
pub(crate) struct Kept {
    provider: ProviderName,
    saved: SavedMethod,
}

/// A provider's token, checked for its form.
pub(crate) fn token(faults: &mut Faults, text: String) -> Secret<String> {
    let graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > TOKEN_LEN_MAX || !graphic {
        faults.push("/payment_method", "must be a provider's reference such as `card_1234567890`");
    }
    Secret::new(text)
}

/// Has a provider keep a way to pay of a tenant that has, or wishes for, a plan. No transaction may be open: it takes as
/// long as the provider does.
pub(crate) async fn ask(
    app: &App,
    tenant_id: TenantId,
    plan: PlanName,
    wish: Wish,
) -> Result<Kept, Problem> {
    let mut tx = app.store.begin(tenant_id).await?;
    let on_test_clock = test_clocks::get(&mut tx).await?.is_some();
    let name = choose(app, plan, wish.provider, on_test_clock)?;
    if payment_methods::count(&mut tx).await? >= METHODS_MAX {
        let detail = format!("There are {METHODS_MAX} ways to pay already; remove one first.");
        return Err(Problem::new(ProblemKind::Conflict, detail));
    }
    let beside = beside(app, &mut tx, name).await?;
    let email = account_email(&mut tx).await?;
    drop(tx);

    let provider = app.providers.get(name).ok_or_else(|| not_offered(&[]))?;
    let new = NewMethod {
        tenant_id,
        email: email.as_deref(),
        token: wish.token.as_ref(),
        beside: beside.as_ref(),
        return_url: app.providers.return_url(),
    };
    let saved = provider.save_method(&new).await.map_err(refused)?;
    Ok(Kept { provider: name, saved })
}

/// Which provider; one that a tenant of this plan may pay by.
fn choose(
    app: &App,
    plan: PlanName,
    wished: Option<ProviderName>,
    on_test_clock: bool,
) -> Result<ProviderName, Problem> {
    let mut open: Vec<_> = app.providers.of_plan(plan).collect();
    // Nobody real is charged by a time that is not real.
    open.retain(|name| !on_test_clock || *name == ProviderName::Sandbox);
    let found = match wished {
        Some(wished) => open.iter().copied().find(|name| *name == wished),
        None => open.iter().copied().find(|name| name.pulls()),
    };
    found.ok_or_else(|| not_offered(&open))
}

/// Whether a tenant of a plan may pay with a provider. Of one that is not set up any more nothing is said here: its attempts
/// fail, and who pays is asked for another way.
fn is_offered(app: &App, plan: PlanName, name: ProviderName) -> bool {
    app.providers.get(name).is_none() || app.providers.of_plan(plan).any(|open| open == name)
}

/// Whether what is charged now may pay for a plan.
pub(crate) fn pays_for(app: &App, running: &Running, plan: PlanName) -> bool {
    running.pays_by.is_some_and(|name| is_offered(app, plan, name))
}

/// A way to pay on file becomes the one that is charged for a plan; of one that the plan does not offer, why not.
pub(crate) async fn choose_on_file(
    app: &App,
    tx: &mut TenantTx,
    id: PaymentMethodId,
    plan: PlanName,
) -> Result<Method, Problem> {
    let method = payment_methods::get(tx, id).await?;
    let detail = if method.state != "Usable" {
        "This way to pay cannot be used yet; its owner has to confirm it first.".to_owned()
    } else if is_offered(app, plan, method.provider) {
        charge_from_now_on(tx, id).await?;
        return Ok(payment_methods::get(tx, id).await?);
    } else {
        format!("{} is not offered for {plan}; choose another way to pay.", method.provider)
    };
    Err(Problem::new(ProblemKind::Conflict, detail))
}

fn not_offered(open: &[ProviderName]) -> Problem {
    let names: Vec<_> = open.iter().map(|name| name.as_str()).collect();
    let mut faults = Faults::new();
    let detail = if names.is_empty() {
        "is not offered: no provider is set up here for this plan".to_owned()
    } else {
        format!("is not offered for this plan; there is {}", names.join(", "))
    };
    faults.push("/provider", detail);
    faults.into()
}

/// A way of the tenant's with the same provider, so that both belong to one customer there.
async fn beside(
    app: &App,
    tx: &mut TenantTx,
    name: ProviderName,
) -> Result<Option<Secret<String>>, Problem> {
    let methods = payment_methods::list(tx).await?;
    match methods.iter().find(|method| method.provider == name) {
        Some(method) => Ok(Some(payment_methods::token(tx, &app.keys.sealer, method.id).await?)),
        None => Ok(None),
    }
}

/// Whom the provider may write to.
async fn account_email(tx: &mut TenantTx) -> Result<Option<String>, Problem> {
    Ok(store::billing::account::recipient(tx).await?.email)
}

/// What a provider's refusal means for who asked.
pub(crate) fn refused(error: PaymentError) -> Problem {
    match error {
        PaymentError::Declined(decline) => Problem::new(
            ProblemKind::PaymentMethodRequired,
            format!("The provider refuses this way to pay ({}); send another.", decline.code),
        ),
        PaymentError::RateLimited { .. } | PaymentError::Unavailable(_) => {
            tracing::warn!("a provider does not answer: {error}");
            let detail =
                "The payment provider does not answer; nothing was changed. Try again in a moment.";
            Problem::new(ProblemKind::UpstreamUnavailable, detail).retry_after(PROVIDER_RETRY_SECS)
        }
        PaymentError::Refused { code, message } => {
            tracing::warn!(code, "a provider refuses a way to pay: {message}");
            let mut faults = Faults::new();
            faults.push("/payment_method", format!("is refused by the provider ({code})"));
            faults.into()
        }
        PaymentError::Unsupported(detail) => {
            let mut faults = Faults::new();
            faults.push("/payment_method", detail);
            faults.into()
        }
    }
}

/// Puts what a provider keeps on file. As the one that is charged, where that is wished and it can be used; then all that
/// is open is collected by it.
pub(crate) async fn put_on_file(
    app: &App,
    tx: &mut TenantTx,
    kept: &Kept,
    make_default: bool,
    now: Timestamp,
) -> Result<Method, Problem> {
    if let Some(known) = on_file(app, tx, kept).await? {
        if make_default && known.state == "Usable" {
            charge_from_now_on(tx, known.id).await?;
        }
        return Ok(payment_methods::get(tx, known.id).await?);
    }
    let id = PaymentMethodId::new(now, random());
    let confirm_url = match &kept.saved.state {
        MethodState::Usable => None,
        MethodState::NeedsConfirmation { url } => Some(url.as_str()),
    };
    let new = payment_methods::NewMethod {
        id,
        provider: kept.provider,
        token: &kept.saved.token,
        label: &kept.saved.label,
        confirm_url,
    };
    payment_methods::insert(tx, &app.keys.sealer, &new, now).await?;
    if make_default && confirm_url.is_none() {
        charge_from_now_on(tx, id).await?;
    }
    Ok(payment_methods::get(tx, id).await?)
}

/// The same way to pay, where it is on file already: who sends it again keeps one.
async fn on_file(app: &App, tx: &mut TenantTx, kept: &Kept) -> Result<Option<Method>, Problem> {
    for method in payment_methods::list(tx).await? {
        let same = method.provider == kept.provider
            && payment_methods::token(tx, &app.keys.sealer, method.id).await? == kept.saved.token;
        if same {
            return Ok(Some(method));
        }
    }
    Ok(None)
}

/// Makes a way to pay the one that is charged, and has all that is open collected by it.
pub(crate) async fn charge_from_now_on(
    tx: &mut TenantTx,
    id: PaymentMethodId,
) -> Result<(), Problem> {
    payment_methods::set_default(tx, id).await?;
    for invoice in invoices::open(tx).await? {
        account::collect(tx, invoice).await?;
    }
    Ok(())
}

/// Asks the provider whether a way to pay was confirmed.
pub(crate) async fn confirmed(
    app: &App,
    method: &Method,
    token: &Secret<String>,
) -> Result<SavedMethod, Problem> {
    let provider = app.providers.get(method.provider).ok_or_else(|| not_offered(&[]))?;
    Provider::confirm_method(provider.as_ref(), token).await.map_err(refused)
}
