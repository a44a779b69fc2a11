//! What does the system's refusal mean to the user? Which capability is missing, or what to mend (capabilities(7)).

use std::fs::OpenOptions;
use std::io;

use ports::netlink::NetlinkError;
use ports::netns::NamespaceError;
use ports::xdp::OpenError;

use nix::libc::{EAFNOSUPPORT, EBUSY, EINVAL, ENOBUFS, ENOSYS, EPERM};

use super::super::Fault;

/// A netlink request that was refused.
#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(super) fn netlink(error: NetlinkError) -> Fault {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return not_permitted(format!("to {}", error.what()), "CAP_NET_ADMIN");
    }
    let detail = error.detail().map_or(String::new(), |detail| format!(" ({detail})"));
    let cause = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
    Fault::io(format!("cannot {}{detail}", error.what()), cause)
}

/// A namespace that could not be entered.
pub(super) fn entering(namespace: &str, error: io::Error) -> Fault {
    let what = format!("to enter the network namespace '{namespace}'");
    match error.kind() {
        io::ErrorKind::PermissionDenied => not_permitted(what, "CAP_SYS_ADMIN"),
        _ => Fault::io(format!("failed {what}"), error),
    }
}

/// `/dev/net/tun`, or what was asked of it.
pub(super) fn tun(error: io::Error) -> Fault {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    match opened.map_err(|error| error.kind()) {
        Err(io::ErrorKind::NotFound) => Fault::NoTun { why: "/dev/net/tun is missing".to_owned() },
        Err(io::ErrorKind::PermissionDenied) => {
            Fault::NoTun { why: "/dev/net/tun may not be opened (permission denied)".to_owned() }
        }
        Err(_) => Fault::NoTun { why: format!("/dev/net/tun cannot be opened ({error})") },
        Ok(_) if error.kind() == io::ErrorKind::PermissionDenied => {
            not_permitted("to make a TAP".to_owned(), "CAP_NET_ADMIN")
        }
        Ok(_) => Fault::io("cannot make a TAP", error),
    }
}

/// An AF_PACKET socket that was refused.
pub(super) fn packet(error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::PermissionDenied => not_permitted("to open a packet socket".to_owned(), "CAP_NET_RAW"),
        _ => Fault::io("cannot open a packet socket", error),
    }
}

/// An `AF_XDP` socket, or the program that feeds it, that was refused.
pub(super) fn xdp(error: OpenError) -> Fault {
    let no = |why: &str| Fault::NoXdp { why: why.to_owned() };
    match error {
        OpenError::Socket(error) => match error.raw_os_error() {
            Some(EAFNOSUPPORT) => no("this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)"),
            Some(EPERM) => not_permitted("to open an AF_XDP socket".to_owned(), "CAP_NET_RAW"),
            Some(ENOBUFS) => {
                no("the AF_XDP socket's memory is more than 'ulimit -l' allows, and CAP_IPC_LOCK is missing")
            }
            _ => Fault::io("cannot open an AF_XDP socket", error),
        },
        OpenError::Program(error) => match error.raw_os_error() {
            Some(ENOSYS | EINVAL) => no("this kernel takes no XDP programs (CONFIG_BPF_SYSCALL)"),
            Some(EPERM) => not_permitted("to load an XDP program".to_owned(), "CAP_BPF and CAP_NET_ADMIN"),
            _ => Fault::io("cannot load an XDP program", error),
        },
        OpenError::Attach(error) => match error.raw_os_error() {
            Some(EPERM) => not_permitted("to put an XDP program on a link".to_owned(), "CAP_NET_ADMIN"),
            Some(EBUSY) => no("the veth's host end has another XDP program"),
            Some(EINVAL) => no("this kernel has no links of XDP programs (Linux 5.9)"),
            _ => Fault::io("cannot put an XDP program on the veth's host end", error),
        },
        OpenError::Settings(error) => system("cannot read the veth's settings", error),
    }
}

/// A namespace that could not be opened: is there none, or may it not be?
#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(super) fn unopened(error: NamespaceError) -> Fault {
    let told = error.to_string();
    match error {
        NamespaceError::NoSuchName(_) | NamespaceError::NoSuchPath(_) | NamespaceError::NoSuchProcess(_) => {
            Fault::NoNamespace(told)
        }
        NamespaceError::NotANamespace(_) | NamespaceError::Refused(..) => Fault::Namespace(told),
    }
}

/// Anything else; `what` says what cannot be done.
pub(super) fn system(what: &str, error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::PermissionDenied => not_permitted(what.replacen("cannot", "to", 1), "CAP_NET_ADMIN"),
        _ => Fault::io(what, error),
    }
}

fn not_permitted(what: String, capability: &'static str) -> Fault {
    Fault::NotPermitted { what, capability }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied() -> io::Error {
        io::Error::from_raw_os_error(nix::libc::EPERM)
    }

    #[test]
    fn a_missing_capability_is_named() {
        let table = [
            (netlink(NetlinkError::new("set 'eth0' up", denied())), "to set 'eth0' up", "CAP_NET_ADMIN"),
            (entering("red", denied()), "namespace 'red'", "CAP_SYS_ADMIN"),
            (packet(denied()), "packet socket", "CAP_NET_RAW"),
            (xdp(OpenError::Socket(denied())), "AF_XDP socket", "CAP_NET_RAW"),
            (xdp(OpenError::Program(denied())), "XDP program", "CAP_BPF"),
            (xdp(OpenError::Attach(denied())), "XDP program", "CAP_NET_ADMIN"),
        ];
        for (fault, what, capability) in table {
            let text = fault.to_string();
            assert!(matches!(fault, Fault::NotPermitted { .. }), "{text}");
            assert!(text.contains(what) && text.contains(capability), "{text}");
        }
    }

    #[test]
    fn what_a_kernel_lacks_for_xdp_is_named_with_the_mend() {
        let says = |errno, of: fn(io::Error) -> OpenError| xdp(of(io::Error::from_raw_os_error(errno))).to_string();
        let table = [
            (says(EAFNOSUPPORT, OpenError::Socket), "CONFIG_XDP_SOCKETS"),
            (says(ENOBUFS, OpenError::Socket), "ulimit -l"),
            (says(ENOSYS, OpenError::Program), "CONFIG_BPF_SYSCALL"),
            (says(EBUSY, OpenError::Attach), "another XDP program"),
            (says(EINVAL, OpenError::Attach), "Linux 5.9"),
        ];
        for (text, what) in table {
            assert!(text.contains(what) && text.contains("--kind veth") && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn other_refusals_keep_their_cause() {
        let busy = || io::Error::from_raw_os_error(nix::libc::EBUSY);
        let text = netlink(NetlinkError::new("rename 'a' to 'b'", busy())).to_string();
        assert!(text.starts_with("cannot rename 'a' to 'b': ") && text.contains("busy"), "{text}");
        assert!(packet(busy()).to_string().starts_with("cannot open a packet socket: "));
    }
}
