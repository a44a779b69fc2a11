//! Does Lanyard run on a stock Debian 12 kernel, and is the kernel's own pktgen told and reported right? In a machine of its own:
//! the lab tells its story, and what `lanyard pktgen --backend kernel` says is held against `/proc/net/pktgen` and the
//! interfaces' counters.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;
mod machine;

use std::time::Duration;

use harness::{assert_tells, ready, skip};
use machine::Console;
use serde_json::Value;

/// Without acceleration a machine takes half a minute for all this, on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(240);

/// What the machine does.
const SCRIPT: &str = r#"
kernel="lanyard pktgen --backend kernel --json"
within() { n=$1; shift; /bin/ip netns exec $n "$@"; }
counters() { run $1 /bin/ip -n $2 -s -j link show $3; }
# Run something, and keep what the device eth0@0 of a namespace says when it has ended.
watching() {
  : >/run/watch; rm -f /run/last; n=$1; shift
  within $n sh -c 'while [ -e /run/watch ]; do
    cat /proc/net/pktgen/eth0@0 >/run/now 2>/dev/null && grep -q usec /run/now && cp /run/now /run/last; usleep 10000
  done' & "$@"; ended=$?; rm /run/watch; wait; return $ended
}
sent() { within h1 awk '$1 == "eth0:" { print $11 }' /proc/net/dev; }
# It sends; and has sent for a while.
sending() { until within h1 grep -q Starting /proc/net/pktgen/eth0@0 2>/dev/null; do usleep 20000; done; usleep 300000; }
ended_by() { signal=$1; shift; "$@" & pid=$!; sending; kill -$signal $pid; wait $pid; }

run release cat /proc/sys/kernel/osrelease
run lab lanyard lab
/bin/ip link set lo up
run missing lanyard pktgen --backend kernel --tx lo --rx eth9
load pktgen
for n in h1 h2 w1 w2; do
  /bin/ip netns add $n
  within $n sh -c 'for which in all default; do echo 1 >/proc/sys/net/ipv6/conf/$which/disable_ipv6; done'
