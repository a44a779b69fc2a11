//! `/v1/faults`: lines that are bad on purpose.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;

use super::bodies::{answer, read};
use super::routes::{Context, Name, bad_words};
use crate::control::types::FaultSpec;

/// `GET /v1/faults`
pub(super) async fn list(State(context): State<Context>) -> Response {
    answer(context.switch, |switch| Ok(switch.faults())).await
}

/// `POST /v1/faults`
pub(super) async fn add(State(context): State<Context>, body: Body) -> Response {
    match read::<FaultSpec>(body).await {
        Ok(spec) => answer(context.switch, move |switch| switch.add_fault(&spec)).await,
        Err(refusal) => *refusal,
    }
}

/// `DELETE /v1/faults`
pub(super) async fn remove_all(State(context): State<Context>) -> Response {
    answer(context.switch, |switch| switch.remove_faults(None)).await
}

/// `DELETE /v1/faults/{number or port}`; a `/` in it is written `%2F`.
pub(super) async fn remove(State(context): State<Context>, which: Name) -> Response {
    match which {
        Ok(Path(which)) => answer(context.switch, move |switch| switch.remove_faults(Some(&which))).await,
        Err(error) => bad_words(error),
    }
}
