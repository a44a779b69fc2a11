//! Who said what to whom, and what did the switch make of it? A sequence ("ladder") diagram of traced frames: one lane
//! for each port and one for the switch, and every frame from the lane it came in by to the lanes that got it.
//!
//! | file | the question |
//! | --- | --- |
//! | `mod.rs` | what stands in a diagram? |
//! | `told.rs` | what of a decision record does? |
//! | `packets.rs` | what of a capture does? |
//! | `lanes.rs` | in which order do the lanes stand, and which share one when there are many? |
//! | `text.rs` | how is text made to fit and to do no harm? |
//! | `svg.rs`, `bands.rs` | how is it drawn? SVG 1.1, which every browser shows and every printer prints |
//! | `txt.rs` | how does it stand on a terminal of 80 columns? |
//! | `mermaid.rs` | how is it said to Mermaid, for a page that draws it by itself? |
//! | `html.rs` | how is it one page that opens offline? |
//!
//! The same records make the same octets, always: no clock is read, no hash map walked.
//!
//! Not done: more than one lane for the switch (gateways of several networks are the same lane).

mod bands;
mod html;
mod lanes;
mod mermaid;
mod packets;
mod svg;
mod text;
mod told;
mod txt;

use serde::{Deserialize, Serialize};

use crate::words::Tone;
use told::Told;

pub use html::html;
pub use mermaid::mermaid;
pub use packets::{Captured, captured};
pub use svg::svg;
pub use txt::txt;

use crate::record::Record;

/// One vertical line of the diagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lane {
    /// The network; empty for the switch, and where no network is known.
    pub network: String,
    /// The port's name: its endpoint's.
    pub name: String,
    /// How many ports share the lane because there are too many for lanes of their own; 1 as a rule.
    pub ports: usize,
}

/// Something is known of the neighbor cache of a host's own kernel: an entry changed its state. Its JSON form has these
/// keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CacheChange {
    /// When: nanoseconds since 1970-01-01 UTC.
    pub at_unix_ns: u64,
    /// The network of the endpoint.
    pub network: String,
    /// The endpoint whose cache it is.
    pub endpoint: String,
    /// The neighbor.
    pub ip: std::net::IpAddr,
    /// The state before, in RFC 4861's names (7.3.2); empty when there was no entry.
    pub state_before: String,
    /// The state afterwards; empty when the entry has gone.
    pub state_after: String,
}

/// A few words in a box on a lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The words.
    pub text: String,
    /// What kind of news they are.
    pub tone: Tone,
}

/// One copy of a frame that the switch made for a lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copy {
    /// The lane's place in [`Ladder::lanes`].
    pub lane: usize,
    /// How many ports of that lane took it.
    pub taken: usize,
    /// How many did not, and why one of them did not; `None` where all took it.
    pub refused: Option<(usize, String)>,
}

/// One frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its number in every view.
    pub number: u64,
    /// When it came, nanoseconds after the first event of the diagram.
    pub since_ns: u64,
    /// The lane it came from; `None` when the switch made it.
    pub from: Option<usize>,
    /// What it says.
    pub summary: String,
    /// What the switch made of it.
    pub notes: Vec<Note>,
    /// Where copies went; empty where none did.
    pub copies: Vec<Copy>,
    /// Did it go to everybody?
    pub flooded: bool,
    /// The drop reason in words, if it went nowhere.
    pub dropped: Option<String>,
    /// The verdict as a sentence.
    pub verdict: String,
    /// Every step: its name, what happened, and why a switch does that.
    pub steps: Vec<(String, String, String)>,
}

/// What happened at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A frame came, or the switch made one.
    Frame(Box<Frame>),
    /// A neighbor cache changed.
    Cache {
        /// When, nanoseconds after the first event.
        since_ns: u64,
        /// Whose: the place in [`Ladder::lanes`].
        lane: usize,
        /// The change in words.
        text: String,
    },
    /// Frames are missing here: the trace lost them.
    Lost(u64),
}

