use proptest::prelude::*;

use super::*;
use crate::Sizes;
use crate::stream::{Errored, ErroredKind};

fn usual() -> StreamSpec {
    StreamSpec::default()
}

fn sized(sizes: &str) -> StreamSpec {
    StreamSpec { sizes: sizes.parse().unwrap(), ..usual() }
}

fn threads(threads: u32) -> Options {
    Options { threads, ..Options::default() }
}

fn plan(spec: &StreamSpec, rate: &str, count: Option<u64>, options: &Options) -> Result<Plan, String> {
    Plan::new(spec, rate.parse().unwrap(), count, options, "eth0").map_err(|error| error.to_string())
}

fn lines(spec: &StreamSpec, rate: &str, options: &Options) -> Vec<String> {
    plan(spec, rate, Some(1000), options).unwrap().devices.remove(0).commands
}

fn has(lines: &[String], wanted: &[&str]) {
    for line in wanted {
        assert!(lines.iter().any(|have| have == line), "no '{line}' in {lines:#?}");
    }
}

#[test]
fn the_usual_stream_is_these_lines() {
    let plan = plan(&usual(), "max", Some(1000), &Options::default()).unwrap();
    assert_eq!((plan.repeats, plan.flows, plan.stamped), (1, 1, true));
    let device = &plan.devices[0];
    assert_eq!((device.thread_file(), device.add_command()), ("kpktgend_0".into(), "add_device eth0@0".into()));
    let expected = [
        "count 1000",
        "pkt_size 60",
        "delay 0",
        "src_mac 02:73:00:00:00:01",
        "src_mac_count 1",
        "src_min 198.18.0.1",
        "src_max 198.18.0.1",
        "dst_mac 02:64:00:00:00:01",
        "dst_mac_count 1",
        "dst_min 198.19.0.1",
        "dst_max 198.19.0.1",
        "udp_src_min 1024",
        "udp_src_max 1024",
        "udp_dst_min 9",
        "udp_dst_max 9",
        "xmit_mode start_xmit",
    ];
    assert_eq!(device.commands, expected);
}

#[test]
fn ranges_end_where_the_kernel_has_their_ends() {
    let many = |walk| {
        let mut spec = usual();
        (spec.sources.count, spec.sources.walk) = (256, walk);
        lines(&StreamSpec { flows: 10, ..spec }, "max", &Options::default())
    };
    has(&many(Walk::Sequential), &["src_mac_count 256", "src_min 198.18.0.1", "src_max 198.18.1.0"]);
    let random = many(Walk::Random);
    has(&random, &["src_mac_count 256", "src_max 198.18.1.1", "flag MACSRC_RND", "flag IPSRC_RND"]);
    has(&random, &["udp_src_min 1024", "udp_src_max 1034", "flag UDPSRC_RND"]);
    has(&many(Walk::Fixed), &["src_mac_count 1", "src_max 198.18.0.1"]);
    // Asked for by name, a flag moves the end, too.
    let mut spec = usual();
    spec.destinations.count = 2;
    let options = Options { flags: vec!["ipdst_rnd".parse().unwrap(); 2], ..Options::default() };
    let lines = lines(&spec, "max", &options);
    has(&lines, &["dst_mac_count 2", "dst_max 198.19.0.3"]);
    assert_eq!(lines.iter().filter(|line| *line == "flag IPDST_RND").count(), 1);
}

#[test]
fn sizes_are_without_fcs() {
    let of = |sizes: &str| lines(&sized(sizes), "max", &Options::default());
    has(&of("1518"), &["pkt_size 1514"]);
    has(&of("64-128"), &["min_pkt_size 60", "max_pkt_size 125", "flag TXSIZE_RND"]);
    has(&of("imix"), &["imix_weights 60,7 590,4 1514,1"]);
    let tagged = lines(&StreamSpec { vlan: Some(7), ..sized("68") }, "max", &Options::default());
    has(&tagged, &["pkt_size 64", "vlan_id 7"]);
    let six = StreamSpec { kind: Kind::UdpIpv6, ..sized("84") };
    has(&lines(&six, "max", &Options::default()), &["src6 2001:2::1", "dst6 2001:2:0:1::1", "flag UDPCSUM"]);
}

#[test]
fn rates_are_delays() {
    for (rate, count, delay) in [
        ("max", 1, "delay 0"),
        ("1pps", 1, "delay 1000000000"),
        ("1kpps", 1, "delay 1000000"),
        ("1kpps", 4, "delay 4000000"),
        ("1.5Mpps", 1, "delay 667"),
        // 84 octets of the wire: 672 ns.
        ("1Gbps", 1, "delay 672"),
        ("1Gbps", 3, "delay 2016"),
        ("9000000000pps", 1, "delay 1"),
    ] {
        has(&lines(&usual(), rate, &threads(count)), &[delay]);
    }
}

