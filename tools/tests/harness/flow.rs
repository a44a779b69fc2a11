//! Does a stream of octets, or a datagram, arrive as it was sent? Both sides make the same octets from the same seed.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use super::host::Host;

/// Octets that are compared at a time.
const BLOCK: usize = 1 << 16;

/// Octets that look like chance, the same for the same seed (xorshift64*, Marsaglia 2003 and Vigna 2016).
pub(crate) struct Octets(u64);

impl Octets {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn fill(&mut self, block: &mut [u8]) {
        for octets in block.chunks_mut(8) {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
            octets.copy_from_slice(&number[..octets.len()]);
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        self.fill(&mut octets);
        octets
    }
}

/// Send `count` octets by TCP from one container to an address of the other; compare every one.
pub(crate) fn stream(from: &Host, to: &Host, address: IpAddr, count: usize) {
    let seed = count as u64 ^ u64::from(from.pid());
    let listener = to.inside(|| TcpListener::bind((address, 0)).unwrap());
    let target = listener.local_addr().unwrap();
    let socket = from.inside(|| TcpStream::connect_timeout(&target, Duration::from_secs(5)).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut octets, mut block) = (Octets::new(seed), vec![0; BLOCK]);
            for _ in 0..count / BLOCK {
                octets.fill(&mut block);
                (&socket).write_all(&block).unwrap();
            }
            socket.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let (mut connection, _) = listener.accept().unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (mut octets, mut expected, mut block) = (Octets::new(seed), vec![0; BLOCK], vec![0; BLOCK]);
        for number in 0..count / BLOCK {
            connection.read_exact(&mut block).unwrap();
            octets.fill(&mut expected);
            assert!(block == expected, "{} -> {}: block {number} is not what was sent", from.name(), to.name());
        }
        assert_eq!(connection.read(&mut block).unwrap(), 0, "more came than was sent");
    });
}

/// A UDP socket in a container, bound to `address` and patient for two seconds.
pub(crate) fn udp(host: &Host, address: IpAddr) -> UdpSocket {
    let socket = host.inside(|| UdpSocket::bind(SocketAddr::new(address, 0)).unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

/// Send one datagram of each size from one container to the other; compare every octet.
pub(crate) fn datagrams(from: (&Host, IpAddr), to: (&Host, IpAddr), sizes: &[usize]) {
    let (sender, receiver) = (udp(from.0, from.1), udp(to.0, to.1));
    let target = receiver.local_addr().unwrap();
    let mut buffer = vec![0; 70_000];
    for size in sizes {
        let sent = Octets::new(*size as u64).take(*size);
        assert_eq!(sender.send_to(&sent, target).unwrap(), *size);
        let what = || format!("{} octets, {} -> {}", size, from.0.name(), to.0.name());
        let (count, _) = receiver.recv_from(&mut buffer).unwrap_or_else(|error| panic!("{}: {error}", what()));
        assert!(buffer[..count] == sent, "{}: {count} octets came, or not the same", what());
    }
}
