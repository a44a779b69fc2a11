//! Does a capture of the trace say to Wireshark and tcpdump what the switch did: every frame, where, which way, why, and by
//! whose names? Read by Debian's own tshark, capinfos and tcpdump.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, thread};

use harness::{Host, Kind, Outcome, PATIENCE, Running, World, ready, wait_for, wire};
use nix::sys::signal::Signal;
use serde_json::Value;

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv", "tshark", "capinfos", "tcpdump"];

/// Start `lanyard trace` with these words; it listens when this returns.
fn trace(world: &World, words: &[&str]) -> Running {
    let before = world.descriptors();
    let mut command = world.command();
    command.arg("trace").args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let trace = Running::start(&mut command);
    wait_for("the trace", PATIENCE, || world.descriptors() > before);
    trace
}

/// tshark, which keeps its settings in a folder of the test's own.
fn tshark(home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("tshark");
    command.args(words).env("HOME", home).env_remove("XDG_CONFIG_HOME").current_dir(home);
    command
}

/// The fields of the packets that a display filter finds, a row for each packet.
fn fields(home: &Path, file: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut words = vec!["-r", file.to_str().unwrap(), "-Y", filter, "-T", "fields"];
    words.extend(fields.iter().flat_map(|field| ["-e", field]));
    let text = Outcome::of(tshark(home, &words).output().unwrap()).ok();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// A captured cold ping from h1 to h2, between two others: the world, the capture, and what was told at its end.
fn captured_ping(workers: usize, kind: Kind) -> (World, PathBuf, String) {
    let world = World::with_blue(workers, "");
    let [h1, h2, _h3] = world.quiet_hosts(kind);
    let file = world.folder().join("ping.pcapng");
    let trace = trace(&world, &["-n", "4", "-w", file.to_str().unwrap()]);
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    let outcome = trace.finish(PATIENCE);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(0), ""), "{}", outcome.err);
    (world, file, outcome.err)
}

#[test]
fn wireshark_reads_where_each_frame_went_and_why() {
    if !ready("wireshark_reads_where_each_frame_went_and_why", TOOLS) {
        return;
    }
    for (workers, kind) in [(1, Kind::Tap), (2, Kind::VethWire)] {
        let (world, file, told) = captured_ping(workers, kind);
        assert!(told.starts_with("4 frames traced\n9 packets written\n0 frames lost to the trace\n"), "{told}");
        let home = world.folder();
        let all =
            fields(home, &file, "frame", &["frame.packet_id", "frame.interface_name", "frame.packet_flags_direction"]);
        assert_eq!(all.len(), 9, "{all:?}");
        // The request came in by h1 and left by the two others.
        let number = fields(home, &file, "arp.opcode == 1 && frame.packet_flags_direction == 1", &["frame.packet_id"]);
        assert_eq!(number.len(), 1, "{number:?}");
        let id = number[0][0].as_str();
        // Direction 1 is in, 2 out; reception type 3 broadcast, 1 unicast; the flags are both together.
        let broadcast = [
            ["h1", id, "0x0000000d", "0x00000001", "3"],
            ["h2", id, "0x0000000e", "0x00000002", "3"],
            ["h3", id, "0x0000000e", "0x00000002", "3"],
        ];
        assert_eq!(journey(home, &file, "arp.opcode == 1"), broadcast);
        let reply = journey(home, &file, "arp.opcode == 2");
        let id = reply[0][1].as_str();
        let back = [["h1", id, "0x00000006", "0x00000002", "1"], ["h2", id, "0x00000005", "0x00000001", "1"]];
        assert_eq!(reply, back);
        let why =
            fields(home, &file, "frame.comment contains \"flooded to every other port of blue\"", &["frame.number"]);
        assert_eq!(why.len(), 1);
        let comment = "frame.comment contains \"UNICAST -> h2\" && icmp.type == 8 && frame.interface_name == \"h1\"";
        assert_eq!(fields(home, &file, comment, &["frame.number"]).len(), 1);
        read_by_others(home, &file);
        names_are_shown(home, &file);
    }
}

/// Where the packets that a display filter finds were seen, under which number, and what their flags say.
fn journey(home: &Path, file: &Path, filter: &str) -> Vec<Vec<String>> {
    let told = [
        "frame.interface_name",
        "frame.packet_id",
        "frame.packet_flags",
        "frame.packet_flags_direction",
        "frame.packet_flags_reception_type",
    ];
    let mut journey = fields(home, file, filter, &told);
    journey.sort();
    journey
}

