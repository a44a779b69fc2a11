//! Why did a frame go nowhere? One table gives each reason its name, its sentence and its counter.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! drop_reasons {
    ($( $variant:ident $name:literal $sentence:literal )+) => {
        /// Why a frame was dropped. Every reason is a counter of its own.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum DropReason {
            $( #[doc = $sentence] $variant, )+
        }

        impl DropReason {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];
            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The reason's name in commands, JSON and counters.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }

            /// The reason in words, to follow "dropped: ".
            pub const fn sentence(self) -> &'static str {
                match self { $( Self::$variant => $sentence, )+ }
            }
        }
    };
}

drop_reasons! {
    // forwarding/admit
    Runt               "runt"                 "shorter than a 14-octet Ethernet header"
    Giant              "giant"                "larger than the MTU of the port it came in by"
    BadOffload         "bad-offload"          "its virtio-net header does not fit its octets"
    GroupSource        "group-source"         "its source is a group address, which no station can have"
    ZeroSource         "zero-source"          "its source is the zero address, which no station can have"
    GatewaySource      "gateway-source"       "its source is the gateway's own address"
    ReservedGroup      "reserved-group"       "addressed to a link-local group (01-80-C2-00-00-0x), which a bridge never forwards"
    // forwarding/guard
    SpoofedArp         "spoofed-arp"          "its ARP or neighbor discovery message claims an address that is not its port's"
    SpoofedIp          "spoofed-ip"           "its IP source is an address of this network, but not its port's"
    // forwarding/learn, on a guarded port
    SpoofedMac         "spoofed-mac"          "its source is the MAC address of another port"
    // forwarding/lookup, forwarding/flood
    SamePort           "same-port"            "its destination is on the port it came from"
    NoOtherPort        "no-other-port"        "no other port of the network is up"
    // forwarding/isolate, forwarding/route
    Isolated           "isolated"             "it is for another container, and this network keeps its containers apart (icc=false)"
    // forwarding/route
    NotRoutable        "not-routable"         "addressed to the gateway, but carries no IPv4 or ARP"
    BadIpHeader        "bad-ip-header"        "its IPv4 header is malformed or its checksum wrong"
    BadFragment        "bad-fragment"         "a fragment for the gateway that overlaps others or is one too many"
    NotUnicastIp       "not-unicast-ip"       "its IP destination is not one a router forwards (group, loopback, zero)"
    MartianSource      "martian-source"       "its IP source is not of the network it came from"
    NoRoute            "no-route"             "no route to its IP destination"
    NotPeered          "not-peered"           "its destination is on a network that is not peered with this one"
    TtlExpired         "ttl-expired"          "its time to live ran out at the gateway"
    TooManyPieces      "too-many-pieces"      "it would leave in more pieces than the gateway sends at once"
    TooBigToRoute      "too-big-to-route"     "too large for the next network and marked not to be fragmented"
    GatewayNoService   "gateway-no-service"   "addressed to the gateway itself, which only answers ping"
    // arp/resolver
    HostUnreachable    "host-unreachable"     "its next hop answered no ARP request"
    HeldQueueFull      "held-queue-full"      "too many frames already wait for that next hop's ARP reply"
    // switch/egress
    EgressFull         "egress-full"          "the queue of the port it should leave by is full"
    EgressRefused      "egress-refused"       "the kernel refused it at the port it should leave by, for its size or its headers"
    EgressDown         "egress-down"          "the port it should leave by has gone down"
    // switch/faults
    FaultInjected      "fault-injected"       "the port's line is bad on purpose: 'lanyard fault ls' says how"
}

impl DropReason {
    /// The reason's place among the counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The reason with this [`DropReason::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for DropReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_name_sentence_and_counter() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert_eq!(DropReason::from_name(reason.name()), Some(*reason));
            assert!(!reason.sentence().is_empty() && !reason.sentence().ends_with('.'));
        }
        assert_eq!(DropReason::from_name("bad luck"), None);
    }
}
