//! How does a frame's story get out of the engine? As a small record, handed to whoever attached a sink; what the sink
//! has no room for is counted, never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam::channel::Sender;
use frame::{Frame, FrameNumber, Millis, NetworkId, PortId, Step, Verdict};
use trace::{RawRecord, Snap};

use super::egress::Lane;

/// Where the workers put their records.
#[derive(Clone)]
pub struct TraceSink {
    /// A bounded channel.
    pub records: Sender<RawRecord>,
    /// Records that found it full.
    pub lost: Arc<AtomicU64>,
    /// The last number given; frames are numbered from 1 in the order the workers took them up.
    pub last_number: Arc<AtomicU64>,
}

impl TraceSink {
    fn number(&self) -> FrameNumber {
        FrameNumber(self.last_number.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The record of a frame as it came in (`Some(port)`) or as the switch made it (`None`), without any step yet.
    pub(super) fn begin(&self, frame: &Frame, network: NetworkId, port: Option<PortId>, at: Millis) -> RawRecord {
        RawRecord {
            number: self.number(),
            at_unix_ns: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64),
            at,
            network,
            port,
            octets: frame.len() as u32,
            offload: frame.offload(),
            snap: Snap::of(frame.octets()),
            steps: Vec::with_capacity(8),
            verdict: Verdict::Consumed,
        }
    }

    /// Hand over what is finished.
    pub(super) fn deliver(&self, records: &mut Vec<RawRecord>) {
        for record in records.drain(..) {
            if self.records.try_send(record).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The records of the frames in hand, beside the batches they lie in.
#[derive(Default)]
pub(super) struct Tracing {
    pub(super) sink: Option<TraceSink>,
    /// One for each frame of the burst.
    pub(super) burst: Vec<RawRecord>,
    /// One for each frame the switch made and has not sent yet.
    pub(super) made: Vec<RawRecord>,
    /// Records of frames that have been sent, while the rest of their burst is still in hand.
    finished: Vec<RawRecord>,
}

impl Tracing {
    pub(super) fn is_on(&self) -> bool {
        self.sink.is_some()
    }

    /// Add a step to the record of a frame, if it is traced.
    pub(super) fn add(&mut self, lane: Lane, index: u16, step: Step) {
        let records = match lane {
            Lane::Burst => &mut self.burst,
            Lane::Made => &mut self.made,
        };
        if let Some(record) = records.get_mut(index as usize) {
            record.steps.push(step);
        }
    }

    /// The frames the switch made are sent, and their places will be used again.
    pub(super) fn made_are_sent(&mut self) {
        self.finished.append(&mut self.made);
    }

    /// The whole burst is sent: hand its records over, in the order of their numbers.
    pub(super) fn deliver(&mut self) {
        self.finished.append(&mut self.burst);
        self.finished.append(&mut self.made);
        if self.finished.is_empty() {
            return;
        }
        self.finished.sort_by_key(|record| record.number);
        match &self.sink {
            Some(sink) => sink.deliver(&mut self.finished),
            None => self.finished.clear(),
        }
    }
}
