//! What do frames meet on their way in by a bad line? A burst from such a port is taken apart here; what is through, at
//! once or later, is decided like any other.

use std::sync::Arc;
use std::time::Duration;

use frame::{DropReason, NetworkId, PortId, Step, Verdict};

use super::super::line::held::{OpenLine, Passed};
use super::super::line::{Line, Way};
use super::super::tracer;
use super::Worker;

impl Worker {
    /// The burst in hand came by a bad line.
    #[cold]
    pub(super) fn decide_bad_burst(&mut self, port: PortId) {
        let (now, nanos) = (self.shared.clock.now(), self.shared.clock.nanos());
        let network = self.network_of(port);
        if let Some(open) = self.egress.slot(port).and_then(|slot| slot.line.as_mut()) {
            for frame in &self.burst {
                let fate = open.line.fate(Way::In, network, port, frame, now);
                open.inward.meet(frame, &fate, None, nanos);
            }
        }
        self.decide_through(port);
    }

    fn network_of(&self, port: PortId) -> NetworkId {
        self.snapshot.port(port).map_or(NetworkId(0), |port| port.network)
    }

    /// Decide what is through, burst by burst.
    fn decide_through(&mut self, port: PortId) {
        loop {
            self.burst.clear();
            self.told.clear();
            while !self.burst.is_full() {
                let open = self.egress.slot(port).and_then(|slot| slot.line.as_mut());
                let Some(passed) = open.and_then(|open| open.inward.next()) else { break };
                let steps = passed.told.iter().map(|what| Step::Faulted { port, what: *what }).collect();
                if passed.lost {
                    self.lose(port, &passed, steps);
                } else if let Some(frame) = self.burst.push() {
                    passed.write(frame);
                    self.told.push(steps);
                }
            }
            if self.burst.is_empty() {
                self.told.clear();
                return self.tracing.deliver();
            }
            self.decide_burst(port);
        }
    }

    /// The line has lost a frame on its way in.
    fn lose(&mut self, port: PortId, passed: &Passed, steps: Vec<Step>) {
        let Some(view) = self.snapshot.network_of(port).map(Arc::clone) else { return };
        self.count_drop(&view, DropReason::FaultInjected);
        if let Some(counts) = self.egress.slot(port).and_then(|slot| slot.counts.of(self.index)) {
            counts.drops.add(1);
        }
        if self.tracing.is_on() {
            let mut frame = self.outbox.take_scratch();
            passed.write(&mut frame);
            let now = self.shared.clock.now();
            if let Some(mut record) = self.tracing.admit(view.id, Some(port), &frame, now) {
                let number = self.shared.lessons.number();
                tracer::begin(&mut record, number, &frame, view.id, Some(port), now);
                record.steps.extend(steps);
                record.verdict = Verdict::Drop(DropReason::FaultInjected);
                self.tracing.finish(record);
            }
            self.outbox.give_scratch_back(frame);
        }
    }

    /// A port's line has other faults from now on, or none. What is under way on one that is mended arrives at once.
    pub(super) fn set_line(&mut self, port: PortId, line: Arc<Line>) {
        let mended = line.0.is_empty();
        let Some(slot) = self.egress.slot(port) else { return };
        match &mut slot.line {
            Some(open) => open.line = line,
            None if mended => return,
            None => slot.line = Some(OpenLine::new(line)),
        }
        if mended {
            self.serve_line(port, u64::MAX);
        }
        self.egress.count_lines();
    }

    /// Frames that are through, on all bad lines.
    pub(super) fn serve_lines(&mut self) {
        if !self.egress.has_lines() {
            return;
        }
        for port in self.egress.ports() {
            if self.egress.slot(port).is_some_and(|slot| slot.line.is_some()) {
                self.serve_line(port, self.shared.clock.nanos());
            }
        }
        self.egress.count_lines();
    }

    /// Let those through that are due at `nanos`. A line whose faults have all ended is good again.
    fn serve_line(&mut self, port: PortId, nanos: u64) {
        let Some(open) = self.egress.slot(port).and_then(|slot| slot.line.as_mut()) else { return };
        open.inward.release(nanos);
        open.outward.release(nanos);
        self.decide_through(port);
        let snapshot = Arc::clone(&self.snapshot);
        self.egress.send_through(port, &snapshot, &mut self.tracing);
        self.close_failed();
        let now = self.shared.clock.now();
        if let Some(slot) = self.egress.slot(port)
            && slot.line.as_ref().is_some_and(|open| open.is_empty() && open.line.is_over(now))
        {
            slot.line = None;
        }
    }

    /// How long until a frame is through, on any bad line.
    pub(super) fn line_time_left(&mut self) -> Option<Duration> {
        let due = self.egress.lines_due()?;
        Some(Duration::from_nanos(due.saturating_sub(self.shared.clock.nanos())))
    }
}
