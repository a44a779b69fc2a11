//! Which work does an interface leave to hardware it does not have, and how fast does it say it is? `SIOCETHTOOL` in
//! the calling thread's namespace (linux/ethtool.h, linux/sockios.h); enter another one with
//! [`crate::netns::Namespace::enter`].
//!
//! Not done: the netlink form of ethtool (Linux 5.6), which can do no more of what is needed here; rings, statistics.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::link::check_name;

/// linux/sockios.h
const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETHTOOL_SCHANNELS: u32 = 0x3d;
const ETHTOOL_GLINKSETTINGS: u32 = 0x4c;
const ETHTOOL_SLINKSETTINGS: u32 = 0x4d;
const DUPLEX_FULL: u8 = 1;
const AUTONEG_DISABLE: u8 = 0;
/// `enum ethtool_stringset`: the names of features.
const ETH_SS_FEATURES: u32 = 4;
/// `ETH_GSTRING_LEN`: octets of one name, padded with zeros.
const NAME_OCTETS: usize = 32;
/// Names of features with room to spare: Linux 6.18 has 64.
const MOST_FEATURES: usize = 256;

/// One offload: its name, the request that reads it and the one that sets it.
struct Offload {
    name: &'static str,
    get: u32,
    set: u32,
}

const RECEIVE: Offload = Offload { name: "generic receive offload", get: 0x2b, set: 0x2c };

/// In the order in which one depends on the next: segmentation needs the checksum and scatter-gather.
const OFFLOADS: [Offload; 5] = [
    RECEIVE,
    Offload { name: "TCP segmentation", get: 0x1e, set: 0x1f },
    Offload { name: "generic segmentation", get: 0x23, set: 0x24 },
    Offload { name: "scatter-gather", get: 0x18, set: 0x19 },
    Offload { name: "transmit checksum", get: 0x16, set: 0x17 },
];

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Words of one link mode mask with room to spare: Linux 6.x uses 4.
const MASK_WORDS: usize = 127;

/// `struct ethtool_link_settings` with its three masks behind it.
#[repr(C)]
struct LinkSettings {
    command: u32,
    speed: u32,
    duplex: u8,
    port: u8,
    phy_address: u8,
    autoneg: u8,
    mdio_support: u8,
    eth_tp_mdix: u8,
    eth_tp_mdix_ctrl: u8,
    mask_words: i8,
    transceiver: u8,
    master_slave_cfg: u8,
    master_slave_state: u8,
    rate_matching: u8,
    reserved: [u32; 7],
    masks: [u32; 3 * MASK_WORDS],
}

const _: () = assert!(mem::offset_of!(LinkSettings, masks) == 48);

/// `struct ethtool_sset_info` for one set.
#[repr(C)]
struct SetInfo {
    command: u32,
    reserved: u32,
    mask: u64,
    count: u32,
}

/// `struct ethtool_gstrings` with room behind it.
#[repr(C)]
struct Strings {
    command: u32,
    set: u32,
    count: u32,
    names: [[u8; NAME_OCTETS]; MOST_FEATURES],
}

/// `struct ethtool_sfeatures` with its blocks behind it: which features are meant, and which of them are wanted.
#[repr(C)]
struct Features {
    command: u32,
    blocks: u32,
    valid_and_wanted: [[u32; 2]; MOST_FEATURES / 32],
}

/// `struct ethtool_channels`: how many queues there can be, and are.
#[repr(C)]
struct Channels {
    command: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

impl LinkSettings {
    fn new(command: u32, mask_words: i8) -> Self {
        Self {
            command,
            speed: 0,
            duplex: 0,
            port: 0,
            phy_address: 0,
            autoneg: 0,
            mdio_support: 0,
            eth_tp_mdix: 0,
            eth_tp_mdix_ctrl: 0,
            mask_words,
            transceiver: 0,
            master_slave_cfg: 0,
            master_slave_state: 0,
            rate_matching: 0,
            reserved: [0; 7],
            masks: [0; 3 * MASK_WORDS],
        }
    }
}

/// What the kernel may be handed: plain C structures in which every bit pattern is a value, and which begin with a
/// command that is one of those this file knows to fit them.
trait Request {}
impl Request for Value {}
impl Request for LinkSettings {}
impl Request for SetInfo {}
impl Request for Strings {}
impl Request for Features {}
impl Request for Channels {}

/// A request to one interface.
struct Device<'a> {
    name: &'a str,
    socket: OwnedFd,
}

impl<'a> Device<'a> {
    fn open(name: &'a str) -> io::Result<Self> {
        check_name(name).map_err(|bad| io::Error::new(io::ErrorKind::InvalidInput, bad))?;
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        Ok(Self { name, socket: socket.into() })
    }