/// The kernel waits once for all frames of a burst.
#[test]
fn bursts_wait_as_long_as_their_frames() {
    for (rate, threads, clone_skb, burst, delay) in [
        ("max", 1, 0, 8, "delay 0"),
        ("1kpps", 1, 0, 0, "delay 1000000"),
        ("1kpps", 1, 0, 8, "delay 8000000"),
        ("1kpps", 4, 0, 8, "delay 32000000"),
        ("1kpps", 1, 100, 1, "delay 1000000"),
        ("1.5Mpps", 1, 10, 3, "delay 2000"),
        ("8pps", 1, 0, 8, "delay 1000000000"),
    ] {
        let options = Options { threads, clone_skb, burst, ..Options::default() };
        has(&lines(&usual(), rate, &options), &[delay]);
    }
    let refused = plan(&usual(), "7pps", None, &Options { burst: 8, ..Options::default() }).unwrap_err();
    assert!(
        refused.contains("--rate 7pps is less than one burst of 8 frames a second of each of 1 threads"),
        "{refused}"
    );
    assert!(refused.ends_with("or a smaller --burst"), "{refused}");
}

#[test]
fn usual_addresses_stay_in_their_half() {
    let many = |walk| {
        let mut spec = usual();
        (spec.sources.count, spec.sources.walk) = (300_000, walk);
        lines(&spec, "max", &Options::default())
    };
    has(&many(Walk::Sequential), &["src_mac_count 300000", "src_min 198.18.0.1", "src_max 198.18.255.254"]);
    has(&many(Walk::Random), &["src_mac_count 300000", "src_min 198.18.0.1", "src_max 198.18.255.255"]);
}

#[test]
fn threads_share_frames_and_have_ports_of_their_own() {
    let spec = StreamSpec { flows: 100, ..usual() };
    let plan = plan(&spec, "max", Some(11), &threads(3)).unwrap();
    assert_eq!(plan.devices.iter().map(|device| device.count).collect::<Vec<_>>(), [4, 4, 3]);
    for (device, name, first, end) in [(0, "eth0@0", 1024, 1124), (1, "eth0@1", 1124, 1224), (2, "eth0@2", 1224, 1324)]
    {
        let device = &plan.devices[device];
        assert_eq!(device.name, name);
        has(&device.commands, &[&format!("udp_src_min {first}"), &format!("udp_src_max {end}")]);
    }
    let endless = super::tests::plan(&usual(), "max", None, &threads(2)).unwrap();
    assert!(endless.devices.iter().all(|device| device.count == 0 && device.commands[0] == "count 0"));
}

#[test]
fn copies_have_one_number() {
    let options = Options { clone_skb: 10, burst: 4, ..Options::default() };
    let plan = plan(&usual(), "max", None, &options).unwrap();
    assert_eq!((plan.repeats, plan.stamped), (40, false));
    has(&plan.devices[0].commands, &["clone_skb 10", "burst 4"]);
    let quiet = Options { flags: vec!["NO_TIMESTAMP".parse().unwrap()], ..Options::default() };
    assert!(!super::tests::plan(&usual(), "max", None, &quiet).unwrap().stamped);
    assert!(!super::tests::plan(&usual(), "1kpps", None, &Options::default()).unwrap().stamped);
}

