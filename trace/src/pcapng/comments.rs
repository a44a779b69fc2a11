//! How is a decision told in comments? The words of one line first, then a sentence for each step, then what became of
//! the frame: Wireshark lists them at the packet, and `frame.comment contains "egress-full"` finds them.
//!
//! A drop reads `DROP: reason: sentence`, a copy that its port did not take `NOT SENT to port: reason: sentence`.

use crate::record::Record;
use crate::step::{StepRecord, VerdictRecord};
use crate::words;

/// Steps told one by one; a frame flooded to thousands of ports has thousands of steps.
pub const MAX_STEPS: usize = 48;

/// The comments of a record.
pub fn comments(record: &Record) -> Vec<String> {
    let mut comments = vec![acts(record)];
    if let Some(segment) = record.segment_octets {
        comments.push(format!(
            "super-frame: {} octets in one piece, {segment} octets of payload to each segment",
            record.octets
        ));
    }
    for (index, step) in record.steps.iter().take(MAX_STEPS).enumerate() {
        let told = words::sentence(record, step);
        let why = if told.why.is_empty() { String::new() } else { format!(" ({})", told.why) };
        comments.push(format!("{} {}: {}{why}", index + 1, told.name, told.fact));
    }
    if let Some(more @ 1..) = record.steps.len().checked_sub(MAX_STEPS) {
        comments.push(format!("and {more} more steps"));
    }
    // The reasons by their names, which is what somebody looks for.

    comments.extend(record.steps.iter().filter_map(not_sent).take(MAX_STEPS));
    comments.push(match &record.verdict {
        VerdictRecord::Drop { reason, sentence } => format!("DROP: {reason}: {sentence}"),
        _ => format!("= {}", words::verdict(record)),
    });
    comments
}

fn acts(record: &Record) -> String {
    let acts = words::acts(record);
    let acts = acts.iter().map(|act| format!("{} {}", act.word, act.rest).trim_end().to_owned());
    format!("#{} {}", record.number, acts.collect::<Vec<_>>().join(" | "))
}

fn not_sent(step: &StepRecord) -> Option<String> {
    match step {
        StepRecord::NotSent { port, reason, sentence } => Some(format!("NOT SENT to {port}: {reason}: {sentence}")),
        _ => None,
    }
}