    fn call<R: Request>(&self, request: &mut R) -> io::Result<()> {
        // SAFETY: `ifreq` is a plain C structure of integers and a union of such; all zeros is a value of it.
        let mut ifreq: libc::ifreq = unsafe { mem::zeroed() };
        for (to, from) in ifreq.ifr_name.iter_mut().zip(self.name.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        ifreq.ifr_ifru.ifru_data = std::ptr::from_mut(request).cast();
        // SAFETY: the name is NUL-terminated (it was checked to be shorter than the array), and `ifru_data` points to a
        // structure of the command's own layout, mutably borrowed for the whole call.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &raw mut ifreq) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn is_on(&self, offload: &Offload) -> io::Result<bool> {
        let mut value = Value { command: offload.get, data: 0 };
        self.call(&mut value)?;
        Ok(value.data != 0)
    }

    fn turn(&self, offload: &Offload, on: bool) -> io::Result<()> {
        if self.is_on(offload)? == on {
            return Ok(());
        }
        self.call(&mut Value { command: offload.set, data: on.into() })?;
        // The kernel answers success where a feature is fixed.
        if self.is_on(offload)? == on { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)) }
    }

    /// Names of all features, in the order of their bits.
    fn feature_names(&self) -> io::Result<Vec<[u8; NAME_OCTETS]>> {
        let mut info = SetInfo { command: ETHTOOL_GSSET_INFO, reserved: 0, mask: 1 << ETH_SS_FEATURES, count: 0 };
        self.call(&mut info)?;
        // The kernel writes that many names, whatever it is told, so no more than there is room for may be asked for.
        if info.mask == 0 || info.count as usize > MOST_FEATURES {
            return Err(io::Error::from_raw_os_error(libc::EPROTO));
        }
        let (set, count) = (ETH_SS_FEATURES, info.count);
        let names = [[0; NAME_OCTETS]; MOST_FEATURES];
        let mut strings = Box::new(Strings { command: ETHTOOL_GSTRINGS, set, count, names });
        self.call(&mut *strings)?;
        Ok(strings.names[..info.count as usize].to_vec())
    }

    /// Turn the features of these names off; one that the kernel does not know is off.
    fn features_off(&self, off: &[&str]) -> io::Result<()> {
        let names = self.feature_names()?;
        let mut features = Features {
            command: ETHTOOL_SFEATURES,
            blocks: names.len().div_ceil(32) as u32,
            valid_and_wanted: [[0; 2]; MOST_FEATURES / 32],
        };
        for (bit, name) in names.iter().enumerate() {
            let end = name.iter().position(|&octet| octet == 0).unwrap_or(NAME_OCTETS);
            if off.iter().any(|off| off.as_bytes() == &name[..end]) {
                features.valid_and_wanted[bit / 32][0] |= 1 << (bit % 32);
            }
        }
        self.call(&mut features)
    }

    fn channels(&self) -> io::Result<Channels> {
        let mut channels = Channels {
            command: ETHTOOL_GCHANNELS,
            max_rx: 0,
            max_tx: 0,
            max_other: 0,
            max_combined: 0,
            rx: 0,
            tx: 0,
            other: 0,
            combined: 0,
        };
        self.call(&mut channels)?;
        Ok(channels)
    }

    fn change_queues(&self, queues: u32) -> io::Result<()> {
        let mut channels = self.channels()?;
        if (channels.rx, channels.tx) == (queues, queues) {
            return Ok(());
        }
        (channels.command, channels.rx, channels.tx) = (ETHTOOL_SCHANNELS, queues, queues);
        self.call(&mut channels)
    }

    /// The settings as they are, with the number of mask words the kernel uses.
    fn settings(&self) -> io::Result<LinkSettings> {
        let mut settings = LinkSettings::new(ETHTOOL_GLINKSETTINGS, 0);
        self.call(&mut settings)?;
        // The first answer is minus the number of words; only asked with that number does the kernel tell the rest.
        let words = settings.mask_words.checked_neg().filter(|words| (1..=MASK_WORDS as i8).contains(words));
        let words = words.ok_or_else(|| io::Error::from_raw_os_error(libc::EPROTO))?;
        let mut settings = LinkSettings::new(ETHTOOL_GLINKSETTINGS, words);
        self.call(&mut settings)?;
        Ok(settings)
    }
}

/// Let frames leave the interface as on a wire: at most MTU + 14 octets, checksums finished; and let none be put
/// together on arrival. For a veth's peer this is what makes `offload=off` true.
///
/// # Errors
/// Names the interface and the offload that could not be turned off; no such interface (`ENODEV`); no `CAP_NET_ADMIN`.
pub fn offloads_off(ifname: &str) -> io::Result<()> {
    let device = Device::open(ifname).map_err(|error| about(ifname, "turn the offloads off", &error))?;
    for offload in &OFFLOADS {
        let result = device.turn(offload, false);
        result.map_err(|error| about(ifname, &format!("turn {} off", offload.name), &error))?;
    }
    Ok(())
}

