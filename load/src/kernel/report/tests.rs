use proptest::prelude::*;

use super::*;

/// A run to its end, as Linux 6.1 writes it.
const DONE: &str = "\
Params: count 1000  min_pkt_size: 60  max_pkt_size: 60
     frags: 0  delay: 0  clone_skb: 0  ifname: eth0@0
     flows: 0 flowlen: 0
     queue_map_min: 0  queue_map_max: 0
     dst_min: 198.19.0.1  dst_max: 198.19.0.1
     src_min: 198.18.0.1  src_max: 198.18.0.1
     src_mac: 02:73:00:00:00:01 dst_mac: 02:64:00:00:00:01
     udp_src_min: 1024  udp_src_max: 1024  udp_dst_min: 9  udp_dst_max: 9
     src_mac_count: 1  dst_mac_count: 1
     vlan_id: 7  vlan_p: 0  vlan_cfi: 0
     Flags: UDPSRC_RND  NO_TIMESTAMP  
Current:
     pkts-sofar: 1000  errors: 2
     started: 2123us  stopped: 3357us idle: 7us
     seq_num: 1001  cur_dst_mac_offset: 0  cur_src_mac_offset: 0
     cur_saddr: 198.18.0.1  cur_daddr: 198.19.0.1
     cur_udp_dst: 9  cur_udp_src: 1024
     cur_queue_map: 0
     flows: 0
Result: OK: 1234(c1226+d7) usec, 1000 (60byte,0frags)
  810372pps 388Mb/sec (388978560bps) errors: 2
";

/// IPv6 and a mix, running.
const RUNNING: &str = "\
Params: count 0  min_pkt_size: 0  max_pkt_size: 0
     imix_weights: 60,7 590,4 1514,1 
     frags: 0  delay: 1000000  clone_skb: 0  ifname: eth0@1
     saddr: 2001:2::1  min_saddr: ::  max_saddr: ::
     daddr: 2001:2:0:1::  min_daddr: ::  max_daddr: ::
     src_mac: 02:73:00:00:00:01 dst_mac: 02:64:00:00:00:01
     Flags: IPV6  UDPCSUM  
Current:
     pkts-sofar: 12  errors: 0
     imix_size_counts: 60,7 590,4 1514,1 
     started: 100us  stopped: 12100us idle: 11000us
Result: Starting
";

fn read(text: &str) -> DeviceReport {
    DeviceReport::read(text).unwrap()
}

fn param<'a>(report: &'a DeviceReport, name: &str) -> &'a str {
    report.params.get(name).map_or("nothing", String::as_str)
}

#[test]
fn a_finished_run_is_read() {
    let report = read(DONE);
    for (name, value) in [
        ("count", "1000"),
        ("min_pkt_size", "60"),
        ("ifname", "eth0@0"),
        ("src_mac", "02:73:00:00:00:01"),
        ("dst_mac", "02:64:00:00:00:01"),
        ("udp_src_max", "1024"),
        ("vlan_id", "7"),
        ("Flags", "UDPSRC_RND NO_TIMESTAMP"),
    ] {
        assert_eq!(param(&report, name), value, "{name}");
    }
    let current = Current { frames: 1000, errors: 2, started_us: 2123, stopped_us: 3357, mix: Vec::new() };
    assert_eq!(report.current, current);
    let finished = Finished {
        elapsed_us: 1234,
        idle_us: 7,
        frames: 1000,
        octets_each: 60,
        pps: 810_372,
        bps: 388_978_560,
        errors: 2,
    };
    assert_eq!(report.result, Some(finished));
    assert!(!report.is_running() && report.complaint().is_none());
}

#[test]
fn a_run_that_goes_on_has_no_result() {
    let report = read(RUNNING);
    assert!(report.is_running() && report.result.is_none() && report.complaint().is_none());
    assert_eq!(param(&report, "saddr"), "2001:2::1");
    assert_eq!(param(&report, "min_saddr"), "::");
    assert_eq!(param(&report, "daddr"), "2001:2:0:1::");
    assert_eq!(param(&report, "imix_weights"), "60,7 590,4 1514,1");
    assert_eq!(report.current.mix, [(60, 7), (590, 4), (1514, 1)]);
}

