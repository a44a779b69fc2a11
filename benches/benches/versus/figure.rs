//! What is a figure? Its name, its unit, which way is better; and the works that yield them.

/// Which way is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// One thing that is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Figure {
    Tcp1,
    Tcp4,
    Udp,
    UdpLost,
    Frames,
    FramesSent,
    RoundTripP50,
    RoundTripP99,
    Tcp1SwitchCpu,
    Tcp1MachineCpu,
    Tcp4SwitchCpu,
    Tcp4MachineCpu,
    UdpSwitchCpu,
    UdpMachineCpu,
    IdleCpu,
}

/// How a figure is shown.
pub(crate) struct About {
    /// In JSON.
    pub(crate) key: &'static str,
    /// Over a column: two lines.
    pub(crate) head: [&'static str; 2],
    /// In a sentence.
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) digits: usize,
    /// `None` where it is neither: what was offered.
    pub(crate) better: Option<Better>,
    /// Is there a ratio to the bridge?
    pub(crate) ratio: bool,
}

impl Figure {
    pub(crate) const ALL: [Self; 15] = [
        Self::Tcp1,
        Self::Tcp4,
        Self::Udp,
        Self::UdpLost,
        Self::Frames,
        Self::FramesSent,
        Self::RoundTripP50,
        Self::RoundTripP99,
        Self::Tcp1SwitchCpu,
        Self::Tcp1MachineCpu,
        Self::Tcp4SwitchCpu,
        Self::Tcp4MachineCpu,
        Self::UdpSwitchCpu,
        Self::UdpMachineCpu,
        Self::IdleCpu,
    ];

    /// How it is shown.
    pub(crate) const fn about(self) -> About {
        use Better::{Higher, Lower};
        match self {
            Self::Tcp1 => compared("tcp_1", ["TCP 1", "Gb/s"], "TCP, 1 stream", "Gb/s", 2, Higher),
            Self::Tcp4 => compared("tcp_4", ["TCP 4", "Gb/s"], "TCP, 4 streams", "Gb/s", 2, Higher),
            Self::Udp => compared("udp", ["UDP", "Gb/s"], "UDP, 1,400 octets, received", "Gb/s", 2, Higher),
            Self::UdpLost => alone("udp_lost", ["UDP", "lost %"], "UDP, lost", "%", 0, Some(Lower)),
            Self::Frames => {
                compared("frames", ["60 octets", "k/s"], "60-octet frames, received", "kframes/s", 0, Higher)
            }
            Self::FramesSent => {
                alone("frames_sent", ["(offered", "k/s)"], "60-octet frames, offered", "kframes/s", 0, None)
            }
            Self::RoundTripP50 => compared("rtt_p50", ["RTT p50", "us"], "TCP round trip, p50", "us", 0, Lower),
            Self::RoundTripP99 => compared("rtt_p99", ["RTT p99", "us"], "TCP round trip, p99", "us", 0, Lower),
            Self::Tcp1SwitchCpu => {
                switch("tcp_1_switch_cpu", ["CPU TCP 1", "sw s/GB"], "CPU of the switch, TCP, 1 stream")
            }
            Self::Tcp1MachineCpu => {
                machine("tcp_1_machine_cpu", ["CPU TCP 1", "all s/GB"], "CPU in all, TCP, 1 stream")
            }
            Self::Tcp4SwitchCpu => {
                switch("tcp_4_switch_cpu", ["CPU TCP 4", "sw s/GB"], "CPU of the switch, TCP, 4 streams")
            }
            Self::Tcp4MachineCpu => {
                machine("tcp_4_machine_cpu", ["CPU TCP 4", "all s/GB"], "CPU in all, TCP, 4 streams")
            }
            Self::UdpSwitchCpu => switch("udp_switch_cpu", ["CPU UDP", "sw s/GB"], "CPU of the switch, UDP"),
            Self::UdpMachineCpu => machine("udp_machine_cpu", ["CPU UDP", "all s/GB"], "CPU in all, UDP"),
            Self::IdleCpu => {
                alone("idle_cpu", ["idle", "% core"], "CPU of the switch, no traffic", "% of a core", 2, Some(Lower))
            }
        }
    }

    /// Those that the short tables and the picture of the README's kind show.
    pub(crate) fn main() -> impl Iterator<Item = Self> {
        [
            Self::Tcp1,
            Self::Tcp4,
            Self::Udp,
            Self::Frames,
            Self::RoundTripP50,
            Self::RoundTripP99,
            Self::Tcp1MachineCpu,
            Self::Tcp4MachineCpu,
        ]
        .into_iter()
    }
}

type Head = [&'static str; 2];

const fn compared(
    key: &'static str,
    head: Head,
    title: &'static str,
    unit: &'static str,
    digits: usize,
    better: Better,
) -> About {
    About { key, head, title, unit, digits, better: Some(better), ratio: true }
}

const fn alone(
    key: &'static str,
    head: Head,
    title: &'static str,
    unit: &'static str,
    digits: usize,
    better: Option<Better>,
) -> About {
    About { key, head, title, unit, digits, better, ratio: false }
}

/// A bridge has no threads of its own to compare with.
const fn switch(key: &'static str, head: Head, title: &'static str) -> About {
    alone(key, head, title, "s/GB", 2, Some(Better::Lower))
}

const fn machine(key: &'static str, head: Head, title: &'static str) -> About {
    compared(key, head, title, "s/GB", 2, Better::Lower)
}
