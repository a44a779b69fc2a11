//! How is the kernel given a program of its own to run on frames? By bpf(2) (`linux/bpf.h`): maps, XDP programs assembled here
//! instruction by instruction (RFC 9669), links that hang them on an interface, and runs of them on frames that the caller
//! brings along (`Documentation/bpf/bpf_prog_run.rst`).
//!
//! Everything is a descriptor: when the last one is closed, by a crash as well, the kernel takes it away.
//!
//! Not done: programs from object files, BTF, the verifier's log.

use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_long;

/// `enum bpf_cmd`.
const BPF_MAP_CREATE: c_long = 0;
const BPF_MAP_UPDATE_ELEM: c_long = 2;
const BPF_PROG_LOAD: c_long = 5;
const BPF_PROG_TEST_RUN: c_long = 10;
const BPF_LINK_CREATE: c_long = 28;
/// `enum bpf_prog_type`.
const BPF_PROG_TYPE_XDP: u32 = 6;
/// `enum bpf_attach_type`.
const BPF_XDP: u32 = 37;
/// Flag of `BPF_PROG_TEST_RUN` (Linux 5.18): what the program says is done with the frame.
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;

/// `XDP_FLAGS_SKB_MODE` (`linux/if_link.h`): the program runs in the stack, on the packet as it is, not in the driver.
pub(crate) const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;

/// `enum xdp_action`.
pub(crate) const XDP_DROP: u32 = 1;

/// `struct bpf_insn`: opcode, destination register and source register (four bits each), offset, immediate.
pub(crate) const fn instruction(opcode: u8, registers: u8, offset: i16, immediate: u32) -> u64 {
    u64::from_ne_bytes({
        let (o, i) = (offset.to_ne_bytes(), immediate.to_ne_bytes());
        [opcode, registers, o[0], o[1], i[0], i[1], i[2], i[3]]
    })
}

/// The registers' octet: bit fields, which a big-endian machine lays out the other way round.
pub(crate) const fn registers(destination: u8, source: u8) -> u8 {
    if cfg!(target_endian = "big") { destination << 4 | source } else { source << 4 | destination }
}

/// bpf(2) with one of the layouts of `union bpf_attr`, all made of integers.
fn bpf<A: Attributes>(command: c_long, mut attributes: A) -> io::Result<c_long> {
    // SAFETY: the kernel reads, and for some commands writes answers into, as many octets as it is told, which is all of
    // `attributes`; any bits are valid integers. The pointers in it name memory that lives in the caller to the end of the
    // call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attributes, size_of_val(&attributes)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn descriptor(result: c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(result).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel has just opened it for the caller (close-on-exec), and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor's number as instructions and attributes have it.
pub(crate) fn raw(fd: impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

trait Attributes {}
impl Attributes for MapCreate {}
impl Attributes for MapUpdate {}
impl Attributes for ProgLoad {}
impl Attributes for LinkCreate {}
impl Attributes for TestRun {}

/// A map to be made.
#[repr(C)]
pub(crate) struct MapCreate {
    /// `BPF_MAP_TYPE_*`.
    pub(crate) map_type: u32,
    /// Octets of a key.
    pub(crate) key_octets: u32,
    /// Octets of a value.
    pub(crate) value_octets: u32,
    /// How many there can be.
    pub(crate) entries: u32,
    /// `BPF_F_*`.
    pub(crate) flags: u32,
}

impl MapCreate {
    /// Make it.
    ///
    /// # Errors
    /// `EPERM` without `CAP_BPF`, `ENOSYS` without bpf(2), `EINVAL` where the kernel does not know the type or a flag.
    pub(crate) fn create(self) -> io::Result<OwnedFd> {
        descriptor(bpf(BPF_MAP_CREATE, self)?)
    }
}

#[repr(C)]
struct MapUpdate {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Write an entry of a map whose keys and values have 4 octets.
///
/// # Errors
/// The map's: no such key, or not such a value.
pub(crate) fn update(map: BorrowedFd<'_>, key: u32, value: u32) -> io::Result<()> {
    let (key_at, value_at) = (std::ptr::from_ref(&key) as u64, std::ptr::from_ref(&value) as u64);
    let update = MapUpdate { map: raw(map), padding: 0, key: key_at, value: value_at, flags: 0 };
    bpf(BPF_MAP_UPDATE_ELEM, update).map(drop)
}

#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_octets: u32,
    log: u64,
}

/// Load an XDP program.
///
/// # Errors
/// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN`, `EACCES` or `EINVAL` where the verifier does not take it or the kernel does
/// not know a helper of it.
pub(crate) fn load_xdp(instructions: &[u64]) -> io::Result<OwnedFd> {
    let load = ProgLoad {
        prog_type: BPF_PROG_TYPE_XDP,
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"MIT".as_ptr() as u64,
        log_level: 0,
        log_octets: 0,
        log: 0,
    };
    descriptor(bpf(BPF_PROG_LOAD, load)?)
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// Hang an XDP program on an interface of the calling thread's namespace, for as long as the answer is kept.
///
/// # Errors
/// `EBUSY` where there is another, `EPERM` without `CAP_NET_ADMIN`, `EINVAL` where there is no such interface.
pub(crate) fn attach_xdp(program: BorrowedFd<'_>, ifindex: u32, flags: u32) -> io::Result<OwnedFd> {
    let create = LinkCreate { program: raw(program), ifindex, attach_type: BPF_XDP, flags };
    descriptor(bpf(BPF_LINK_CREATE, create)?)
}

#[repr(C)]
struct TestRun {
    program: u32,
    result: u32,
    data_octets: u32,
    data_out_octets: u32,
    data: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_octets: u32,
    context_out_octets: u32,
    context: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch: u32,
    padding: u32,
}

/// Run an XDP program on so many new frames that begin as `data`; each goes where the program says.
///
/// # Errors
/// `EINVAL` before Linux 5.18, or for a frame that does not fit in one page with what the kernel keeps there; `EINTR` when a
/// signal came, with some frames done; `ENOMEM`.
pub(crate) fn run_live(program: BorrowedFd<'_>, data: &[u8], frames: u32) -> io::Result<()> {
    let run = TestRun {
        program: raw(program),
        result: 0,
        data_octets: data.len() as u32,
        data_out_octets: 0,
        data: data.as_ptr() as u64,
        data_out: 0,
        repeat: frames,
        duration: 0,
        context_octets: 0,
        context_out_octets: 0,
        context: 0,
        context_out: 0,
        flags: BPF_F_TEST_XDP_LIVE_FRAMES,
        cpu: 0,
        batch: 0,
        padding: 0,
    };
    bpf(BPF_PROG_TEST_RUN, run).map(drop)
}