done
/bin/ip -n h1 link add eth0 type veth peer name eth0 netns h2
/bin/ip link set eth0 netns w1; /bin/ip link set eth1 netns w2
for i in "h1 eth0" "h2 eth0" "w1 eth0" "w2 eth1"; do /bin/ip -n ${i% *} link set ${i#* } up; done

veth="--tx ns:h1/eth0 --rx ns:h2/eth0"
counters tx-before h1 eth0; counters rx-before h2 eth0
run veth watching h1 $kernel $veth --count 2000
run veth-file cat /run/last
counters tx-after h1 eth0; counters rx-after h2 eth0
run mapped watching h1 $kernel $veth --count 1001 --rate 2kpps --threads 2 --vlan 7 --src-macs 10 --dst-macs 3 --walk random --flows 5 --size 68-200 --flag NO_TIMESTAMP
run mapped-file cat /run/last
run mix $kernel $veth --count 500 --size imix --rate 5Mbps
run six $kernel $veth --count 500 --kind udp-ipv6
run stopped ended_by TERM $kernel $veth --duration 60s
before=$(sent)
lanyard pktgen $veth --rate 200pps --duration 60s >/dev/null 2>&1 & other=$!
until [ $(sent) -gt $((before + 20)) ]; do usleep 20000; done
run beside $kernel $veth --count 500 --rate 1kpps
run csv lanyard pktgen --backend kernel $veth --count 500 --rate 1kpps --csv
kill $other; wait $other
run copies-on-veth $kernel $veth --clone-skb 10
run threads $kernel $veth --threads 3
run socket lanyard pktgen $veth --threads 2
run arp $kernel $veth --kind arp-request
run files within h1 ls /proc/net/pktgen
run killed ended_by KILL $kernel $veth --duration 60s
usleep 500000
run killed-file within h1 cat /proc/net/pktgen/eth0@0
run held $kernel $veth --count 10
run reset within h1 sh -c 'echo reset >/proc/net/pktgen/pgctrl'
run free $kernel $veth --count 10
/bin/ip -n h1 tuntap add tap0 mode tap; /bin/ip -n h1 link set tap0 up
run carrier $kernel --tx ns:h1/tap0 --rx ns:h2/eth0 --count 10
vanishing() { "$@" & pid=$!; sending; /bin/ip -n h1 link del eth0; wait $pid; }
run vanished vanishing $kernel $veth --duration 60s

wire="--tx ns:w1/eth0 --rx ns:w2/eth1"
run copies $kernel $wire --count 1003 --clone-skb 10
run bursts $kernel $wire --count 1000 --burst 8 --threads 2

lanyard lab up >/run/lab
pid() { lanyard lab ls | awk -v host=$1 '$1 == host { print $NF }'; }
run tap $kernel --tx pid:$(pid h1)/eth0 --rx pid:$(pid h2)/eth0 --count 1000 --rate 1kpps
run ports lanyard show ports --json
run down lanyard lab down
"#;

/// A figure of a report, by the names on the way to it.
fn figure(said: &Value, path: &str) -> u64 {
    let pointer = format!("/{path}");
    said.pointer(&pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {said}"))
}

/// What stands between two pieces of a text, as a number.
fn number(text: &str, before: &str, behind: &str) -> u64 {
    let found = text.split_once(before).and_then(|(_, rest)| rest.split_once(behind));
    found
        .and_then(|(number, _)| number.trim().parse().ok())
        .unwrap_or_else(|| panic!("no {before}..{behind} in {text}"))
}

/// By how much an interface's counter rose.
fn rise(console: &Console, side: &str, counter: &str) -> u64 {
    let count =
        |when: &str| figure(&console.section(&format!("{side}-{when}")).json(), &format!("0/stats64/{side}/{counter}"));
    count("after") - count("before")
}

/// The report of a run in which every frame came, once, and no count contradicts another.
fn clean(console: &Console, name: &str) -> Value {
    let said = console.section(name).json();
    for fault in ["lost", "surplus", "duplicates", "misdelivered", "damaged", "foreign", "too_old"] {
        assert_eq!(figure(&said, fault), 0, "{name}, {fault}: {said}");
    }
    assert_eq!(said["backend"], "kernel pktgen");
    assert_eq!(figure(&said, "sent/frames"), figure(&said, "pktgen/tx_interface/tx_frames"), "{name}: {said}");
    assert_eq!(figure(&said, "received/frames"), figure(&said, "pktgen/rx_interface/rx_frames"), "{name}: {said}");
    said
}

#[test]
fn the_kernel_s_pktgen_and_the_lab_work_on_debian_s_kernel() {
    let name = "the_kernel_s_pktgen_and_the_lab_work_on_debian_s_kernel";
    if !ready(name, machine::TOOLS) {
        return;
    }
    let Some(kernel) = machine::kernel() else {
        return skip(name, "Debian's kernel, which tools/test fetches");
    };
    let console = machine::boot(&kernel, SCRIPT, PATIENCE);
    the_lab_tells_its_story(&console);
    figures_are_those_of_proc(&console);
    options_are_mapped(&console);
    an_end_before_the_end_is_told(&console);
    what_is_refused_is_one_line(&console);
    copies_and_bursts_are_counted(&console);
    the_lab_s_ports_are_loaded(&console);
}

fn the_lab_tells_its_story(console: &Console) {
    let release = console.section("release").ok();
    assert!(release.ends_with("cloud-amd64"), "{release}");
    let story = console.section("lab").ok();
    assert!(!story.contains("NOT SEEN"), "{story}");
    assert_tells(
        story,
        &[
            "ARP who-has 10.0.1.12 tell 10.0.1.11",
            "FLOOD broadcast -> h2 h3",
            "ICMP echo reply 10.0.1.12 > 10.0.1.11",
            "UNICAST -> h1",
            "ROUTE to net2 via 10.0.2.14 ttl 63",
            "Everything told here happened",
        ],
    );
}

fn figures_are_those_of_proc(console: &Console) {
    let said = clean(console, "veth");
    let file = console.section("veth-file").ok();
    let (frames, elapsed) = (number(file, " usec, ", " ("), number(file, "Result: OK: ", "("));
    assert_eq!((figure(&said, "sent/frames"), frames, number(file, "pkts-sofar: ", " ")), (2000, 2000, 2000));
    // pktgen counts nanoseconds, and says microseconds and whole frames a second.
    let (pps, ours) = (number(file, "frags)\n", "pps"), said["sent"]["pps"].as_f64().unwrap());
    let [theirs, step] = [pps, 1 + pps / elapsed].map(|figure| f64::from(u32::try_from(figure).unwrap()));
    assert!((theirs - ours).abs() <= step + 1.0, "{pps} {ours}: {file}");
    assert_eq!(figure(&said, "pktgen/devices/0/result/pps"), pps);
    assert_eq!(said["pktgen"]["devices"][0]["said"].as_str().unwrap(), file.split_once("Result: ").unwrap().1);
    assert_eq!(said["pktgen"]["differences"], Value::Array(Vec::new()), "{said}");

    let counted = (rise(console, "tx", "packets"), rise(console, "tx", "bytes"), rise(console, "rx", "bytes"));
    assert_eq!((figure(&said, "sent/frames"), figure(&said, "sent/octets"), figure(&said, "received/octets")), counted);
    assert_eq!(figure(&said, "received/frames"), rise(console, "rx", "packets"));
    assert!(figure(&said, "latency/p50_ns") > 1000, "{said}");
}

fn options_are_mapped(console: &Console) {
    let said = clean(console, "mapped");
    let file = console.section("mapped-file").ok();
    for piece in [
        "Params: count 501  min_pkt_size: 64  max_pkt_size: 197\n",
        "delay: 1000000  clone_skb: 0  ifname: eth0@0\n",
        "dst_min: 198.19.0.1  dst_max: 198.19.0.4\n",
        "src_min: 198.18.0.1  src_max: 198.18.0.11\n",
        "src_mac: 02:73:00:00:00:01 dst_mac: 02:64:00:00:00:01\n",
        "udp_src_min: 1024  udp_src_max: 1029  udp_dst_min: 9  udp_dst_max: 9\n",
        "src_mac_count: 10  dst_mac_count: 3\n",
        "vlan_id: 7  vlan_p: 0  vlan_cfi: 0\n",
    ] {
        assert!(file.contains(piece), "no '{piece}' in {file}");
    }
    let flags = file.lines().find_map(|line| line.trim().strip_prefix("Flags:")).unwrap();
    let flags: Vec<_> = flags.split_whitespace().collect();
    for flag in ["IPSRC_RND", "IPDST_RND", "TXSIZE_RND", "UDPSRC_RND", "NO_TIMESTAMP", "MACSRC_RND", "MACDST_RND"] {
        assert!(flags.contains(&flag), "{flag}: {flags:?}");
    }
    assert_eq!(flags.len(), 7, "{flags:?}");
    assert_eq!((figure(&said, "sent/frames"), figure(&said, "offered/frames")), (1001, 1001));
    assert_eq!((figure(&said, "streams/0/received"), figure(&said, "streams/1/received")), (501, 500), "{said}");
    assert_eq!(figure(&said, "sent/octets"), figure(&said, "pktgen/tx_interface/tx_octets"), "{said}");
    assert!(said["latency"].is_null(), "{said}");

    let mix = clean(console, "mix");
    assert_eq!(mix["pktgen"]["devices"][0]["params"]["imix_weights"], "60,7 590,4 1514,1");
    let made = mix["pktgen"]["devices"][0]["current"]["mix"].as_array().unwrap();
    assert_eq!(made.iter().map(|pair| figure(pair, "1")).sum::<u64>(), 500, "{mix}");
    assert_eq!(figure(&mix, "sent/octets"), figure(&mix, "received/octets"), "{mix}");

    let six = clean(console, "six");
    assert_eq!(six["pktgen"]["devices"][0]["params"]["Flags"], "IPV6 UDPCSUM");
    assert_eq!((figure(&six, "received/frames"), figure(&six, "received/octets")), (500, 40_000), "{six}");
}

fn an_end_before_the_end_is_told(console: &Console) {
    let said = clean(console, "stopped");
    let seconds = said["sent"]["seconds"].as_f64().unwrap();
    assert!(figure(&said, "sent/frames") > 100 && seconds < 30.0, "{said}");
    assert_eq!(said["pktgen"]["differences"], Value::Array(Vec::new()), "{said}");

    // Nobody has the TAP open.
    let said = console.section("carrier").json();
    assert_eq!(figure(&said, "sent/frames"), 0, "{said}");
    assert!(said["pktgen"]["differences"][0].as_str().unwrap().contains("lost its carrier"), "{said}");

    // Another program sends by the same interface meanwhile: the interface counts more than pktgen.
    let said = console.section("beside").json();
    let differences = said["pktgen"]["differences"].as_array().unwrap();
    assert!(differences.iter().any(|note| note.as_str().unwrap().contains("somebody else sent")), "{said}");
    assert_eq!((figure(&said, "sent/frames"), figure(&said, "lost")), (500, 0), "{said}");
    let csv = console.section("csv");
    assert!(csv.out.lines().count() == 2 && csv.err.contains("somebody else sent"), "{csv:?}");

    // The kernel stops when the program is killed. The device stays, and the next run does not take it for its own.
    assert_eq!(console.section("killed").code, 128 + 9);
    let file = console.section("killed-file").ok();
    assert!(file.contains("Result: OK: ") && number(file, " usec, ", " (") > 0, "{file}");
}

fn what_is_refused_is_one_line(console: &Console) {
    for (name, code, piece) in [
        ("missing", 1, "this kernel has no pktgen: modprobe pktgen, or --backend socket"),
        ("copies-on-veth", 1, "leave --clone-skb and --burst out"),
        ("threads", 2, "--threads 3: pktgen has one on each CPU, here 2"),
        ("socket", 2, "--threads is for the kernel's pktgen"),
        ("arp", 2, "--kind arp-request: the kernel's pktgen sends UDP only"),
        ("vanished", 1, "went away"),
        ("held", 1, "pktgen holds eth0@0 already"),
    ] {
        let section = console.section(name);
        assert_eq!((section.code, section.out), (code, ""), "{name}: {section:?}");
        assert!(section.err.lines().count() == 1 && section.err.contains(piece), "{name}: {section:?}");
    }
    let files: Vec<_> = console.section("files").ok().split_whitespace().collect();
    assert_eq!(files, ["kpktgend_0", "kpktgend_1", "pgctrl"], "a device was left");
    console.section("reset").ok();
    assert_eq!(figure(&clean(console, "free"), "received/frames"), 10);
}

/// By virtio cards, which share frames. Frames may overtake each other on qemu's wire, and nothing is lost.
fn copies_and_bursts_are_counted(console: &Console) {
    let said = clean(console, "copies");
    assert_eq!(said["pktgen"]["devices"][0]["params"]["clone_skb"], "10");
    assert_eq!((figure(&said, "sent/frames"), figure(&said, "received/frames")), (1003, 1003), "{said}");

    let said = clean(console, "bursts");
    assert_eq!(said["pktgen"]["devices"][1]["params"]["burst"], "8");
    let sent = figure(&said, "sent/frames");
    assert!((1000..=1014).contains(&sent), "a thread ends behind a whole burst: {said}");
    let told = said["pktgen"]["differences"].as_array().unwrap();
    assert_eq!(told.iter().any(|note| note.as_str().unwrap().contains("behind a whole burst")), sent > 1000, "{said}");
}

fn the_lab_s_ports_are_loaded(console: &Console) {
    let said = clean(console, "tap");
    assert_eq!((figure(&said, "sent/frames"), figure(&said, "received/frames")), (1000, 1000), "{said}");
    let ports = console.section("ports").json();
    let port = |name: &str| ports.as_array().unwrap().iter().find(|row| row["endpoint"] == name).unwrap().clone();
    // With the frames by which the receiver made itself known, and the kernel's own, if any.
    assert!((1000..1010).contains(&figure(&port("h1"), "rx_frames")), "{ports}");
    assert!((1000..1010).contains(&figure(&port("h2"), "tx_frames")), "{ports}");
    console.section("down").ok();
}
