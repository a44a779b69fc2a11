//! Does the built program keep its word to people and scripts: help, exit codes, one-line errors, JSON as it came?
//!
//! No daemon and no privilege: where one is needed, a fake one gives the answer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod fake;
mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fake::{ENDLESS, FakeDaemon, chunk, response};
use program::{assert_done, assert_refused, err, lanyard, out, run};

const NOWHERE: &str = "/nonexistent/lanyard/control.sock";

const ENDPOINT: &str = r#"{"endpoint":"web","network":"blue","port":"p1","netns":"web","ifname":"eth0","ip":"10.20.0.2/24","mac":"02:42:0a:14:00:02","kind":"tap","offload":true,"static":false,"state":"up"}"#;

fn network() -> String {
    format!(
        r#"{{"name":"blue","id":"{}","subnet":"10.20.0.0/24","gateway":"10.20.0.1","gateway_mac":"02:42:0a:14:00:01","gateway_mode":"router","mtu":1500,"mac_limit":null,"mac_capacity":8192,"ageing":300,"arp":"flood","forward_reserved":false,"peers":[],"endpoints":[{ENDPOINT}],"added_later":[1,2]}}"#,
        "ab".repeat(32)
    )
}

fn record(number: u64) -> String {
    format!(
        r#"{{"number":{number},"at_unix_ns":0,"at_ms":0,"network":"blue","port":"h1","octets":60,"segment_octets":null,"source":"02:42:0a:14:00:02","source_name":"h1","destination":"02:42:0a:14:00:03","destination_name":"h2","summary":"ICMP echo request","steps":[{{"step":"admitted"}}],"verdict":{{"kind":"unicast","to":"h2"}},"egress":[],"lost":0}}{}"#,
        "\n"
    )
}

#[test]
fn help_of_every_command_shows_an_example() {
    let network = ["create", "ls", "inspect", "rm", "prune", "connect", "disconnect", "peer"];
    let lab = ["demo", "up", "exec", "ls", "down"];
    let single = [
        "lab",
        "run",
        "network",
        "show",
        "trace",
        "wireshark",
        "ladder",
        "top",
        "explain",
        "why",
        "arp",
        "fault",
        "clock",
        "learn",
        "pktgen",
        "docker",
        "ports",
        "version",
    ];
    let more = [
        ["arp", "show"],
        ["arp", "watch"],
        ["fault", "add"],
        ["fault", "ls"],
        ["fault", "rm"],
        ["clock", "warp"],
        ["learn", "start"],
        ["learn", "next"],
        ["learn", "check"],
        ["learn", "hint"],
        ["learn", "stop"],
        ["learn", "validate"],
        ["lab", "send"],
        ["docker", "install"],
        ["docker", "status"],
        ["docker", "uninstall"],
    ];
    let mut commands: Vec<Vec<&str>> = vec![vec![]];
    commands.extend(single.map(|word| vec![word]));
    commands.extend(network.map(|word| vec!["network", word]));
    commands.extend(lab.map(|word| vec!["lab", word]));
    commands.extend(more.map(Vec::from));
    for mut words in commands {
        words.push("--help");
        let help = assert_done(&run(Path::new(NOWHERE), &words));
        assert!(help.contains("Example") && help.contains("  lanyard "), "{words:?}: {help}");
        assert!(!help.contains('\x1b'), "colours without a terminal: {words:?}");
        words.pop();
        words.insert(0, "help");
        assert_eq!(assert_done(&run(Path::new(NOWHERE), &words)), help);
    }
}

