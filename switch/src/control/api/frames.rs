//! Who asks about frames: the trace, the recorder, the what-if, and why a row of the MAC table is there.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use trace::filter::Filter;

use super::bodies::{self, answer, refuse};
use super::routes::{Context, Question, bad_words};
use crate::control::Fault;
use crate::control::types::{ExplainSpec, RECORDS_FORGOTTEN, RECORDS_LOST};

/// Records that one answer holds unless fewer are asked for.
const MOST_RECORDS: usize = 65_536;
/// Octets of a question: 1,024 frames of the usual MTU, two digits an octet.
const QUESTION_OCTETS: usize = 4 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceQuestion {
    #[serde(default)]
    filter: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordsQuestion {
    #[serde(default)]
    filter: String,
    /// Only records after this number.
    #[serde(default)]
    since: u64,
    /// At most so many, the last ones.
    last: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhyQuestion {
    network: Option<String>,
    station: String,
}

fn read(filter: &str) -> Result<Filter, Fault> {
    Filter::parse(filter).map_err(|error| Fault::BadFilter(error.to_string()))
}

/// `GET /v1/trace?filter=...`
pub(super) async fn trace(State(context): State<Context>, question: Question<TraceQuestion>) -> Response {
    let question = match question {
        Ok(question) => question.0,
        Err(error) => return bad_words(error),
    };
    match read(&question.filter).and_then(|filter| context.switch.trace_only(&filter)) {
        Ok(reader) => bodies::trace(reader, (*context.stopped).clone()),
        Err(refused) => bodies::fault(&refused),
    }
}

/// `GET /v1/records?filter=...&since=N&last=N`. What is missing stands in the answer's head.
pub(super) async fn records(State(context): State<Context>, question: Question<RecordsQuestion>) -> Response {
    let RecordsQuestion { filter, since, last } = match question {
        Ok(question) => question.0,
        Err(error) => return bad_words(error),
    };
    let last = last.unwrap_or(MOST_RECORDS).min(MOST_RECORDS);
    let call = move || context.switch.records(&read(&filter)?, since, last);
    match tokio::task::spawn_blocking(call).await {
        Ok(Ok(recorded)) => {
            let missing =
                [(RECORDS_LOST, recorded.lost.to_string()), (RECORDS_FORGOTTEN, recorded.forgotten.to_string())];
            (missing, Json(recorded.records)).into_response()
        }
        Ok(Err(refused)) => bodies::fault(&refused),
        Err(_) => bodies::failed(),
    }
}

/// `GET /v1/why?station=...&network=...`
pub(super) async fn why(State(context): State<Context>, question: Question<WhyQuestion>) -> Response {
    match question {
        Ok(question) => {
            let WhyQuestion { network, station } = question.0;
            answer(context.switch, move |switch| switch.why(network.as_deref(), &station)).await
        }
        Err(error) => bad_words(error),
    }
}

/// `POST /v1/explain`
pub(super) async fn explain(State(context): State<Context>, body: Body) -> Response {
    match bodies::read_up_to::<ExplainSpec>(body, QUESTION_OCTETS).await {
        Ok(spec) if spec.frames.iter().any(|frame| frame.0.is_empty()) => {
            refuse(StatusCode::BAD_REQUEST, "a frame without octets is none")
        }
        Ok(spec) => answer(context.switch, move |switch| switch.explain(&spec)).await,
        Err(refusal) => *refusal,
    }
}
