//! What do frames meet on their way out by a bad line? Each is copied, since it may leave later than the buffer that it
//! came in, twice, or changed.
//!
//! A frame that is late counts as sent when it goes under way, in its record; the port's counters count it when it leaves.

use frame::step::Injected;
use frame::{Batch, DropReason, PortId, Step};

use super::super::line::Way;
use super::super::tables::Snapshot;
use super::super::tracer::Tracing;
use super::{Egress, Lane, send_counted};

impl Egress {
    /// Is any line bad?
    pub(in crate::engine) const fn has_lines(&self) -> bool {
        self.bad_lines > 0
    }

    /// Count them anew.
    pub(in crate::engine) fn count_lines(&mut self) {
        self.bad_lines = self.slots.iter().flatten().filter(|slot| slot.line.is_some()).count();
    }

    /// When the next frame is through, on any bad line, nanoseconds.
    pub(in crate::engine) fn lines_due(&self) -> Option<u64> {
        if !self.has_lines() {
            return None;
        }
        self.slots.iter().flatten().filter_map(|slot| slot.line.as_ref()?.due()).min()
    }

    /// Send the picked frames by a bad line.
    #[cold]
    pub(super) fn send_by_bad_line(
        &mut self,
        port: PortId,
        lane: Lane,
        batch: &Batch,
        picks: &[u16],
        snapshot: &Snapshot,
        tracing: &mut Tracing,
    ) {
        let (now, nanos) = (self.clock.now(), self.clock.nanos());
        let Some(slot) = self.slots.get_mut(port.index()).and_then(Option::as_mut) else { return };
        let Some(open) = &mut slot.line else { return };
        let Some(network) = snapshot.port(port).map(|view| view.network) else { return };
        for index in picks {
            let frame = &batch[*index as usize];
            let fate = open.line.fate(Way::Out, network, port, frame, now);
            let met = open.outward.meet(frame, &fate, Some((lane, *index)), nanos);
            let overflowed = met.contains(&Injected::Overflowed);
            for what in met {
                tracing.add(lane, *index, Step::Faulted { port, what });
            }
            if overflowed {
                tracing.add(lane, *index, Step::NotSent { port, reason: DropReason::FaultInjected });
            } else if !fate.lost && !fate.is_prompt() {
                tracing.add(lane, *index, Step::Sent { port });
            }
        }
        self.send_through(port, snapshot, tracing);
    }

    /// Send what is through.
    pub(in crate::engine) fn send_through(&mut self, port: PortId, snapshot: &Snapshot, tracing: &mut Tracing) {
        let drops = snapshot.network_of(port).and_then(|view| view.tables.drops.of(self.worker));
        let Some(slot) = self.slots.get_mut(port.index()).and_then(Option::as_mut) else { return };
        let Some(mut open) = slot.line.take() else { return };
        loop {
            open.out.clear();
            let mut origins = Vec::new();
            while !open.out.is_full()
                && let Some(passed) = open.outward.next()
            {
                if !passed.lost {
                    origins.push(passed.origin);
                    open.out.push().into_iter().for_each(|frame| passed.write(frame));
                    continue;
                }
                if let Some(drops) = drops {
                    drops.add(DropReason::FaultInjected, 1);
                }
                if let Some(counts) = slot.counts.of(self.worker) {
                    counts.drops.add(1);
                }
                if let Some((lane, index)) = passed.origin {
                    tracing.add(lane, index, Step::NotSent { port, reason: DropReason::FaultInjected });
                }
            }
            if open.out.is_empty() {
                break;
            }
            let picks: Vec<u16> = (0..open.out.len() as u16).collect();
            let fault = send_counted(slot, self.worker, &open.out, &picks, &mut self.scratch, &mut self.lost, drops);
            for (place, (lane, index)) in
                origins.iter().enumerate().filter_map(|(place, origin)| Some((place, (*origin)?)))
            {
                let step = match self.lost.iter().find(|(at, _)| *at == place) {
                    Some((_, reason)) => Step::NotSent { port, reason: *reason },
                    None => Step::Sent { port },
                };
                tracing.add(lane, index, step);
            }
            self.failed.extend(fault.map(|error| (port, error)));
        }
        slot.line = Some(open);
    }
}
