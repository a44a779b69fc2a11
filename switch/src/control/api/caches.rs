//! Who asks about the hosts' own neighbor caches: as they are, as they change, and what is kept of that.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use trace::Loss;

use super::bodies::{self, answer};
use super::routes::{Context, Question, bad_words};
use crate::control::Quiet;
use crate::control::caches::CacheReader;

/// Lines that wait for a client.
const LINES: usize = 64;
/// How often a quiet watch looks whether anybody still wants it.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CachesQuestion {
    network: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordedQuestion {
    /// Only what was heard after this.
    #[serde(default)]
    since_unix_ns: u64,
}

/// `GET /v1/caches?network=...`
pub(super) async fn caches(State(context): State<Context>, question: Question<CachesQuestion>) -> Response {
    match question {
        Ok(question) => answer(context.switch, move |switch| switch.caches(question.0.network.as_deref())).await,
        Err(error) => bad_words(error),
    }
}

/// `GET /v1/caches/recorded?since_unix_ns=...`
pub(super) async fn recorded(State(context): State<Context>, question: Question<RecordedQuestion>) -> Response {
    match question {
        Ok(question) => answer(context.switch, move |switch| switch.recorded_caches(question.0.since_unix_ns)).await,
        Err(error) => bad_words(error),
    }
}

/// `GET /v1/caches/watch?network=...`
pub(super) async fn watch(State(context): State<Context>, question: Question<CachesQuestion>) -> Response {
    let network = match question {
        Ok(question) => question.0.network,
        Err(error) => return bad_words(error),
    };
    let (switch, stopped) = (context.switch, (*context.stopped).clone());
    // It looks into every namespace before it answers.
    let reader = tokio::task::spawn_blocking(move || switch.watch_caches(network.as_deref())).await;
    match reader {
        Ok(Ok(reader)) => {
            let (lines, queue) = mpsc::channel(LINES);
            tokio::task::spawn_blocking(move || feed(reader, &lines, &stopped));
            bodies::lines(queue)
        }
        Ok(Err(refused)) => bodies::fault(&refused),
        Err(_) => bodies::failed(),
    }
}

fn feed(mut reader: CacheReader, lines: &mpsc::Sender<Bytes>, stopped: &watch::Receiver<bool>) {
    while !lines.is_closed() && !*stopped.borrow() {
        let line = match reader.next(LOOK) {
            Ok(event) => serde_json::to_string(&event).ok().map(|line| line + "\n"),
            Err(Quiet::Timeout) => None,
            Err(Quiet::Ended) => return,
        };
        let loss = reader.loss().map(|lost| Loss { lost }.to_json_line());
        for line in line.into_iter().chain(loss) {
            if lines.blocking_send(line.into()).is_err() {
                return;
            }
        }
    }
}
