//! What of the daemon's recorder has been asked for, and what of it is missing? Frames that the recorder lost stand between the
//! records ([`Record::lost`]); what it has no longer is told in a line of its own.
//!
//! Not done: more than [`MOST`] records at once.

use switch::control::types::{RECORDS_FORGOTTEN, RECORDS_LOST};
use trace::Record;

use crate::client::Answer;
use crate::failure::Failure;

/// Records that one answer holds at most.
pub(crate) const MOST: u64 = 65_536;

/// The last frames that the daemon recorded.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// Oldest first. What each says was lost, was lost since the first of them; or since the recorder's start, where all that
    /// it has was asked for.
    pub(crate) records: Vec<Record>,
    /// What was lost, counted in the same way, by now.
    pub(crate) lost: u64,
    /// Older records that were asked for too, and are kept no more: so many may be missing.
    pub(crate) forgotten: u64,
}

impl Recorded {
    /// What the daemon answered to who asked for the last `wanted` records.
    ///
    /// # Errors
    /// As [`Answer::read`].
    pub(crate) fn read(answer: &Answer, wanted: u64) -> Result<Self, Failure> {
        let mut records: Vec<Record> = answer.read()?;
        let is_short = (records.len() as u64) < wanted;
        let before = if is_short { 0 } else { records.iter().map(|record| record.lost).min().unwrap_or(0) };
        for record in &mut records {
            record.lost -= before;
        }
        let lost = answer.count(RECORDS_LOST).saturating_sub(before);
        Ok(Self { records, lost, forgotten: if is_short { answer.count(RECORDS_FORGOTTEN) } else { 0 } })
    }

    /// The line for who asked for more than there is.
    pub(crate) fn notice(&self) -> Option<String> {
        let (are, them) = if self.forgotten == 1 { ("frame is", "it") } else { ("frames are", "them") };
        (self.forgotten > 0).then(|| {
            format!(
                "{} older {are} kept no more, and what you asked for may be among {them}: 'run --record N' says how many are kept",
                self.forgotten
            )
        })
    }

    /// Tell it on standard error.
    pub(crate) fn tell(&self) {
        if let Some(notice) = self.notice() {
            eprintln!("lanyard: {notice}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(lost: u64) -> String {
        format!(
            r#"{{"number": 1, "at_unix_ns": 0, "at_ms": 0, "network": "blue", "port": "h1", "octets": 60,
            "segment_octets": null, "source": null, "source_name": null, "destination": null, "destination_name": null,
            "summary": "", "steps": [], "verdict": {{"kind": "held"}}, "egress": [], "lost": {lost}}}"#
        )
    }

    fn read(lost: &[u64], wanted: u64) -> (Vec<u64>, u64, u64) {
        let lines: Vec<String> = lost.iter().map(|lost| line(*lost)).collect();
        let text = format!("[{}]", lines.join(",")).leak();
        let answer = Answer::of(text, &[("lanyard-lost", "9"), ("lanyard-forgotten", "4")]);
        let recorded = Recorded::read(&answer, wanted).unwrap();
        (recorded.records.iter().map(|record| record.lost).collect(), recorded.lost, recorded.forgotten)
    }

    #[test]
    fn losses_count_from_where_the_asker_looks() {
        assert_eq!(read(&[5, 5, 7], 3), (vec![0, 0, 2], 4, 0), "what was lost before is not asked for");
        assert_eq!(read(&[5, 5, 7], 4), (vec![5, 5, 7], 9, 4), "all that there is was asked for");
        assert_eq!(read(&[], 1), (vec![], 9, 4));
    }

    #[test]
    fn what_is_kept_no_more_is_told() {
        let notice = |forgotten| Recorded { records: Vec::new(), lost: 0, forgotten }.notice();
        assert_eq!(notice(0), None);
        assert!(notice(1).unwrap().starts_with("1 older frame is kept no more"));
        assert!(notice(7).unwrap().starts_with("7 older frames are kept no more"));
    }
}
