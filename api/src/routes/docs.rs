//! Pages about problems: the text behind each `type` of a problem document.

use askama::Template;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{Html, IntoResponse, Response};
use domain::problem::ProblemKind;

use crate::problem::Problem;

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    kind: ProblemKind,
}

#[derive(Template)]
#[template(path = "problems.html")]
struct ProblemsPage {
    kinds: &'static [ProblemKind],
}

/// Every problem.
pub(crate) async fn problems() -> Result<Response, Problem> {
    page(&ProblemsPage { kinds: ProblemKind::ALL })
}

/// One problem.
pub(crate) async fn problem(
    slug: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(slug) = slug.map_err(|_| Problem::not_found())?;
    let kind = ProblemKind::ALL.iter().find(|kind| kind.slug() == slug);
    page(&ProblemPage { kind: *kind.ok_or_else(Problem::not_found)? })
}

fn page(template: &impl Template) -> Result<Response, Problem> {
    Ok(Html(template.render().map_err(Problem::internal)?).into_response())
}
