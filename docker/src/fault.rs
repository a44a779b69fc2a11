//! How is a refusal told, so that the user reads it? As a status and `{"Err": line}`.
//!
//! dockerd knows two forms. 200 with `Err` reads `remote: LINE`; any other status reads `NetworkDriver.METHOD: LINE`.
//! What the switch or the user's own words are the reason of goes the first way: the line speaks for itself, and the
//! name of a method tells the user nothing. What is wrong between dockerd and the driver (a body that cannot be read, a
//! deadline) goes the second way, where the method is the thing to know. 404 is for unknown methods alone: dockerd takes
//! it for "not implemented" and, for two methods, goes on as if all were well.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::fabric::Refusal;

/// Why a request is not done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The switch, or what the user wrote.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request is none of the protocol's.
    #[error("the request cannot be used: {0}")]
    Malformed(String),
    /// Nothing was sent. dockerd does so when it repeats a request whose connection broke: it has no body any more.
    #[error("the request is empty: the connection broke when it was first sent; do it again")]
    Empty,
    /// It is longer than the limit.
    #[error("the request is longer than {} MiB: publish fewer ports", .0 >> 20)]
    TooLong(usize),
    /// The body did not arrive.
    #[error("the request did not arrive in time")]
    Slow,
    /// Another verb than POST.
    #[error("'{0}' is asked for by POST")]
    Verb(String),
    /// No such method.
    #[error("lanyard has no method '{0}'")]
    Unknown(String),
    /// The switch took longer than it may.
    #[error("the switch did not answer in time: see lanyard's log")]
    Late,
    /// The switch panicked.
    #[error("the switch failed at this request: see lanyard's log")]
    Broken,
}

impl Fault {
    /// The status that goes with it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Refused(_) => StatusCode::OK,
            Self::Malformed(_) | Self::Empty => StatusCode::BAD_REQUEST,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Verb(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The document that tells it, in one line.
    pub(crate) fn document(&self) -> Value {
        json!({ "Err": self.to_string().replace(['\n', '\r'], " ") })
    }
}

/// A refusal that the driver itself speaks.
pub(crate) fn refuse<T>(line: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(line.into()))
}

/// A user's word in a sentence: without control characters, and not endless.
pub(crate) fn shown(word: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = word.chars().take(LONGEST).map(|c| if c.is_control() { '?' } else { c }).collect();
    if word.chars().nth(LONGEST).is_some() {
        shown.push_str("..");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line_in_band_and_404_means_no_such_method() {
        let refused = Fault::from(Refusal("no\nway\r".to_owned()));
        assert_eq!(refused.status(), StatusCode::OK);
        assert_eq!(refused.document(), json!({"Err": "no way "}));
        let others = [
            Fault::Malformed(String::new()),
            Fault::Empty,
            Fault::TooLong(8 << 20),
            Fault::Slow,
            Fault::Verb("/".into()),
            Fault::Late,
            Fault::Broken,
        ];
        for fault in others {
            assert!(!fault.status().is_success() && fault.status() != StatusCode::NOT_FOUND, "{fault}");
        }
        assert_eq!(Fault::Unknown(String::new()).status(), StatusCode::NOT_FOUND);
        assert!(Fault::TooLong(8 << 20).to_string().contains("8 MiB"));
    }

    #[test]
    fn a_shown_word_has_an_end_and_no_control_characters() {
        assert_eq!(shown("a\tb\u{1b}[1m"), "a?b?[1m");
        assert_eq!(shown(&"x".repeat(81)).len(), 82);
        assert_eq!(shown(&"x".repeat(80)).len(), 80);
    }
}