#[test]
fn the_version_is_said_in_both_ways() {
    let version = format!("lanyard {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(assert_done(&run(Path::new(NOWHERE), &["version"])), version);
    assert_eq!(assert_done(&run(Path::new(NOWHERE), &["--version"])), version);
}

#[test]
fn wrong_words_end_with_2_and_name_the_mend() {
    let create = ["network", "create", "blue"];
    let connect = ["network", "connect", "blue", "--netns", "web"];
    let one_line: [(&[&str], &[&str], &[&str]); 12] = [
        (&create, &["-o", "colour=red"], &["'colour'", "arp=flood|suppress", "mac-capacity=N"]),
        (&create, &["-o", "ageing=soon"], &["'ageing'", "'soon'", "ageing=SECONDS"]),
        (&create, &["-o", "forward-reserved"], &["'forward-reserved'", "true|false"]),
        (&create, &["--subnet", "10.20.0.0"], &["--subnet", "10.20.0.0/24"]),
        (&create, &["--gateway-mode", "hub"], &["--gateway-mode", "`router`", "`none`"]),
        (&create, &["--mtu", "many"], &["--mtu", "many"]),
        (&connect, &["--ip", "10.20.0.2/24"], &["--ip", "without a prefix length"]),
        (&connect, &["--mac", "02:42"], &["--mac", "six octets"]),
        (&connect, &["--offload", "maybe"], &["--offload", "on or off"]),
        (&["network", "connect", "blue"], &["--netns", "/proc/self/ns/net"], &["pid:PID"]),
        (&["show", "workers"], &["--network", "blue"], &["--network"]),
        (&["network", "prune"], &[], &["--force"]),
    ];
    for (begin, end, pieces) in one_line {
        let words: Vec<_> = begin.iter().chain(end).copied().collect();
        assert_refused(&run(Path::new(NOWHERE), &words), 2, pieces);
    }
    // A group without a word shows its help.
    for words in [&[][..], &["network"]] {
        let output = run(Path::new(NOWHERE), words);
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(2), ""), "{words:?}");
        assert!(err(&output).contains("Usage:") && err(&output).contains("Examples:"), "{}", err(&output));
    }
}

#[test]
fn words_in_the_wrong_place_are_one_line_that_says_where_to_read_on() {
    let connect = "see 'lanyard network connect --help'";
    let cases: [(&[&str], &[&str]); 25] = [
        (&["fly"], &["'fly'", "see 'lanyard --help'"]),
        (&["traze"], &["'traze'", "perhaps 'trace'", "see 'lanyard --help'"]),
        (&["--fly"], &["'--fly'", "see 'lanyard --help'"]),
        (&["--socket"], &["--socket <PATH>", "see 'lanyard --help'"]),
        (&["help", "fly"], &["'fly'"]),
        (&["network", "conect"], &["'conect'", "'connect'", "see 'lanyard network --help'"]),
        (&["network", "list", "blue"], &["'blue'", "see 'lanyard network ls --help'"]),
        (&["network", "connect"], &["not provided", "<NAME>", "--netns", connect]),
        (&["network", "connect", "blue"], &["not provided", "--netns <NAME|PATH|pid:PID>", connect]),
        (&["network", "connect", "blue", "--netns"], &["--netns <NAME|PATH|pid:PID>", connect]),
        (&["network", "connect", "blue", "--netns", "web", "--ip"], &["--ip <IP>", connect]),
        (&["network", "connect", "blue", "--netns", "web", "--ip", "10.9"], &["'10.9'", connect]),
        (&["network", "connect", "blue", "--netns=a", "--netns=b"], &["--netns", "multiple times", connect]),
        (&["network", "connect", "blue", "--netnz", "web"], &["'--netnz'", "perhaps '--netns'", connect]),
        (&["network", "create", ""], &["'<NAME>'", "see 'lanyard network create --help'"]),
        (&["network", "create", "a", "--mtu", "many"], &["--mtu", "'many'", "see 'lanyard network create --help'"]),
        (&["network", "rm"], &["<NAME>", "see 'lanyard network rm --help'"]),
        (&["network", "rm", "blue", "--force=yes"], &["--force", "'yes'", "see 'lanyard network rm --help'"]),
        (&["show", "frogs"], &["'frogs'", "'ports', 'mac', 'arp', 'drops', 'workers'", "see 'lanyard show --help'"]),
        (&["show", "a\n\nUsage: b\x1b[2J"], &["'ports'", "see 'lanyard show --help'"]),
        (&["trace", "-v", "--json"], &["'--verbose'", "'--json'", "see 'lanyard trace --help'"]),
        (&["trace", "-v", "-o", "jsonl"], &["'-v' is for people", "write one of them"]),
        (&["trace", "-v", "-w", "a.pcapng"], &["'--verbose'", "'--write <FILE|->'", "see 'lanyard trace --help'"]),
        (&["ladder", "live", "--last", "3"], &["'live'", "--last", "write one of them"]),
        (&["lab", "exec"], &["see 'lanyard lab exec --help'"]),
    ];
    for (words, pieces) in cases {
        let output = run(Path::new(NOWHERE), words);
        assert_refused(&output, 2, pieces);
        let text = err(&output);
        assert!(!text.contains("error:") && !text.contains("  ") && !text.contains('\x1b'), "{words:?}: {text}");
    }
}