/// capinfos finds no fault in it, and tcpdump reads as many packets.
fn read_by_others(home: &Path, file: &Path) {
    let infos = Outcome::of(Command::new("capinfos").arg(file).env("HOME", home).output().unwrap()).ok();
    let line = |word: &str| infos.lines().find(|line| line.contains(word)).unwrap_or_default().to_owned();
    assert!(line("Strict time order").contains("True"), "{infos}");
    assert!(line("Number of packets").ends_with('9'), "{infos}");
    assert!(line("Capture application").contains("lanyard"), "{infos}");
    assert!(line("Number of interfaces in file").ends_with('4'), "{infos}");
    assert!(line("Description = port of network blue: ").contains("02:42:0a:14:00:0"), "{infos}");
    let dumped = Outcome::of(Command::new("tcpdump").args(["-n", "-r"]).arg(file).output().unwrap()).ok();
    assert_eq!(dumped.lines().count(), 9, "{dumped}");
    assert_eq!(dumped.lines().filter(|line| line.contains("who-has 10.20.0.3 tell 10.20.0.2")).count(), 3, "{dumped}");
}

/// IP addresses are shown by the names in the file, MAC addresses by those beside it, put where Wireshark looks.
fn names_are_shown(home: &Path, file: &Path) {
    let read = |what: &str| {
        let words = [
            "-r",
            file.to_str().unwrap(),
            "-N",
            what,
            "-Y",
            "icmp.type == 8",
            "-T",
            "fields",
            "-e",
            "_ws.col.Source",
            "-e",
            "eth.src_resolved",
        ];
        Outcome::of(tshark(home, &words).output().unwrap()).ok()
    };
    let by_ip = read("n");
    assert!(by_ip.lines().count() == 2 && by_ip.lines().all(|line| line.starts_with("h1\t")), "{by_ip}");
    let folder = home.join(".config/wireshark");
    fs::create_dir_all(&folder).unwrap();
    let ethers = PathBuf::from(format!("{}.ethers", file.display()));
    assert!(fs::read_to_string(&ethers).unwrap().contains("02:42:0a:14:00:02 h1\n"));
    fs::copy(ethers, folder.join("ethers")).unwrap();
    let by_mac = read("m");
    assert!(by_mac.lines().all(|line| line.ends_with("\th1")), "{by_mac}");
}

#[test]
fn drops_have_their_reason() {
    if !ready("drops_have_their_reason", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    world.done("network create green --subnet 10.30.0.0/24");
    let h1 = Host::new("h1").quiet();
    world.connect("blue", &h1, Kind::TapWire, "");
    let h2 = Host::new("h2").quiet();
    world.connect("green", &h2, Kind::TapWire, "");
    let file = world.folder().join("drops.pcapng");
    let words = ["-w", file.to_str().unwrap(), "-n", "1", "verdict", "drop", "and", "icmp"];
    let trace = trace(&world, &words);
    h1.ping(&format!("-c 1 -W 1 {}", h2.ip()));
    let outcome = trace.finish(PATIENCE);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let dropped = "frame.comment contains \"DROP: not-peered: \"";
    let found = fields(world.folder(), &file, dropped, &["frame.interface_name", "frame.packet_flags_direction"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0][0], "h1");
    assert_eq!(fields(world.folder(), &file, "frame", &["frame.number"]).len(), 1, "it went nowhere");
}

/// The lines that a program says, as far as it has said them.
fn lines_of(running: &mut Running) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let (out, all) = (running.child.stdout.take().unwrap(), Arc::clone(&lines));
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            all.lock().unwrap().push(line);
        }
    });
    lines
}

#[test]
fn a_live_capture_shows_who_joins_and_ends_with_its_reader() {
    if !ready("a_live_capture_shows_who_joins_and_ends_with_its_reader", TOOLS) {
        return;
    }
    let world = World::with_blue(2, "");
    let [h1, h2, _h3] = world.quiet_hosts(Kind::TapWire);
    let mut trace = trace(&world, &["-w", "-"]);
    let mut command = tshark(
        world.folder(),
        &["-i", "-", "-l", "-T", "fields", "-e", "frame.interface_name", "-e", "frame.packet_id", "-e", "icmp.type"],
    );
    let capture = trace.child.stdout.take().unwrap();
    let mut shark = Running::start(command.stdin(capture).stdout(Stdio::piped()).stderr(Stdio::null()));
    // It keeps an end of the pipe as long as it is there.
    drop(command);
    let lines = lines_of(&mut shark);
    let seen = |interface: &str, icmp: &str| {
        lines
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.starts_with(&format!("{interface}\t")) && line.ends_with(icmp))
            .count()
    };
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    wait_for("the first ping", PATIENCE, || seen("h1", "\t0") >= 1);
    // Somebody who was not there when the capture began.
    let late = Host::new("late").quiet();
    world.connect("blue", &late, Kind::TapWire, "");
    assert!(late.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    wait_for("the late one's ping", PATIENCE, || seen("late", "\t8") == 1 && seen("late", "\t0") == 1);
    shark.signal(Signal::SIGINT);
    shark.finish(PATIENCE);
    // Nobody sends anything any more: the trace sees all the same that nobody reads it.
    let outcome = trace.finish(PATIENCE);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.err.contains("frames traced") && outcome.err.contains("packets written"), "{}", outcome.err);
}

