//! May a switch look at this frame at all? (IEEE 802.3 clause 3, IEEE 802.1Q 8.6)
//!
//! The first question about a frame, because the rest rely on the answer: an admitted frame has a whole
//! Ethernet header, a virtio-net header that fits its octets, a size that its network allows, and a source
//! that can be a station and is not the gateway.
//!
//! The MTU counts IP octets, so the Ethernet header and any VLAN tags come on top of it. A super-frame is
//! measured by its longest segment: that is what it becomes on a wire.
//!
//! Not done: whether the addresses are those its port was given; that is [`mod@crate::guard`]'s question. There is
//! no FCS to check: the kernel removes it.

use frame::ethernet::{EthernetHeader, HEADER_OCTETS, header_octets};
use frame::{DropReason, Frame, MacAddr};

/// What a network asks of the frames that come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdmitRules {
    /// The network's MTU: the most octets of an IP packet, without Ethernet header and tags.
    pub mtu_ip_octets: usize,
    /// Let 01-80-C2-00-00-00 to -0F pass, which a bridge keeps to itself (IEEE 802.1Q table 8-1): spanning tree,
    /// LACP, LLDP between containers.
    pub forward_reserved: bool,
    /// The gateway's own address, which no station may use as source. `None` at the gateway's own port.
    pub gateway: Option<MacAddr>,
}

/// Read the header of a frame that may go on; otherwise say why it is dropped.
///
/// # Errors
/// `Runt`, `BadOffload`, `Giant`, `GroupSource`, `ZeroSource`, `GatewaySource`, `ReservedGroup`: the first that
/// applies.
#[expect(clippy::inline_always, reason = "measured: with a second caller it is left as a call, of as much as it does")]
#[inline(always)]
pub fn admit(frame: &Frame, rules: &AdmitRules) -> Result<EthernetHeader, DropReason> {
    let header = EthernetHeader::read(frame.octets()).ok_or(DropReason::Runt)?;
    // Nearly every small frame: nothing left to do for it, and no tag could make it too large.
    if frame.len() > rules.mtu_ip_octets + HEADER_OCTETS || !frame.offload().is_finished() {
        check_size(frame, rules)?;
    }
    if header.source.is_group() {
        return Err(DropReason::GroupSource);
    }
    if header.source.is_zero() {
        return Err(DropReason::ZeroSource);
    }
    if rules.gateway == Some(header.source) {
        return Err(DropReason::GatewaySource);
    }
    if header.destination.is_reserved_group() && !rules.forward_reserved {
        return Err(DropReason::ReservedGroup);
    }
    Ok(header)
}

