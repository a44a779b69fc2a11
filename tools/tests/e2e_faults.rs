//! Does bad input get one line that names the thing and the mend, the right exit code, and leave everything as it was?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use harness::{Host, Kind, LANYARD, Outcome, Running, World, ready};
use nix::sys::signal::Signal;

const TOOLS: &[&str] = &["ip", "nsenter", "unshare", "setpriv"];

/// One line on standard error, nothing on standard output, this exit code, and these words in the line.
fn assert_refused(words: &str, outcome: &Outcome, code: i32, pieces: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{words}: {outcome:?}");
    assert_eq!(outcome.err.lines().count(), 1, "{words}: {outcome:?}");
    assert!(outcome.out.is_empty() && outcome.err.starts_with("lanyard: "), "{words}: {outcome:?}");
    for piece in pieces {
        assert!(outcome.err.contains(piece), "{words}: '{piece}' is missing: {}", outcome.err);
    }
}

/// Everything that a refused request could have changed.
fn everything(world: &World, guest: &Host) -> String {
    let listed = world.json("network ls");
    let links = |host: &Host| host.run("ip -o link").ok() + &host.run("ip -o addr").ok() + &host.run("ip route").ok();
    format!("{listed:#}\n{}\n{}\n{}", links(&world.home), links(guest), world.json("show mac"))
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    if !ready("bad_requests_are_refused_and_change_nothing", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    let guest = Host::new("guest").quiet();
    world.connect("blue", &guest, Kind::Tap, "--ip 10.20.0.9 --mac 02:00:00:00:00:09");
    world.done("network create jumbo --subnet 192.168.77.0/24 --mtu 9000");
    let connect = |more: &str| format!("network connect blue --netns pid:{} --endpoint new {more}", guest.pid());
    let anchors = fs::canonicalize(format!("/proc/{}", guest.pid())).unwrap();
    // A path to something that is no namespace, and to nothing.
    let (no_namespace, nowhere) = (anchors.join("status"), anchors.join("ns/nothing"));
    let cases: Vec<(String, i32, &[&str])> = vec![
        ("network create red --subnet 10.20.0.128/25".into(), 1, &["10.20.0.128/25", "overlaps", "'blue'", "--subnet"]),
        ("network create red --subnet 10.0.0.0/8".into(), 1, &["10.0.0.0/8", "overlaps", "'blue'"]),
        (
            "network create red --subnet 10.30.0.0/24 --gateway 10.31.0.1".into(),
            2,
            &["10.31.0.1", "outside", "10.30.0.0/24"],
        ),
        ("network create red --subnet 10.30.0.0/24 --gateway 10.30.0.255".into(), 2, &["10.30.0.255", "broadcast"]),
        ("network create blue".into(), 1, &["'blue'", "already"]),
        ("network create".into(), 2, &[]),
        ("network create red --subnet banana".into(), 2, &["banana", "--subnet"]),
        ("network create red -o arp=maybe".into(), 2, &["arp", "maybe"]),
        ("network rm red".into(), 1, &["'red'", "network ls"]),
        ("network rm blue".into(), 1, &["'blue'", "1 endpoint", "'guest'", "--force"]),
        ("network inspect red".into(), 1, &["'red'"]),
        ("network peer blue red".into(), 1, &["'red'"]),
        ("network peer blue blue".into(), 2, &["'blue'"]),
        ("network disconnect blue nobody".into(), 1, &["'nobody'", "'blue'"]),
        ("network disconnect red guest".into(), 1, &["'red'"]),
        ("show mac --network red".into(), 1, &["'red'"]),
        ("show weather".into(), 2, &[]),
        (connect("--ip 10.21.0.2"), 2, &["10.21.0.2", "outside", "10.20.0.0/24", "--ip"]),
        (connect("--ip 10.20.0.9"), 1, &["10.20.0.9", "taken", "guest", "--ip"]),
        (connect("--ip 10.20.0.1"), 1, &["10.20.0.1", "taken", "gateway"]),
        (connect("--mac 02:00:00:00:00:09"), 1, &["02:00:00:00:00:09"]),
        (connect("--mac 01:00:5e:00:00:01"), 2, &["01:00:5e:00:00:01"]),
        (connect("--mac 00:00:00:00:00:00"), 2, &["00:00:00:00:00:00"]),
        (connect("--ifname abcdefghijklmnop"), 2, &["abcdefghijklmnop", "15"]),
        (connect("--ifname eth0"), 1, &["'eth0'", "already", "--ifname"]),
        (connect("--ifname eth0 --kind veth"), 1, &["'eth0'", "already", "--ifname"]),
        (connect("--ifname lo --kind veth"), 2, &["'lo'"]),
        (connect("--kind xdp --offload on"), 2, &["xdp", "--offload on", "--kind veth"]),
        (connect("--kind xdp").replace("blue", "jumbo"), 2, &["mtu", "xdp", "9000", "3822"]),
        (connect("--ifname a/b"), 2, &["'a/b'"]),
        (connect("--kind bridge"), 2, &["bridge", "--kind"]),
        (connect("").replace("endpoint new", "endpoint guest"), 1, &["'guest'", "already", "--endpoint"]),
        (connect("").replace("blue", "red"), 1, &["'red'", "network ls"]),
        ("network connect blue --netns lanyard-test-nowhere".into(), 1, &["lanyard-test-nowhere"]),
        ("network connect blue --netns pid:4194305".into(), 1, &["4194305"]),
        ("network connect blue --netns pid:banana".into(), 2, &["banana"]),
        (format!("network connect blue --netns {}", no_namespace.display()), 2, &["status"]),
        (format!("network connect blue --netns {}", nowhere.display()), 1, &["nothing"]),
    ];
    let before = everything(&world, &guest);
    let descriptors = world.descriptors();
    for (words, code, pieces) in cases {
        let outcome = world.lanyard(&words);
        assert_refused(&words, &outcome, code, pieces);
        assert_eq!(everything(&world, &guest), before, "after {words}");
    }
    assert_eq!(world.descriptors(), descriptors);
    assert!(guest.ping("-c 1 -W 2 10.20.0.1").is_perfect());
}

#[test]
fn a_full_subnet_is_refused() {
    if !ready("a_full_subnet_is_refused", TOOLS) {
        return;
    }
    let world = World::new(1);
    world.done("network create tiny --subnet 10.40.0.0/30");
    let guest = Host::new("guest").quiet();
    world.connect("tiny", &guest, Kind::Tap, "");
    let before = everything(&world, &guest);
    let outcome = world.lanyard(&format!("network connect tiny --netns pid:{}", guest.pid()));
    assert_refused("connect", &outcome, 2, &["10.40.0.0/30", "'tiny'", "taken"]);
    assert_eq!(everything(&world, &guest), before);
}

/// A lanyard that was told to run, and did not.
fn run_refused(mut command: Command) -> Outcome {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Running::start(&mut command).finish(harness::PATIENCE)
}

#[test]
fn a_socket_or_state_in_use_is_refused() {
    if !ready("a_socket_or_state_in_use_is_refused", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let (socket, state) = (world.socket(), world.state());
    let (other_socket, other_state) = (world.folder().join("other.sock"), world.folder().join("other"));
    let pid = format!("pid {}", world.pid());
    for (socket, state, named) in [(&socket, &other_state, "--socket"), (&other_socket, &state, "--state-dir")] {
        let mut command = world.home.command(LANYARD);
        command.args(["run", "--socket"]).arg(socket).arg("--state-dir").arg(state);
        assert_refused("run", &run_refused(command), 1, &["in use", &pid, named]);
    }
    assert!(!other_socket.exists());
    // The one that was there did not notice.
    assert_eq!(world.json("network ls").as_array().unwrap().len(), 1);
    // A socket that a killed daemon left is no obstacle.
    world.end(Signal::SIGKILL);
    assert!(socket.exists());
    world.start();
    // And where no daemon is, that is what is said.
    world.end(Signal::SIGTERM);
    assert_refused("network ls", &world.lanyard("network ls"), 1, &["no daemon", "lanyard run"]);
}

/// The program where anybody may run it, and a folder where anybody may write.
fn for_anybody(world: &World) -> std::path::PathBuf {
    let program = world.folder().join("lanyard");
    fs::copy(LANYARD, &program).unwrap();
    fs::set_permissions(world.folder(), fs::Permissions::from_mode(0o777)).unwrap();
    program
}

#[test]
fn without_permission_the_capability_is_named() {
    if !ready("without_permission_the_capability_is_named", TOOLS) {
        return;
    }
    let world = World::asleep(1);
    let program = for_anybody(&world);
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut command = world.home.command("setpriv");
    command.args(nobody).arg(&program).args(["run", "--socket"]).arg(world.socket());
    command.arg("--state-dir").arg(world.state());
    assert_refused("run", &run_refused(command), 1, &["CAP_NET", "root", "lanyard lab"]);
    assert!(!world.socket().exists());
    // A state folder that is root's.
    let mut command = world.home.command("setpriv");
    command.args(nobody).arg(&program).args(["run", "--state-dir", "/root/lanyard", "--socket"]).arg(world.socket());
    assert_refused("run", &run_refused(command), 1, &["/root/lanyard", "ermission denied"]);
}

/// A daemon that is root, but without a capability, says which one an endpoint would need; and undoes what it began.
#[test]
fn a_capability_that_is_missing_is_named() {
    if !ready("a_capability_that_is_missing_is_named", TOOLS) {
        return;
    }
    for (capability, kind) in [
        ("net_admin", Kind::Tap),
        ("net_admin", Kind::Veth),
        ("net_raw", Kind::VethWire),
        ("sys_admin", Kind::Tap),
        ("net_raw", Kind::Xdp),
        ("net_admin", Kind::Xdp),
    ] {
        let world = World::asleep(2);
        let mut command = world.home.command("setpriv");
        command.arg(format!("--bounding-set=-{capability}")).arg("--").arg(LANYARD);
        world.start_by(command);
        world.done("network create blue --subnet 10.20.0.0/24");
        let guest = Host::new("guest").quiet();
        let before = everything(&world, &guest);
        let words = format!("network connect blue --netns pid:{} {}", guest.pid(), kind.words());
        let named = format!("CAP_{}", capability.to_uppercase());
        assert_refused(&words, &world.lanyard(&words), 1, &[&named, "root"]);
        assert_eq!(everything(&world, &guest), before);
    }
}

#[test]
fn without_dev_net_tun_the_mend_is_named() {
    if !ready("without_dev_net_tun_the_mend_is_named", TOOLS) {
        return;
    }
    let world = World::asleep(1);
    let mut command = world.home.command("unshare");
    let script = "mount -t tmpfs none /dev/net && exec \"$0\" \"$@\"";
    command.args(["--mount", "sh", "-c", script, LANYARD]);
    world.start_by(command);
    world.done("network create blue --subnet 10.20.0.0/24");
    let guest = Host::new("guest").quiet();
    let before = everything(&world, &guest);
    for kind in [Kind::Tap, Kind::TapWire] {
        let words = format!("network connect blue --netns pid:{} {}", guest.pid(), kind.words());
        assert_refused(&words, &world.lanyard(&words), 1, &["/dev/net/tun", "missing", "--kind veth", "mknod"]);
        assert_eq!(everything(&world, &guest), before);
    }
    world.connect("blue", &guest, Kind::Veth, "");
    assert!(guest.ping("-c 1 -W 2 10.20.0.1").is_perfect());
}

/// The state is written last, when the container has its interface already: if that fails, all of it goes again.
#[test]
fn what_fails_half_way_is_undone() {
    if !ready("what_fails_half_way_is_undone", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    let guest = Host::new("guest").quiet();
    let (state, aside) = (world.state(), world.folder().join("aside"));
    for kind in Kind::ALL {
        let (before, descriptors) = (everything(&world, &guest), world.descriptors());
        fs::rename(&state, &aside).unwrap();
        let words = format!("network connect blue --netns pid:{} {}", guest.pid(), kind.words());
        assert_refused(&words, &world.lanyard(&words), 1, &["cannot write the state"]);
        assert_refused("create", &world.lanyard("network create red"), 1, &["cannot write the state"]);
        fs::rename(&aside, &state).unwrap();
        assert_eq!(everything(&world, &guest), before);
        assert_eq!(world.descriptors(), descriptors);
    }
    world.connect("blue", &guest, Kind::Tap, "");
    assert!(guest.ping("-c 1 -W 2 10.20.0.1").is_perfect());
}