#[test]
fn a_capture_is_whole_when_it_is_interrupted() {
    if !ready("a_capture_is_whole_when_it_is_interrupted", TOOLS) {
        return;
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let world = World::with_blue(1, "");
        let [h1, h2, _h3] = world.quiet_hosts(Kind::Tap);
        let file = world.folder().join("cut.pcapng");
        let trace = trace(&world, &["-w", file.to_str().unwrap(), "icmp"]);
        let ping = h1.ping(&format!("-c 3 -i 0.2 -W 3 {}", h2.ip()));
        assert!(ping.is_perfect(), "{ping:?}");
        // What waits for its place in the order of time is written when it has been quiet.
        wait_for("the capture", PATIENCE, || {
            fs::metadata(&file).unwrap().len() > 0
                && fields(world.folder(), &file, "icmp", &["frame.number"]).len() == 12
        });
        trace.signal(signal);
        let outcome = trace.finish(PATIENCE);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.err.starts_with("6 frames traced\n12 packets written\n"), "{}", outcome.err);
        let statistics = Outcome::of(tshark(world.folder(), &["-r", file.to_str().unwrap()]).output().unwrap());
        assert!(!statistics.err.contains("damaged") && !statistics.err.contains("cut short"), "{}", statistics.err);
    }
}

#[test]
fn a_terminal_gets_no_capture() {
    if !ready("a_terminal_gets_no_capture", &["script"]) {
        return;
    }
    let world = World::with_blue(1, "");
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{} trace -w -", harness::LANYARD), "/dev/null"]);
    let outcome = Outcome::of(command.env("LANYARD_SOCKET", world.socket()).stdin(Stdio::null()).output().unwrap());
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.out.contains("standard output is a terminal") && outcome.out.contains("-w FILE"), "{outcome:?}");
}

/// The recorder's frames become a capture as well, afterwards.
#[test]
fn what_was_recorded_is_captured_afterwards() {
    if !ready("what_was_recorded_is_captured_afterwards", TOOLS) {
        return;
    }
    let world = World::asleep(1);
    let mut daemon = world.home.command("sh");
    daemon.args(["-c", "exec \"$0\" \"$@\" --record 100", harness::LANYARD]);
    world.start_by(daemon);
    world.done("network create blue --subnet 10.20.0.0/24");
    let [h1, h2, _h3] = world.quiet_hosts(Kind::TapWire);
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    let file = world.folder().join("last.pcapng");
    let told = world.lanyard(&format!("trace --last 9 -w {} icmp", file.display()));
    assert!(told.code == Some(0) && told.err.starts_with("2 frames traced\n4 packets written\n"), "{told:?}");
    assert_eq!(fields(world.folder(), &file, "icmp", &["frame.number"]).len(), 4);
    let text = world.done("trace --last 1 icmp");
    assert!(text.contains("ICMP echo reply") && text.lines().count() == 1, "{text}");
}

