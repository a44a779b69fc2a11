//! What does the network stack of a namespace say of itself? (proc(5): `net/dev`, `net/tcp`)
//!
//! The text is read by whoever is in the namespace; here it is only understood.

/// What an interface has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Frames that arrived.
    pub received: u64,
    /// Frames that left.
    pub sent: u64,
    /// Frames that left, and those that were to leave but were dropped by the device: what was offered.
    pub offered: u64,
}

/// The counters of the interface `name` in the text of `net/dev`.
pub fn counted(dev: &str, name: &str) -> Option<Counted> {
    let [_, received, _, _, _, _, _, _, _, sent, _, dropped] = counters(dev, name)?;
    Some(Counted { received, sent, offered: sent.checked_add(dropped)? })
}

/// The same as they stand there: octets, frames, errors, dropped, fifo, frame, compressed, multicast of what came; then octets,
/// frames, errors, dropped of what left.
pub fn counters(dev: &str, name: &str) -> Option<[u64; 12]> {
    let (_, rest) = dev.lines().filter_map(|line| line.split_once(':')).find(|(found, _)| found.trim() == name)?;
    let fields: Vec<u64> = rest.split_whitespace().map_while(|word| word.parse().ok()).collect();
    fields.first_chunk().copied()
}

/// Does something listen at TCP `port`, by the text of `net/tcp` or `net/tcp6`?
pub fn listens(tcp: &str, port: u16) -> bool {
    const LISTEN: &str = "0A"; // include/net/tcp_states.h
    tcp.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next().and_then(|local| local.rsplit_once(':'));
        local.is_some_and(|(_, found)| u16::from_str_radix(found, 16) == Ok(port)) && words.nth(1) == Some(LISTEN)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0: 81460342   61904    0    1    0     0          0         0  2290275   24298    0    7    0     0       0          0
";

    #[test]
    fn frames_are_counted_at_the_interface() {
        assert_eq!(counted(DEV, "eth0"), Some(Counted { received: 61_904, sent: 24_298, offered: 24_305 }));
        assert_eq!(counted(DEV, "lo"), Some(Counted::default()));
        for (text, name) in [(DEV, "eth1"), (DEV, "eth"), ("", "eth0"), ("eth0: 1 2 3\n", "eth0")] {
            assert_eq!(counted(text, name), None, "{name}");
        }
    }

    #[test]
    fn only_a_listener_listens() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue\n\
                   0: 0300630A:2B67 00000000:0000 0A 00000000:00000000\n\
                   1: 0300630A:1451 0200630A:D431 01 00000000:00000000\n";
        assert!(listens(tcp, 11_111));
        assert!(!listens(tcp, 5201), "connected is not listening");
        assert!(!listens(tcp, 80));
        assert!(!listens("", 80));
    }

    #[test]
    fn an_own_listener_is_found_as_the_kernel_writes_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listens(&std::fs::read_to_string("/proc/self/net/tcp").unwrap(), port));
        drop(listener);
        assert!(!listens(&std::fs::read_to_string("/proc/self/net/tcp").unwrap(), port));
    }
}
