//! Who sends to whom? Streams of frames that differ in nothing but their two addresses, which are worked out before the
//! measurement: sending a frame is writing twelve octets.

use frame::{Frame, MacAddr, OffloadHeader, PortId};

/// IEEE 802 local experimental ether type 1: no step of the switch reads further.
const ETHER_TYPE: [u8; 2] = [0x88, 0xb5];
/// Addresses that are learned in one run.
const NEWCOMERS: u32 = 600_000;

/// Who sends to whom. The first port sends, the others receive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Traffic {
    /// Half of so many addresses behind one port to the other half behind another, in no order.
    Unicast(u32),
    /// Addresses that were never heard before, to one that is known.
    Learning,
    /// One host to all of so many others.
    Flood(u16),
}

impl Traffic {
    pub(crate) const ALL: [Self; 8] = [
        Self::Unicast(2),
        Self::Unicast(1_000),
        Self::Unicast(1_000_000),
        Self::Learning,
        Self::Flood(2),
        Self::Flood(8),
        Self::Flood(64),
        Self::Flood(256),
    ];

    pub(crate) fn words(self) -> String {
        match self {
            Self::Unicast(1_000_000) => "unicast, 1 M MACs".to_owned(),
            Self::Unicast(1_000) => "unicast, 1 K MACs".to_owned(),
            Self::Unicast(macs) => format!("unicast, {macs} MACs"),
            Self::Learning => "learning, every MAC new".to_owned(),
            Self::Flood(ports) => format!("flood to {ports} ports"),
        }
    }

    /// Frames that leave for each that comes in.
    pub(crate) const fn copies(self) -> u16 {
        match self {
            Self::Flood(ports) => ports,
            Self::Unicast(_) | Self::Learning => 1,
        }
    }

    pub(crate) const fn is_learning(self) -> bool {
        matches!(self, Self::Learning)
    }

    /// Frames in one run, where there can be no more.
    pub(crate) const fn most_frames(self, workers: u64) -> u64 {
        if self.is_learning() { NEWCOMERS as u64 / workers } else { u64::MAX }
    }

    /// Entries the table is made for.
    pub(crate) const fn capacity(self) -> usize {
        match self {
            Self::Unicast(1_000_000) | Self::Learning => 1 << 20,
            _ => forwarding::mac_table::DEFAULT_CAPACITY,
        }
    }

    /// The stations that the switch knows from the beginning.
    pub(crate) fn stations(self) -> impl Iterator<Item = (MacAddr, PortId)> {
        let half = match self {
            Self::Unicast(macs) => macs / 2,
            Self::Learning | Self::Flood(_) => 1,
        };
        let of_port = move |port: u16| (0..half).map(move |number| (station(port, number), PortId(port)));
        of_port(0).chain(of_port(1))
    }

    /// Destination and source of the frames of one worker, in turn.
    fn addresses(self, worker: usize, workers: usize) -> Vec<[u8; 12]> {
        match self {
            Self::Unicast(macs) => {
                // As many pairs as there are addresses, but enough that the order is not learned by a branch predictor.
                let (half, mut dice) = (macs / 2, Dice(worker as u64 + 1));
                let pair = |_| join(station(1, dice.below(half)), station(0, dice.below(half)));
                (0..macs.clamp(100_000, 1_000_000)).map(pair).collect()
            }
            Self::Learning => {
                let own = (0..NEWCOMERS).filter(|number| *number as usize % workers == worker);
                own.map(|number| join(station(1, 0), station(0, number + 1))).collect()
            }
            Self::Flood(_) => vec![join(MacAddr::BROADCAST, station(0, 0))],
        }
    }
}

/// Numbers in no order (`SplitMix64`), the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u64::from((z ^ z >> 31) as u32) * u64::from(limit)) >> 32) as u32
    }
}

/// A locally administered address, unique by port and number.
fn station(port: u16, number: u32) -> MacAddr {
    let [p0, p1] = port.to_be_bytes();
    let [_, n0, n1, n2] = number.to_be_bytes();
    MacAddr([0x02 | p0 << 4, p1, 0x42, n0, n1, n2])
}

fn join(to: MacAddr, from: MacAddr) -> [u8; 12] {
    let mut octets = [0; 12];
    octets[..6].copy_from_slice(&to.0);
    octets[6..].copy_from_slice(&from.0);
    octets
}

/// The frames of one worker.
pub(crate) struct Stream {
    addresses: Vec<[u8; 12]>,
    next: usize,
    template: Vec<u8>,
}

impl Stream {
    /// The frames of worker `worker` of `workers`, of so many octets without FCS.
    pub(crate) fn new(traffic: Traffic, octets: usize, worker: usize, workers: usize) -> Self {
        let mut template = vec![0; octets];
        template[12..14].copy_from_slice(&ETHER_TYPE);
        Self { addresses: traffic.addresses(worker, workers), next: 0, template }
    }

    /// The next frame. In a buffer that held one before, only its addresses are written.
    pub(crate) fn write(&mut self, frame: &mut Frame) {
        if frame.len() != self.template.len() {
            frame.fill(&self.template, OffloadHeader::NONE);
        }
        frame.octets_mut()[..12].copy_from_slice(&self.addresses[self.next]);
        self.next = if self.next + 1 == self.addresses.len() { 0 } else { self.next + 1 };
    }
}