#[test]
fn filters_choose_by_header_by_decision_and_by_name() {
    if !ready("filters_choose_by_header_by_decision_and_by_name", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let [h1, h2, h3] = world.quiet_hosts(Kind::Tap);
    let idle = world.descriptors();
    let told = |words: &[&str], count: usize| {
        let count = count.to_string();
        wait_for("the last trace's end", PATIENCE, || world.descriptors() == idle);
        let trace = trace(&world, &[&["-n", &count, "--json"], words].concat());
        assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
        assert!(h3.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
        let text = trace.finish(PATIENCE).ok();
        let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(records.iter().all(|record| record["schema"] == "lanyard.frame/1"), "{text}");
        records.iter().map(|record| record["summary"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let flooded = told(&["verdict", "flood"], 2);
    assert!(flooded.iter().all(|said| said.starts_with("ARP who-has 10.20.0.3")), "{flooded:?}");
    let replies = told(&["icmp reply and not to h1"], 1);
    assert!(replies[0].starts_with("ICMP echo reply 10.20.0.3 > 10.20.0.4"), "{replies:?}");
    let named = told(&["src", "host", "h3", "and", "icmp"], 1);
    assert!(named[0].starts_with("ICMP echo request 10.20.0.4"), "{named:?}");
    let came = told(&["(port-of h2) && icmp"], 2);
    assert!(came.iter().all(|said| said.starts_with("ICMP echo reply 10.20.0.3")), "{came:?}");
}

/// Wireshark needs a screen; what stands in its place here is tshark, which reads the same stream with the same code.
#[test]
fn wireshark_is_started_with_the_trace_on_its_standard_input() {
    if !ready("wireshark_is_started_with_the_trace_on_its_standard_input", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let [h1, h2, _h3] = world.quiet_hosts(Kind::TapWire);
    let place = world.folder().join("bin");
    fs::create_dir(&place).unwrap();
    let file = |name: &str| place.join(name).to_str().unwrap().to_owned();
    let script = format!(
        "#!/bin/sh\necho \"$@\" >{}\nexec tshark -i - -l -T fields -e frame.interface_name -e frame.comment >{} 2>&1\n",
        file("words"),
        file("seen")
    );
    fs::write(place.join("wireshark"), script).unwrap();
    fs::set_permissions(place.join("wireshark"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", place.display(), std::env::var("PATH").unwrap());
    let mut command = world.command();
    command.args(["wireshark", "arp"]).env("PATH", path).env("DISPLAY", ":9").env("HOME", world.folder());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Running::start(&mut command);
    let read = |name: &str| fs::read_to_string(place.join(name)).unwrap_or_default();
    wait_for("wireshark", PATIENCE, || read("words") == "-k -i -\n" && read("seen").contains("Capturing"));
    assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    wait_for("the reasons", PATIENCE, || read("seen").lines().any(|line| line.starts_with("h1\t#1 LEARN new h1")));
    wait_for("the answer", PATIENCE, || read("seen").contains("LEARN new h2"));
    assert!(!read("seen").contains("ICMP"), "the filter holds: {}", read("seen"));
    started.signal(Signal::SIGINT);
    let outcome = started.finish(PATIENCE);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

/// What a slow reader lost stands in the file: before which frame, and how many in all.
#[test]
fn what_was_lost_stands_in_the_capture() {
    if !ready("what_was_lost_stands_in_the_capture", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let [h1, h2, _h3] = world.quiet_hosts(Kind::Tap);
    let (home, file) = (world.folder(), world.folder().join("lossy.pcapng"));
    let trace = trace(&world, &["-w", file.to_str().unwrap()]);
    trace.signal(Signal::SIGSTOP);
    h1.run(&format!("ping -f -q -c 60000 {}", h2.ip())).ok();
    trace.signal(Signal::SIGCONT);
    // Of these, too, the first are lost; when one has come through, nothing is lost any more.
    wait_for("a frame after the loss", PATIENCE, || {
        wire::send(&h1, &[wire::marked(h2.mac(), h1.mac(), "after the loss")]);
        // It is written when it has been quiet.
        thread::sleep(Duration::from_millis(300));
        end_of(&file, 4096).windows(14).any(|octets| octets == b"after the loss")
    });
    trace.signal(Signal::SIGINT);
    let outcome = trace.finish(PATIENCE);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let line = outcome.err.lines().find(|line| line.ends_with(" frames lost to the trace")).expect("it is told");
    let lost: u64 = line.split(' ').next().unwrap().parse().unwrap();
    assert!(lost > 1000, "{}", outcome.err);
    let told = fields(home, &file, "frame.drop_count > 0", &["frame.drop_count"]);
    let counted: u64 = told.iter().map(|row| row[0].parse::<u64>().unwrap()).sum();
    assert_eq!(counted, lost, "{told:?}");
    // tshark shows what stands in the statistics only when it reads the blocks as such.
    let blocks = world.folder().join("blocks.pcapng");
    fs::write(&blocks, without_packets(&fs::read(&file).unwrap())).unwrap();
    let mut words = vec!["-X", "read_format:MIME Files Format", "-r", blocks.to_str().unwrap(), "-T", "fields"];
    words.extend(["-e", "pcapng.options.option.data.interface.dropped_by_os"]);
    let text = Outcome::of(tshark(home, &words).output().unwrap()).ok();
    assert_eq!(text.trim(), format!("{lost},0,0,0"), "of the switch, h1, h2 and h3");
}

/// A capture's blocks but its packets, of which there are more than tshark shows at once.
fn without_packets(octets: &[u8]) -> Vec<u8> {
    const ENHANCED_PACKET: u32 = 6;
    let word = |at: usize| u32::from_le_bytes(octets[at..at + 4].try_into().unwrap());
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < octets.len() {
        let end = at + word(at + 4) as usize;
        if word(at) != ENHANCED_PACKET {
            kept.extend(&octets[at..end]);
        }
        at = end;
    }
    kept
}

/// The last octets of a file.
fn end_of(file: &Path, count: u64) -> Vec<u8> {
    let mut file = fs::File::open(file).unwrap();
    let from = file.metadata().unwrap().len().saturating_sub(count);
    file.seek(SeekFrom::Start(from)).unwrap();
    let mut octets = Vec::new();
    file.read_to_end(&mut octets).unwrap();
    octets
}
