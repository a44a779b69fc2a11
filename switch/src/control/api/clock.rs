//! `/v1/clock/..`: the clock that a class may move.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;

use super::bodies::{answer, read};
use super::routes::{Context, Filter, Question, table};
use crate::control::Switch;
use crate::control::types::WarpSpec;

/// `GET /v1/clock?network=...`
pub(super) async fn clocks(State(context): State<Context>, filter: Question<Filter>) -> Response {
    table(context, filter, Switch::clocks).await
}

/// `POST /v1/clock/warp`
pub(super) async fn warp(State(context): State<Context>, body: Body) -> Response {
    match read::<WarpSpec>(body).await {
        Ok(WarpSpec { ms, network }) => {
            let by = Duration::from_millis(ms);
            answer(context.switch, move |switch| switch.warp_clock(by, network.as_deref())).await
        }
        Err(refusal) => *refusal,
    }
}