/// Which of the offloads that [`offloads_off`] turns off are on?
///
/// # Errors
/// Names the interface; no such interface (`ENODEV`).
pub fn offloads_on(ifname: &str) -> io::Result<Vec<&'static str>> {
    let read = || {
        let device = Device::open(ifname)?;
        let mut names = Vec::new();
        for offload in &OFFLOADS {
            if device.is_on(offload)? {
                names.push(offload.name);
            }
        }
        Ok(names)
    };
    read().map_err(|error| about(ifname, "read the offloads", &error))
}

/// Let frames be put together on arrival (GRO), or not. A veth polls (NAPI) while this is on, which is what the other end needs
/// to send XDP frames ([`crate::live`]).
///
/// # Errors
/// Names the interface; no such interface (`ENODEV`); one that cannot (`EOPNOTSUPP`); no `CAP_NET_ADMIN`.
pub fn set_receive_offload(ifname: &str, on: bool) -> io::Result<()> {
    let set = || Device::open(ifname)?.turn(&RECEIVE, on);
    set().map_err(|error| about(ifname, &format!("set {}", RECEIVE.name), &error))
}

/// Let a tag that the stack puts on a frame (IEEE 802.1Q, 802.1ad) lie in the frame when it leaves the interface, not
/// beside it, where XDP at the other end of a veth would not see it.
///
/// # Errors
/// Names the interface; no such interface (`ENODEV`); no `CAP_NET_ADMIN`.
pub fn tags_in_frames(ifname: &str) -> io::Result<()> {
    let off = || Device::open(ifname)?.features_off(&["tx-vlan-hw-insert", "tx-vlan-stag-hw-insert"]);
    off().map_err(|error| about(ifname, "keep tags in the frames", &error))
}

/// Use so many queues in each direction (`ethtool -L`).
///
/// # Errors
/// Names the interface; more than it was made with, or a veth's other end sends to more and XDP is on (`EINVAL`); no such
/// interface (`ENODEV`); one that has no queues to set (`EOPNOTSUPP`); no `CAP_NET_ADMIN`.
pub fn set_queues(ifname: &str, queues: usize) -> io::Result<()> {
    let set = || Device::open(ifname)?.change_queues(queues as u32);
    set().map_err(|error| about(ifname, &format!("use {queues} queues"), &error))
}

/// How many queues the interface uses to receive and to send.
///
/// # Errors
/// As [`set_queues`].
pub fn queues(ifname: &str) -> io::Result<(u32, u32)> {
    let read = || Device::open(ifname)?.channels().map(|channels| (channels.rx, channels.tx));
    read().map_err(|error| about(ifname, "read the queues", &error))
}

/// Say that a TAP runs at `mbps` Mb/s, full duplex. It moves no faster for it; but routing daemons compute costs from
/// it, and a TAP says 10 Mb/s of itself on older kernels (10,000 on Linux 6.18). A veth says 10,000 and cannot be
/// changed.
///
/// # Errors
/// Names the interface; no such interface (`ENODEV`); one whose speed is its own affair (`EOPNOTSUPP`); no
/// `CAP_NET_ADMIN`.
pub fn set_speed(ifname: &str, mbps: u32) -> io::Result<()> {
    let set = || {
        let device = Device::open(ifname)?;
        let mut settings = device.settings()?;
        settings.command = ETHTOOL_SLINKSETTINGS;
        settings.speed = mbps;
        settings.duplex = DUPLEX_FULL;
        settings.autoneg = AUTONEG_DISABLE;
        device.call(&mut settings)
    };
    set().map_err(|error| about(ifname, &format!("set the speed to {mbps} Mb/s"), &error))
}

/// The speed the interface reports, in Mb/s, and whether it is full duplex. `None` when it does not know.
///
/// # Errors
/// Names the interface; no such interface (`ENODEV`); one that has no speed (`EOPNOTSUPP`).
pub fn speed(ifname: &str) -> io::Result<Option<(u32, bool)>> {
    let read = || {
        let settings = Device::open(ifname)?.settings()?;
        Ok((settings.speed != u32::MAX).then_some((settings.speed, settings.duplex == DUPLEX_FULL)))
    };
    read().map_err(|error| about(ifname, "read the speed", &error))
}

fn about(ifname: &str, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} on '{ifname}': {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_interface() {
        for (name, kind) in [("no-such-lanyard", io::ErrorKind::Other), ("a/b", io::ErrorKind::InvalidInput)] {
            let errors =
                [offloads_off(name), offloads_on(name).map(drop), set_speed(name, 1000), speed(name).map(drop)];
            for error in errors.map(Result::unwrap_err) {
                assert!(error.to_string().contains(&format!("'{name}'")), "{error}");
                assert!(kind == io::ErrorKind::Other || error.kind() == kind, "{error}");
            }
        }
    }

    #[test]
    fn the_loopback_interface_has_offloads_and_no_speed() {
        assert!(offloads_on("lo").unwrap().contains(&"generic segmentation"));
        assert!(speed("lo").is_err());
    }
}