#[test]
fn without_a_daemon_the_mend_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let plain_file = folder.path().join("file");
    std::fs::write(&plain_file, "").unwrap();
    for socket in [Path::new(NOWHERE), &plain_file] {
        for words in [&["network", "ls"][..], &["show", "mac"], &["show", "mac", "--watch"], &["trace"]] {
            let socket_path = socket.to_str().unwrap();
            assert_refused(&run(socket, words), 1, &["no daemon answers at", socket_path, "'lanyard run'", "--socket"]);
        }
    }
    let long = format!("/{}", "x".repeat(200));
    assert_refused(&run(Path::new(&long), &["network", "ls"]), 2, &["107 octets"]);
}

#[test]
fn the_socket_option_goes_before_the_environment() {
    let daemon = FakeDaemon::start(1, response("200 OK", "[]"));
    let socket = daemon.socket.to_str().unwrap();
    assert_done(&run(Path::new(NOWHERE), &["show", "arp", "--socket", socket]));
    assert_eq!(daemon.asked(), ["GET /v1/arp"]);
}

#[test]
fn refusals_are_told_in_one_line_with_their_exit_code() {
    for (status, code) in
        [("400 Bad Request", 2), ("404 Not Found", 1), ("409 Conflict", 1), ("500 Internal Server Error", 1)]
    {
        let daemon = FakeDaemon::start(1, response(status, r#"{"error":"it cannot be:\nmend it"}"#));
        let output = run(&daemon.socket, &["network", "rm", "blue"]);
        assert_refused(&output, code, &["it cannot be:\\nmend it"]);
        daemon.asked();
    }
    let daemon = FakeDaemon::start(1, response("404 Not Found", "nothing here"));
    assert_refused(&run(&daemon.socket, &["trace"]), 1, &["404"]);
}

#[test]
fn what_is_no_daemon_is_recognized() {
    for answer in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n"] {
        let daemon = FakeDaemon::start(1, answer);
        let pieces = ["does not answer as a lanyard daemon", daemon.socket.to_str().unwrap(), "--socket"];
        assert_refused(&run(&daemon.socket, &["show", "mac"]), 1, &pieces);
        daemon.asked();
    }
    // One that goes away is another matter.
    for (answer, when) in [
        ("", "before it answered"),
        ("HTTP/1.1 200 OK\r\n", "before it answered"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[]", "in the middle of its answer"),
    ] {
        let daemon = FakeDaemon::start(1, answer);
        let pieces = ["closed the connection", when, daemon.socket.to_str().unwrap(), "still running", "try again"];
        assert_refused(&run(&daemon.socket, &["show", "mac"]), 1, &pieces);
        daemon.asked();
    }
    let daemon = FakeDaemon::start(1, response("200 OK", r#"{"other":"program"}"#));
    assert_refused(&run(&daemon.socket, &["show", "mac"]), 1, &["same version"]);
}

/// It answers before it was asked, and closes without having heard the question, which then cannot be sent.
#[test]
fn a_daemon_without_a_place_left_is_heard() {
    let busy = response("503 Service Unavailable", r#"{"error":"too many: try again"}"#);
    for (answer, pieces) in [(busy.as_str(), "too many: try again"), ("", "closed the connection before it answered")] {
        for words in [&["network", "ls"][..], &["network", "create", "blue"], &["trace"]] {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("control.sock");
            let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| listener.accept().unwrap().0.write_all(answer.as_bytes()).unwrap());
                assert_refused(&run(&socket, words), 1, &[pieces]);
            });
        }
    }
}

#[test]
fn json_is_passed_on_as_the_daemon_answered_it() {
    let lists: [&[&str]; 7] = [
        &["network", "ls"],
        &["network", "inspect", "blue"],
        &["show", "ports"],
        &["show", "mac"],
        &["show", "arp"],
        &["show", "drops"],
        &["show", "workers"],
    ];
    for words in lists {
        let body = r#"[{"z":1,"a":null,"added_later":[ 1 ]}]"#;
        let daemon = FakeDaemon::start(1, response("200 OK", body));
        let words: Vec<_> = words.iter().copied().chain(["--json"]).collect();
        assert_eq!(assert_done(&run(&daemon.socket, &words)), format!("{body}\n"), "{words:?}");
        daemon.asked();
    }
}

#[test]
fn requests_carry_what_was_said() {
    let cases: [(&[&str], &str, &str); 8] = [
        (&["network", "ls"], "[]", "GET /v1/networks"),
        (&["network", "inspect", "a/../b c"], &network(), "GET /v1/networks/a%2F..%2Fb%20c"),
        (&["network", "rm", "blue"], "{}", "DELETE /v1/networks/blue"),
        (&["network", "rm", "blue", "--force"], "{}", "DELETE /v1/networks/blue?force=true"),
        (&["network", "prune", "-f"], r#"{"networks":["blue"]}"#, "POST /v1/networks/prune"),
        (&["network", "disconnect", "blue", "web"], "{}", "DELETE /v1/networks/blue/endpoints/web"),
        (&["network", "peer", "blue", "red"], "{}", "PUT /v1/networks/blue/peers/red"),
        (&["network", "peer", "blue", "red", "--remove"], "{}", "DELETE /v1/networks/blue/peers/red"),
    ];
    for (words, answer, asked) in cases {
        let daemon = FakeDaemon::start(1, response("200 OK", answer));
        assert_done(&run(&daemon.socket, words));
        assert_eq!(daemon.asked(), [asked], "{words:?}");
    }
}

#[test]
fn create_and_connect_send_every_option() {
    let daemon = FakeDaemon::start(1, response("200 OK", &network()));
    let words = "network create blue --subnet 10.20.0.0/24 --gateway 10.20.0.9 --gateway-mode none --mtu 9000 \
                 --mac-limit 5 -o arp=suppress -o ageing=9 -o mac-capacity=64 -o forward-reserved=true";
    let table = assert_done(&run(&daemon.socket, &words.split_whitespace().collect::<Vec<_>>()));
    assert!(table.lines().nth(1).unwrap().starts_with("blue  abababababab  10.20.0.0/24"), "{table}");
    let asked = daemon.asked().remove(0);
    for piece in [
        r#""name":"blue""#,
        r#""subnet":"10.20.0.0/24""#,
        r#""gateway":"10.20.0.9""#,
        r#""gateway_mode":"none""#,
        r#""mtu":9000"#,
        r#""mac_limit":5"#,
        r#""mac_capacity":64"#,
        r#""ageing":9"#,
        r#""arp":"suppress""#,
        r#""forward_reserved":true"#,
    ] {
        assert!(asked.contains(piece), "{piece}: {asked}");
    }

    let daemon = FakeDaemon::start(1, response("200 OK", ENDPOINT));
    let words = "network connect blue --netns ns/web --endpoint web --ifname eth7 --ip 10.20.0.2 \
                 --mac 02:42:0a:14:00:02 --kind veth --offload off --static";
    let table = assert_done(&run(&daemon.socket, &words.split_whitespace().collect::<Vec<_>>()));
    assert!(table.contains("10.20.0.2/24  02:42:0a:14:00:02"), "{table}");
    let asked = daemon.asked().remove(0);
    let netns = std::env::current_dir().unwrap().join("ns/web");
    let absolute = format!(r#""netns":"{}""#, netns.display());
    for piece in [
        absolute.as_str(),
        r#""endpoint":"web""#,
        r#""ifname":"eth7""#,
        r#""ip":"10.20.0.2""#,
        r#""mac":"02:42:0a:14:00:02""#,
        r#""kind":"veth""#,
        r#""offload":false"#,
        r#""static":true"#,
    ] {
        assert!(asked.contains(piece), "{piece}: {asked}");
    }
}

/// Whether a kind of port has offloads is the daemon's to know.
#[test]
fn offloads_that_nobody_asked_for_are_left_to_the_daemon() {
    let daemon = FakeDaemon::start(1, response("200 OK", ENDPOINT));
    assert_done(&run(&daemon.socket, &["network", "connect", "blue", "--netns", "web", "--kind", "xdp"]));
    let asked = daemon.asked().remove(0);
    assert!(asked.contains(r#""kind":"xdp""#) && asked.contains(r#""offload":null"#), "{asked}");
}

#[test]
fn a_reader_who_had_enough_is_no_error() {
    let rows: Vec<_> =
        (0..50_000).map(|i| format!(r#"{{"worker":{i},"queues":0,"wakeups":0,"bursts":0,"frames":0}}"#)).collect();
    let daemon = FakeDaemon::start(1, response("200 OK", &format!("[{}]", rows.join(","))));
    let mut child = lanyard(&daemon.socket)
        .args(["show", "workers"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("WORKER"), "{line}");
    assert_quiet_end(child);
    daemon.asked();
}

fn assert_quiet_end(child: std::process::Child) {
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
}

#[test]
fn a_trace_ends_after_its_number_of_frames() {
    for words in [&[][..], &["--json"], &["-o", "jsonl"], &["-v"], &["-v", "-o", "text"], &["-o", "text"]] {
        let (json, verbose) = (words.contains(&"--json") || words.contains(&"jsonl"), words.contains(&"-v"));
        let daemon = FakeDaemon::serve(1, |stream| {
            let both = record(1) + &record(2);
            let (head, tail) = both.split_at(100);
            for piece in [ENDLESS, &chunk(head), &chunk(tail), &chunk(&record(3))] {
                stream.write_all(piece.as_bytes()).unwrap();
            }
            // The client closes; the daemon never does.
            let _ = stream.read(&mut [0; 1]);
        });
        let text = assert_done(&run(&daemon.socket, &[&["trace", "-n", "2"], words].concat()));
        if json {
            assert_eq!(text, record(1) + &record(2));
        } else {
            assert!(text.contains("#1") && text.contains("#2") && !text.contains("#3"), "{text}");
            assert_eq!(text.lines().count() > 2, verbose, "{text}");
        }
        assert_eq!(daemon.asked(), ["GET /v1/trace"]);
    }
}

/// The daemon sorts out what the filter does not let through; a daemon that sends more does no harm.
#[test]
fn a_trace_shows_what_its_filter_finds() {
    for words in [&["-n", "1", "frame", "2"][..], &["frame 2", "-n", "1"], &["-n1", "-o", "jsonl", "frame", "2"]] {
        let daemon = FakeDaemon::serve(1, |stream| {
            stream.write_all((ENDLESS.to_owned() + &chunk(&(record(1) + &record(2)))).as_bytes()).unwrap();
            let _ = stream.read(&mut [0; 1]);
        });
        let text = assert_done(&run(&daemon.socket, &[&["trace"], words].concat()));
        assert!(text.contains('2') && text.lines().count() == 1 && !text.contains("#1"), "{text}");
        assert_eq!(daemon.asked(), ["GET /v1/trace?filter=frame%202"]);
    }
}

#[test]
fn a_wrong_filter_is_shown_with_a_mark_under_the_word() {
    for words in [&["trace", "arp", "and", "vedict", "drop"][..], &["wireshark", "arp and vedict drop"]] {
        let output = run(Path::new(NOWHERE), words);
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(2), ""));
        let expected = "lanyard: wrong filter: 'vedict' is no word of a filter; perhaps 'verdict'\n\
                        arp and vedict drop\n        ^^^^^^\n";
        assert_eq!(err(&output), expected);
    }
}

#[test]
fn without_a_screen_wireshark_is_started_elsewhere() {
    let mut command = lanyard(Path::new(NOWHERE));
    let output =
        command.args(["wireshark", "arp"]).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("there is no screen here") && err(&output).lines().count() == 1, "{}", err(&output));
    assert!(out(&output).contains("lanyard trace -w - 'arp'\" | wireshark -k -i -"), "{}", out(&output));
    let mut command = lanyard(Path::new(NOWHERE));
    let output = command.arg("wireshark").env("DISPLAY", ":9").env("PATH", "/nonexistent").output().unwrap();
    assert!(err(&output).contains("wireshark is not installed here"), "{}", err(&output));
}

const LOSS: &str = "{\"lost\":7}\n";

#[test]
fn a_trace_tells_what_it_lost_though_no_frame_follows() {
    for (json, loss) in [(false, "7 frames lost to the trace"), (true, LOSS.trim_end())] {
        // A line of its own is no frame to '-n'; the last one is told at the end of the daemon too.
        let both = chunk(&record(1)) + &chunk(LOSS);
        let format = json.then_some("--json");
        let daemon = FakeDaemon::start(1, ENDLESS.to_owned() + &both + &chunk(&record(2).replace(":0}", ":7}")));
        let words: Vec<_> = ["trace", "-n", "2"].into_iter().chain(format).collect();
        let text = assert_done(&run(&daemon.socket, &words));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[1].contains(loss)), (3, true), "{text}");
        daemon.asked();

        let daemon = FakeDaemon::start(1, ENDLESS.to_owned() + &both + "0\r\n\r\n");
        let words: Vec<_> = ["trace"].into_iter().chain(format).collect();
        let output = run(&daemon.socket, &words);
        assert_eq!(output.status.code(), Some(1));
        assert!(out(&output).lines().last().unwrap().contains(loss), "{}", out(&output));
        daemon.asked();
    }
}

#[test]
fn a_trace_tells_what_it_lost_after_ctrl_c() {
    for (json, loss) in [(false, "7 frames lost to the trace"), (true, LOSS.trim_end())] {
        let (interrupt, interrupted) = std::sync::mpsc::channel::<()>();
        let daemon = FakeDaemon::serve(1, move |stream| {
            stream.write_all((ENDLESS.to_owned() + &chunk(&record(1))).as_bytes()).unwrap();
            interrupted.recv().unwrap();
            stream.write_all((chunk(&record(2)) + &chunk(LOSS)).as_bytes()).unwrap();
            let _ = stream.read(&mut [0; 1]);
        });
        let mut command = lanyard(&daemon.socket);
        command.arg("trace").args(json.then_some("--json")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        // The daemon tells its loss only now, and the program has still an ear for it.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
        interrupt.send(()).unwrap();
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert!(rest.lines().last().is_some_and(|line| line.contains(loss)), "{rest}");
        assert_quiet_end(child);
        daemon.asked();
    }
}

#[test]
fn a_trace_says_when_the_daemon_ends() {
    let daemon = FakeDaemon::start(1, format!("{ENDLESS}{}0\r\n\r\n", chunk(&record(1))));
    let output = run(&daemon.socket, &["trace"]);
    assert_eq!((output.status.code(), out(&output).lines().count()), (Some(1), 1));
    assert_eq!(err(&output), "lanyard: the daemon has ended, and the trace with it\n");
}

#[test]
fn a_quiet_trace_ends_with_its_reader() {
    let daemon = FakeDaemon::serve(1, |stream| {
        stream.write_all((ENDLESS.to_owned() + &chunk(&record(1))).as_bytes()).unwrap();
        let _ = stream.read(&mut [0; 1]);
    });
    let mut child = lanyard(&daemon.socket).arg("trace").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let began = Instant::now();
    assert_quiet_end(child);
    assert!(began.elapsed() < Duration::from_secs(5));
    daemon.asked();
}

#[test]
fn ctrl_c_ends_what_goes_on_and_on() {
    // The watch asks for the clocks, too.
    for (words, connections, answer) in [
        (&["trace"][..], 1, ENDLESS.to_owned() + &chunk(&record(1))),
        (&["show", "mac", "--watch"], 2, response("200 OK", "[]")),
    ] {
        let daemon = FakeDaemon::serve(connections, move |stream| {
            stream.write_all(answer.as_bytes()).unwrap();
            let _ = stream.read(&mut [0; 1]);
        });
        let mut child =
            lanyard(&daemon.socket).args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(!line.contains('\x1b'), "no terminal, no redrawing: {line:?}");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
        assert_quiet_end(child);
        daemon.asked();
    }
}

/// The recorder has less than was asked for, or just that.
#[test]
fn a_trace_of_the_past_says_what_is_kept_no_more() {
    let told = |words: &[&str]| {
        let daemon = FakeDaemon::serve(1, |stream| {
            let body = format!("[{},{}]", record(8).trim_end(), record(9).trim_end());
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nlanyard-lost: 0\r\nlanyard-forgotten: 7\r\n\r\n"
            );
            stream.write_all((head + &body).as_bytes()).unwrap();
        });
        let output = run(&daemon.socket, &[&["trace", "--last"], words].concat());
        assert_eq!(output.status.code(), Some(0));
        (out(&output), err(&output))
    };
    let (text, notice) = told(&["2"]);
    assert!(text.lines().count() == 2 && notice.is_empty(), "{text}{notice}");
    let (text, notice) = told(&["3"]);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(notice.starts_with("lanyard: 7 older frames are kept no more") && notice.lines().count() == 1, "{notice}");
    let (text, notice) = told(&["3", "--json"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines.len(), notice.lines().count()), ("{\"lost\":7}", 3, 1), "{text}");
    assert!(lines[1].contains("\"lost\":7"), "a count never goes back: {text}");
}

/// Two frames after the second, one after the last: a diagram of the past tells of both.
#[test]
fn a_ladder_of_the_past_says_where_frames_are_missing() {
    let daemon = FakeDaemon::serve(2, |stream| {
        let lost = |number, lost: u64| record(number).trim_end().replace("\"lost\":0", &format!("\"lost\":{lost}"));
        let body = format!("[{},{},{}]", lost(7, 4), lost(8, 4), lost(11, 6));
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nlanyard-lost: 7\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).unwrap();
    });
    let text = assert_done(&run(&daemon.socket, &["ladder", "--last", "3"]));
    let lost: Vec<&str> = text.lines().filter(|line| line.contains("lost to the trace")).collect();
    assert!(lost.len() == 2 && lost[0].contains(" 2 frames ") && lost[1].contains(" 1 frame "), "{text}");
    assert!(daemon.asked()[1].starts_with("GET /v1/caches/recorded"));
}
