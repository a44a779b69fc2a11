//! Which work does an interface leave to hardware it does not have, and how fast does it say it is? `SIOCETHTOOL` in
//! the calling thread's namespace (linux/ethtool.h, linux/sockios.h); enter another one with
//! [`crate::netns::Namespace::enter`].
//!
//! Not done: the netlink form of ethtool (Linux 5.6), which can do no more of what is needed here; rings, channels,
//! statistics.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::link::check_name;

/// linux/sockios.h
const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GLINKSETTINGS: u32 = 0x4c;
const ETHTOOL_SLINKSETTINGS: u32 = 0x4d;
const DUPLEX_FULL: u8 = 1;
const AUTONEG_DISABLE: u8 = 0;

/// One offload: its name, the request that reads it and the one that sets it.
struct Offload {
    name: &'static str,
    get: u32,
    set: u32,
}

/// In the order in which one depends on the next: segmentation needs the checksum and scatter-gather.
const OFFLOADS: [Offload; 5] = [
    Offload { name: "generic receive offload", get: 0x2b, set: 0x2c },
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

    fn turn_off(&self, offload: &Offload) -> io::Result<()> {
        if !self.is_on(offload)? {
            return Ok(());
        }
        self.call(&mut Value { command: offload.set, data: 0 })?;
        // The kernel answers success where a feature is fixed on.
        if self.is_on(offload)? { Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)) } else { Ok(()) }
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
        let result = device.turn_off(offload);
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