fn check_size(frame: &Frame, rules: &AdmitRules) -> Result<(), DropReason> {
    let octets = frame.octets();
    let offload = frame.offload();
    offload.check(octets).map_err(|_| DropReason::BadOffload)?;
    if offload.wire_octets(octets) > rules.mtu_ip_octets + header_octets(octets) {
        return Err(DropReason::Giant);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use frame::OffloadHeader;
    use frame::offload::GsoKind;

    const GATEWAY: MacAddr = MacAddr([0x02, 0x42, 10, 0, 0, 1]);
    const RULES: AdmitRules = AdmitRules { mtu_ip_octets: 1500, forward_reserved: false, gateway: Some(GATEWAY) };

    /// A frame from 02:42:0a:00:00:02 to 02:42:0a:00:00:03 with so many octets behind its header.
    fn octets(payload: usize) -> Vec<u8> {
        let mut octets = vec![2, 0x42, 10, 0, 0, 3, 2, 0x42, 10, 0, 0, 2, 0x88, 0xb5];
        octets.resize(14 + payload, 0x5a);
        octets
    }

    fn with_source(source: [u8; 6]) -> Vec<u8> {
        let mut octets = octets(46);
        octets[6..12].copy_from_slice(&source);
        octets
    }

    fn with_destination(destination: [u8; 6]) -> Vec<u8> {
        let mut octets = octets(46);
        octets[..6].copy_from_slice(&destination);
        octets
    }

    /// A TCP segment over IPv4 with this many payload octets, marked as super-frame of `segment` octets each.
    fn super_frame(payload: usize, segment: u16) -> Frame {
        let mut octets = octets(40 + payload);
        octets[12..14].copy_from_slice(&[8, 0]);
        let length = (40 + payload) as u16;
        octets[14..34].copy_from_slice(&[0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 3]);
        octets[16..18].copy_from_slice(&length.to_be_bytes());
        octets[34..54].copy_from_slice(&[0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
        let mut frame = Frame::empty();
        let offload = OffloadHeader {
            needs_checksum: true,
            gso: GsoKind::Tcp4,
            segment_octets: segment,
            checksum_start: 34,
            checksum_offset: 16,
            header_len: 54,
            ..OffloadHeader::NONE
        };
        frame.fill(&octets, offload);
        frame
    }

    #[test]
    fn refuses_each_for_its_reason() {
        let mut tagged = octets(1504);
        tagged[12..14].copy_from_slice(&[0x81, 0]);
        tagged.push(0);
        for (reason, octets) in [
            (DropReason::Runt, vec![]),
            (DropReason::Runt, octets(0)[..13].to_vec()),
            (DropReason::Giant, octets(1501)),
            (DropReason::Giant, tagged),
            (DropReason::GroupSource, with_source([0xff; 6])),
            (DropReason::GroupSource, with_source([0x33, 0x33, 0, 0, 0, 1])),
            (DropReason::ZeroSource, with_source([0; 6])),
            (DropReason::GatewaySource, with_source(GATEWAY.0)),
            (DropReason::ReservedGroup, with_destination([0x01, 0x80, 0xc2, 0, 0, 0])),
            (DropReason::ReservedGroup, with_destination([0x01, 0x80, 0xc2, 0, 0, 0x0e])),
        ] {
            assert_eq!(admit(&Frame::from_octets(&octets), &RULES), Err(reason), "{octets:02x?}");
        }
    }

    #[test]
    fn admits_what_is_just_allowed() {
        let mut tagged = octets(1504);
        tagged[12..14].copy_from_slice(&[0x81, 0]);
        for octets in [
            octets(0),
            octets(1500),
            tagged,
            with_destination([0xff; 6]),
            with_destination([0x01, 0x80, 0xc2, 0, 0, 0x10]),
            with_destination(GATEWAY.0),
        ] {
            let header = admit(&Frame::from_octets(&octets), &RULES).unwrap();
            assert_eq!(header.source, MacAddr([2, 0x42, 10, 0, 0, 2]));
        }
        let open = AdmitRules { forward_reserved: true, gateway: None, ..RULES };
        let reserved = Frame::from_octets(&with_destination([0x01, 0x80, 0xc2, 0, 0, 0]));
        assert!(admit(&reserved, &open).is_ok());
        assert!(admit(&Frame::from_octets(&with_source(GATEWAY.0)), &open).is_ok());
    }

    #[test]
    fn measures_a_super_frame_by_its_segment() {
        assert!(admit(&super_frame(60_000, 1460), &RULES).is_ok());
        assert_eq!(admit(&super_frame(60_000, 1461), &RULES), Err(DropReason::Giant));
    }

    #[test]
    fn refuses_a_virtio_net_header_that_does_not_fit() {
        let mut frame = Frame::from_octets(&octets(46));
        frame.set_offload(OffloadHeader {
            needs_checksum: true,
            checksum_start: 59,
            checksum_offset: 2,
            ..OffloadHeader::NONE
        });
        assert_eq!(admit(&frame, &RULES), Err(DropReason::BadOffload));
        frame.set_offload(OffloadHeader { gso: GsoKind::Other(3), ..OffloadHeader::NONE });
        assert_eq!(admit(&frame, &RULES), Err(DropReason::BadOffload));
    }
}
