//! Is the gateway the router its head describes? Packets are built and read with etherparse, which knows
//! nothing of the code under test.

mod decision;
mod messages;
mod pieces;

use super::*;
use etherparse::{IpFragOffset, IpNumber, Ipv4Header, NetSlice, SlicedPacket, TransportSlice};

pub(super) const STATION: MacAddr = MacAddr([0x02, 0x42, 10, 0, 1, 2]);
pub(super) const GATEWAY: MacAddr = MacAddr([0x02, 0x42, 10, 0, 1, 1]);

/// A packet to be varied.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) header: Ipv4Header,
    pub(super) payload: Vec<u8>,
}

impl Sample {
    pub(super) fn new(source: [u8; 4], destination: [u8; 4], protocol: u8, payload: &[u8]) -> Self {
        let len = payload.len() as u16;
        let mut header = Ipv4Header::new(len, 64, IpNumber(protocol), source, destination).unwrap();
        (header.dont_fragment, header.identification) = (false, 0x1c46);
        Self { header, payload: payload.to_vec() }
    }

    /// A UDP datagram from 10.0.1.2 with this much data.
    pub(super) fn udp(destination: [u8; 4], data: usize) -> Self {
        let mut payload = vec![0x30, 0x39, 0x82, 0x9a];
        payload.extend((8 + data as u16).to_be_bytes());
        payload.extend([0, 0]);
        payload.extend((0..data).map(|at| at as u8));
        Self::new([10, 0, 1, 2], destination, 17, &payload)
    }

    /// An ICMP message from 10.0.1.2, checksum included.
    pub(super) fn icmp(destination: [u8; 4], icmp_type: u8, data: usize) -> Self {
        let mut payload = vec![icmp_type, 0, 0, 0, 0x12, 0x34, 0, 1];
        payload.extend((0..data).map(|at| (at % 251) as u8));
        let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&payload).ones_complement();
        payload[2..4].copy_from_slice(&sum.to_ne_bytes());
        Self::new([10, 0, 1, 2], destination, 1, &payload)
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Ipv4Header)) -> Self {
        change(&mut self.header);
        self
    }

    pub(super) fn frame(&self) -> Frame {
        let mut header = self.header.clone();
        header.total_len = (header.header_len() + self.payload.len()) as u16;
        header.header_checksum = header.calc_header_checksum();
        let mut octets = [&GATEWAY.0[..], &STATION.0, &[8, 0]].concat();
        header.write_raw(&mut octets).unwrap();
        octets.extend(&self.payload);
        Frame::from_octets(&octets)
    }
}

/// Read a frame back: header, options and payload. Its IPv4 checksum has to be right.
pub(super) fn read(frame: &Frame) -> Sample {
    let (header, payload) = Ipv4Header::from_slice(&frame.octets()[14..]).unwrap();
    assert_eq!(header.calc_header_checksum(), header.header_checksum);
    let payload = payload[..usize::from(header.total_len) - header.header_len()].to_vec();
    Sample { header, payload }
}

pub(super) fn offset(octets: u16) -> IpFragOffset {
    IpFragOffset::try_new(octets / 8).unwrap()
}

pub(super) fn routes() -> RouteTable<NextNetwork> {
    let next = |network, gateway: Option<&str>, mtu, own: &str| NextNetwork {
        network: NetworkId(network),
        gateway: gateway.map(|address| address.parse().unwrap()),
        mtu,
        gateway_ip: Some(own.parse().unwrap()),
    };
    [
        ("10.0.1.0/24", next(1, None, 1500, "10.0.1.1")),
        ("10.0.2.0/24", next(2, None, 1500, "10.0.2.1")),
        ("10.0.3.0/24", next(3, None, 1500, "10.0.3.1")),
        ("10.0.4.0/24", next(4, None, 576, "10.0.4.1")),
        ("192.168.0.0/16", next(2, Some("10.0.2.9"), 1500, "10.0.2.1")),
    ]
    .into_iter()
    .map(|(prefix, next)| (prefix.parse().unwrap(), next))
    .collect()
}

/// What the gateway of network 1, which may talk to 2 and 4, decides.
pub(super) fn decide(frame: &Frame) -> RouteDecision {
    decide_for(frame, false)
}

/// The same, where the network's endpoints are kept apart.
pub(super) fn decide_isolated(frame: &Frame) -> RouteDecision {
    decide_for(frame, true)
}

fn decide_for(frame: &Frame, isolated: bool) -> RouteDecision {
    route(
        frame,
        &Gateway {
            network: NetworkId(1),
            subnet: "10.0.1.0/24".parse().unwrap(),
            address: Ipv4Addr::new(10, 0, 1, 1),
            routes: &routes(),
            peers: &[NetworkId(2), NetworkId(4)],
            isolated,
        },
    )
}

#[test]
fn the_samples_are_what_they_say() {
    let frame = Sample::icmp([10, 0, 1, 1], 8, 5).frame();
    let sliced = SlicedPacket::from_ethernet(frame.octets()).unwrap();
    assert!(matches!(sliced.net, Some(NetSlice::Ipv4(_))));
    let Some(TransportSlice::Icmpv4(icmp)) = sliced.transport else { panic!("no ICMP") };
    assert!(icmp.icmp_type().calc_checksum(icmp.payload()) == icmp.checksum());
}