/// A diagram: lanes from left to right, events from top to bottom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ladder {
    /// The lanes, the switch's among them.
    pub lanes: Vec<Lane>,
    /// The switch's place in [`Ladder::lanes`].
    pub switch: usize,
    /// What happened, oldest first.
    pub events: Vec<Event>,
    told: Vec<Told>,
    caches: Vec<CacheChange>,
    losses: Option<(u64, u64)>,
}

/// The most hosts that get a lane of their own in a picture; those that say least share one beyond that.
pub const MOST_LANES: usize = 14;

impl Ladder {
    /// The diagram of these records, with what is known of the hosts' neighbor caches, each in order of time.
    pub fn new(records: &[Record], caches: &[CacheChange]) -> Self {
        Self::of(records.iter().map(Told::of).collect(), caches.to_vec(), None, MOST_LANES)
    }

    /// The diagram of frames out of a capture ([`captured`]), with what is known of the hosts' neighbor caches.
    pub fn from_captured(frames: &[Captured], caches: &[CacheChange]) -> Self {
        Self::of(frames.iter().map(Captured::told).collect(), caches.to_vec(), None, MOST_LANES)
    }

    /// The same diagram for somebody who knows how many frames the trace had lost before the first record, and in the
    /// end: what was lost at either end is told as well. Without, only what was lost between two records is known.
    #[must_use]
    pub fn with_losses(self, before: u64, after: u64) -> Self {
        Self::of(self.told, self.caches, Some((before, after)), MOST_LANES)
    }

    /// The same events on at most `most` lanes of hosts, and one more for all the others.
    pub(crate) fn folded(&self, most: usize) -> Self {
        Self::of(self.told.clone(), self.caches.clone(), self.losses, most)
    }

    fn of(mut told: Vec<Told>, mut caches: Vec<CacheChange>, losses: Option<(u64, u64)>, most: usize) -> Self {
        told.sort_by_key(|told| (told.at_unix_ns, told.number));
        caches.sort_by_key(|change| change.at_unix_ns);
        let order = lanes::order(&told, &caches, most);
        let events = events(&told, &caches, losses, &order);
        Self { lanes: order.lanes, switch: order.switch, events, told, caches, losses }
    }

    /// Do the lanes belong to more than one network?
    pub fn networks(&self) -> Vec<&str> {
        let mut networks: Vec<&str> = Vec::new();
        for (index, lane) in self.lanes.iter().enumerate() {
            if index != self.switch && !networks.contains(&lane.network.as_str()) {
                networks.push(&lane.network);
            }
        }
        networks
    }

    /// How many frames stand in it.
    pub fn frames(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Frame(_))).count()
    }
}

/// Frames and cache changes in order of time; at the same time, frames first.
fn events(told: &[Told], caches: &[CacheChange], losses: Option<(u64, u64)>, order: &lanes::Order) -> Vec<Event> {
    let first = told.first().map(|told| told.at_unix_ns);
    let start = first.into_iter().chain(caches.first().map(|change| change.at_unix_ns)).min().unwrap_or(0);
    let (mut events, mut caches) = (Vec::new(), caches.iter().peekable());
    let (mut lost, end) = losses.unwrap_or_else(|| (told.iter().map(|told| told.lost).min().unwrap_or(0), 0));
    for told in told {
        while let Some(change) = caches.next_if(|change| change.at_unix_ns < told.at_unix_ns) {
            events.push(cache_event(change, order, start));
        }
        if told.lost > lost {
            events.push(Event::Lost(told.lost - lost));
            lost = told.lost;
        }
        events.push(Event::Frame(Box::new(told.frame(order, start))));
    }
    events.extend(caches.map(|change| cache_event(change, order, start)));
    if end > lost {
        events.push(Event::Lost(end - lost));
    }
    events
}

fn cache_event(change: &CacheChange, order: &lanes::Order, start: u64) -> Event {
    let state = |state: &str| if state.is_empty() { "no entry".to_owned() } else { state.to_owned() };
    let (before, after) = (state(&change.state_before), state(&change.state_after));
    Event::Cache {
        since_ns: change.at_unix_ns - start,
        lane: order.lane(&change.network, &change.endpoint),
        text: format!("{} {before} \u{2192} {after}", change.ip),
    }
}
