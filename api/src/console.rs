//! The pages behind mailed links: a form each, no script. Opening one changes nothing; sending the form does.

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use domain::faults::Faults;
use domain::problem::ProblemKind;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;

use crate::app::App;
use crate::authorized::Anyone;
use crate::extract::{Wire, malformed_query};
use crate::problem::Problem;
use crate::routes::auth::email::{self, EarlierAccess, Proof};
use crate::routes::auth::password;
use crate::routes::invitations::{self, AcceptInvitation};

/// Inline style, and forms to ourselves; nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'";

/// What differs between the pages.
struct Page {
    title: &'static str,
    text: &'static str,
    action: &'static str,
    password_label: &'static str,
    autocomplete: &'static str,
    button: &'static str,
    /// Whether to ask if what was made before is to stay.
    asks_to_keep: bool,
    done: &'static str,
}

const ACCEPT_INVITATION: Page = Page {
    title: "Accept your invitation",
    text: "Choose a password. If your address has an account already, give its present password.",
    action: "/invitations/accept",
    password_label: "Password",
    autocomplete: "current-password",
    button: "Accept",
    asks_to_keep: false,
    done: "Welcome",
};

const VERIFY_EMAIL: Page = Page {
    title: "Confirm your address",
    text: "Choose the password that you will sign in with.",
    action: "/verify-email",
    password_label: "New password",
    autocomplete: "new-password",
    button: "Confirm",
    asks_to_keep: true,
    done: "Your address is confirmed",
};

const RESET_PASSWORD: Page = Page {
    title: "Choose a new password",
    text: "Every device that is signed in now will have to sign in again.",
    action: "/reset-password",
    password_label: "New password",
    autocomplete: "new-password",
    button: "Set password",
    asks_to_keep: false,
    done: "Your password is set",
};

#[derive(Template)]
#[template(path = "form.html")]
struct FormPage<'a> {
    page: &'a Page,
    token: &'a str,
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "done.html")]
struct DonePage<'a> {
    page: &'a Page,
}

/// The mailed link's query.
#[derive(Deserialize)]
pub(crate) struct Link {
    #[serde(default)]
    token: String,
}

/// The form's fields.
#[derive(Deserialize)]
pub(crate) struct Answers {
    token: String,
    password: String,
    /// The box "it was me who signed up": sent when ticked.
    keep_access: Option<String>,
}

type LinkQuery = Result<Query<Link>, QueryRejection>;
type AnswersForm = Result<Form<Answers>, FormRejection>;

fn token_of(link: LinkQuery) -> Result<String, Problem> {
    link.map(|Query(link)| link.token).map_err(|_| malformed_query())
}

fn answers_of(answers: AnswersForm) -> Result<Answers, Problem> {
    let malformed = |_| {
        Problem::new(
            ProblemKind::MalformedRequest,
            "The form could not be read; open the link again.",
        )
    };
    answers.map(|Form(answers)| answers).map_err(malformed)
}

pub(crate) async fn invitation_form(link: LinkQuery) -> Result<Response, Problem> {
    form(&ACCEPT_INVITATION, &token_of(link)?, None)
}

pub(crate) async fn verify_form(link: LinkQuery) -> Result<Response, Problem> {
    form(&VERIFY_EMAIL, &token_of(link)?, None)
}

pub(crate) async fn reset_form(link: LinkQuery) -> Result<Response, Problem> {
    form(&RESET_PASSWORD, &token_of(link)?, None)
}

pub(crate) async fn accept_invitation(
    State(app): State<App>,
    caller: Anyone,
    headers: HeaderMap,
    answers: AnswersForm,
) -> Result<Response, Problem> {
    let answers = answers_of(answers)?;
    let token = answers.token.clone();
    let wire = AcceptInvitation::of(answers.token, answers.password);
    let outcome = match wire.parse() {
        Ok(acceptance) => {
            invitations::accept_as(&app, &caller, &headers, acceptance).await.map(drop)
        }
        Err(faults) => Err(faults.into()),
    };
    answered(&ACCEPT_INVITATION, &token, outcome)
}

pub(crate) async fn verify_email(
    State(app): State<App>,
    caller: Anyone,
    headers: HeaderMap,
    answers: AnswersForm,
) -> Result<Response, Problem> {
    let answers = answers_of(answers)?;
    let earlier = EarlierAccess::kept(answers.keep_access.is_some());
    let outcome = match proof(&answers).map(|proof| Proof { earlier, ..proof }) {
        Ok(proof) => email::verify_as(&app, &caller, &headers, proof).await.map(drop),
        Err(faults) => Err(faults.into()),
    };
    answered(&VERIFY_EMAIL, &answers.token, outcome)
}

pub(crate) async fn reset_password(
    State(app): State<App>,
    caller: Anyone,
    headers: HeaderMap,
    answers: AnswersForm,
) -> Result<Response, Problem> {
    let answers = answers_of(answers)?;
    let outcome = match proof(&answers) {
        Ok(proof) => password::reset_as(&app, &caller, &headers, proof).await.map(drop),
        Err(faults) => Err(faults.into()),
    };
    answered(&RESET_PASSWORD, &answers.token, outcome)
}

fn proof(answers: &Answers) -> Result<Proof, Faults> {
    Proof::parse(&answers.token, answers.password.clone())
}

/// The page that says it is done, or the form again with what to mend.
fn answered(page: &Page, token: &str, outcome: Result<(), Problem>) -> Result<Response, Problem> {
    match outcome {
        Ok(()) => protected(StatusCode::OK, &DonePage { page }),
        Err(problem) if problem.is_ours() => Err(problem),
        Err(problem) => form(page, token, Some(problem)),
    }
}

fn form(page: &Page, token: &str, problem: Option<Problem>) -> Result<Response, Problem> {
    let status = problem.as_ref().map_or(StatusCode::OK, Problem::status);
    let problem = problem.map(|problem| problem.for_people());
    protected(status, &FormPage { page, token, problem })
}

/// The link's token is in the address: keep it out of caches and of what other sites are told.
fn protected(status: StatusCode, template: &impl Template) -> Result<Response, Problem> {
    let html = Html(template.render().map_err(Problem::internal)?);
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}