#[test]
fn what_the_kernel_complains_of_is_told() {
    let with = |said: &str| read(&format!("{}Result: {said}\n", DONE.split_once("Result:").unwrap().0));
    for (said, complains) in [
        ("Idle", false),
        ("OK: count=1000", false),
        ("OK: flags=0x1", false),
        ("Starting", false),
        ("No such parameter \"imix_weights\"", true),
        ("Flag -:X:- unknown\nAvailable flags, (prepend ! to un-set flag):\nIPSRC_RND", true),
        ("ERROR: vlan_p must be 0-7", true),
        ("No memory", true),
    ] {
        let report = with(said);
        assert_eq!(report.complaint().is_some(), complains, "{said}");
        assert_eq!((report.said.as_str(), report.result), (said, None));
    }
}

#[test]
fn texts_that_are_none_are_none() {
    for text in ["", "Params:", "Params: count 1\nCurrent:", "Params: 1\nCurrent:\nResult: Idle", "Result: Idle"] {
        assert_eq!(DeviceReport::read(text), None, "{text}");
    }
    for bad in [
        "OK: x(c1+d1) usec, 1 (60byte,0frags)\n 1pps 0Mb/sec (1bps) errors: 0",
        "OK: 1 usec, 1 (60byte,0frags)\n 1pps 0Mb/sec (1bps) errors: 0",
        "OK: 1(c1+d1) usec, 1 (60byte,0frags)",
        "OK: 1(c1+d1) usec, 1 (60byte,0frags)\n 1pps 0Mb/sec 1bps errors: 0",
        "OK: 99999999999999999999(c1+d1) usec, 1 (60byte,0frags)\n 1pps 0Mb/sec (1bps) errors: 0",
    ] {
        assert_eq!(Finished::read(bad), None, "{bad}");
    }
    // A frame of fragments, of which pktgen does not know the number.
    let odd = "OK: 5(c5+d0) usec, 1 (60byte,-1frags)\n  200000pps 96Mb/sec (96000000bps) errors: 0";
    assert_eq!(Finished::read(odd).map(|finished| finished.pps), Some(200_000));
}

#[test]
fn threads_are_summed_over_the_whole_time() {
    let mut other = read(DONE);
    (other.current.started_us, other.current.stopped_us) = (3000, 4123);
    let totals = Totals::of([&read(DONE), &other]);
    assert_eq!((totals.frames, totals.errors, totals.octets), (2000, 4, Some(120_000)));
    assert!((totals.seconds - 0.002).abs() < 1e-9 && (totals.pps - 1e6).abs() < 1e-3, "{totals:?}");
    let alone = Totals::of([&read(DONE)]);
    assert!((alone.seconds - 0.001_234).abs() < 1e-9 && (alone.pps - 810_372.0).abs() < 1.0, "{alone:?}");
    assert_eq!(Totals::of([]).frames, 0);
}

#[test]
fn octets_are_told_where_they_are_known() {
    let mut report = read(RUNNING);
    report.result = Some(Finished { frames: 12, octets_each: 60, ..Finished::default() });
    assert_eq!(Totals::of([&report]).octets, Some(7 * 60 + 4 * 590 + 1514));
    report.result = Some(Finished { frames: 11, ..Finished::default() });
    assert_eq!(Totals::of([&report]).octets, None);
    let mut range = read(DONE);
    range.params.insert("max_pkt_size".to_owned(), "125".to_owned());
    assert_eq!(Totals::of([&read(DONE), &range]).octets, None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_read_without_a_crash(text in "\\PC*", cut in any::<prop::sample::Index>(), octet in any::<char>()) {
        let _ = DeviceReport::read(&text);
        let _ = Finished::read(&format!("OK: {text}"));
        for whole in [DONE, RUNNING] {
            let at = cut.index(whole.len());
            let mut bent = whole.to_owned();
            bent.replace_range(at..=at, &octet.to_string());
            for text in [&bent, &whole[..at], &whole[at..]] {
                if let Some(report) = DeviceReport::read(text) {
                    let _ = Totals::of([&report]);
                }
            }
        }
    }

    #[test]
    fn figures_are_read_back(figures in any::<[u32; 8]>()) {
        let [elapsed, busy, idle, frames, octets, pps, bps, errors] = figures;
        let text = format!("OK: {elapsed}(c{busy}+d{idle}) usec, {frames} ({octets}byte,0frags)\n  {pps}pps 1Mb/sec ({bps}bps) errors: {errors}");
        let expected = Finished {
            elapsed_us: elapsed.into(),
            idle_us: idle.into(),
            frames: frames.into(),
            octets_each: octets.into(),
            pps: pps.into(),
            bps: bps.into(),
            errors: errors.into(),
        };
        prop_assert_eq!(Finished::read(&text), Some(expected));
    }
}