#[test]
fn what_cannot_be_is_refused_by_its_option() {
    let many = |count, walk, kind| {
        let mut spec = StreamSpec { kind, sizes: Sizes::fixed(84).unwrap(), ..usual() };
        (spec.sources.count, spec.sources.walk) = (count, walk);
        spec
    };
    let mut carries = usual();
    carries.sources.mac = "02:ff:ff:ff:ff:ff".parse().unwrap();
    carries.sources.count = 2;
    let errored = Errored { per_million: 1, kinds: vec![ErroredKind::Runt], giant_octets: Errored::usual_giant() };
    let options = Options::default;
    let twenty_one = (64..85).map(|size| format!("{size}:1")).collect::<Vec<_>>().join(",");
    for (spec, rate, count, options, says) in [
        (StreamSpec { kind: Kind::ArpRequest, ..usual() }, "max", None, options(), "--kind arp-request:"),
        (StreamSpec { kind: Kind::Plain, ..usual() }, "max", None, options(), "--kind plain:"),
        (many(2, Walk::ZIPF, Kind::UdpIpv4), "max", None, options(), "--walk zipf:"),
        (many(2, Walk::Sequential, Kind::UdpIpv6), "max", None, options(), "2 addresses in udp-ipv6:"),
        (StreamSpec { broadcast_per_million: 5, ..usual() }, "max", None, options(), "5 broadcasts in a million"),
        (StreamSpec { errored: Some(errored), ..usual() }, "max", None, options(), "errored frames:"),
        (sized("64-100:1,1518:1"), "max", None, options(), "--size 64-100:1,1518:1:"),
        (sized(&twenty_one), "max", None, options(), "at most 20 sizes"),
        (sized("imix"), "max", None, Options { clone_skb: 1, ..options() }, "--clone-skb sends copies"),
        (usual(), "max", None, Options { burst: 2, xmit_mode: XmitMode::QueueXmit, ..options() }, "--burst goes past"),
        (usual(), "max", None, threads(0), "--threads 0:"),
        (usual(), "max", None, threads(129), "--threads 129:"),
        (StreamSpec { flows: 64_512, ..usual() }, "max", None, options(), "write at most 64511 --flows"),
        (StreamSpec { flows: 40_000, ..usual() }, "max", None, threads(2), "write at most 32255 --flows"),
        (usual(), "3pps", None, threads(4), "--rate 3pps is less than one frame a second of each of 4"),
        (usual(), "max", Some(3), threads(4), "--count 3 leaves a thread of 4"),
        (usual(), "max", Some(0), options(), "--count 0 leaves"),
        (usual(), "max", Some(10_000_000_000), options(), "--count 10000000000: a thread"),
        (carries, "max", None, options(), "2 source MACs from 02:ff:ff:ff:ff:ff on run out"),
        (StreamSpec { vlan: Some(5000), ..sized("68") }, "max", None, options(), "VLAN 5000"),
    ] {
        let refused = plan(&spec, rate, count, &options).unwrap_err();
        assert!(refused.contains(says) && !refused.contains('\n'), "'{refused}' does not say '{says}'");
    }
    let one = many(1, Walk::ZIPF, Kind::UdpIpv6);
    assert!(plan(&one, "max", None, &options()).is_ok(), "one address needs no walk");
}

#[test]
fn flags_and_modes_have_names() {
    for name in FLAGS {
        assert_eq!(name.parse::<Flag>().unwrap().to_string(), name);
    }
    for bad in ["", "VID_RND", "IPV6", "!UDPCSUM", "MACSRC_RND x"] {
        let refused = bad.parse::<Flag>().unwrap_err().to_string();
        assert!(refused.contains("IPSRC_RND, IPDST_RND"), "{refused}");
    }
    assert_eq!(" queue_xmit".parse(), Ok(XmitMode::QueueXmit));
    let refused = "netif_receive".parse::<XmitMode>().unwrap_err().to_string();
    assert!(refused.contains("'netif_receive' is no --xmit-mode"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is asked for: a line is a name and values, as the kernel reads them; frames are neither lost nor added.
    #[test]
    fn lines_are_whole(
        (low, more, count, flows) in (64u32..2000, 0u32..200, 1u32..100_000, 1u32..600),
        walk in prop_oneof![Just(Walk::Fixed), Just(Walk::Sequential), Just(Walk::Random)],
        (all, threads, burst) in (128u64..u64::MAX, 1u32..=100, 1u32..64),
        pps in 1u64..u64::MAX,
    ) {
        let mut spec = StreamSpec { sizes: Sizes::uniform(low, low + more).unwrap(), flows, ..StreamSpec::default() };
        (spec.sources.count, spec.sources.walk) = (count, walk);
        let options = Options { threads, burst, ..Options::default() };
        let Ok(plan) = Plan::new(&spec, Rate::Frames(pps.try_into().unwrap()), Some(all), &options, "eth0") else {
            prop_assert!(pps < u64::from(threads) * u64::from(burst) || all.div_ceil(threads.into()) > MOST_COUNT);
            return Ok(());
        };
        prop_assert_eq!(plan.devices.iter().map(|device| device.count).sum::<u64>(), all);
        for line in plan.devices.iter().flat_map(|device| &device.commands) {
            let (name, value) = line.split_once(' ').unwrap();
            prop_assert!(name.len() < 16 && !value.is_empty() && value.len() < 32 && line.is_ascii(), "{}", line);
            if let Ok(number) = value.parse::<u64>() {
                prop_assert!(number <= MOST_COUNT, "{}", line);
            }
        }
    }
}
