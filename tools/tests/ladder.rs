//! Is what cannot be drawn refused in one line, and is what can be drawn without a daemon?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod program;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use program::{assert_done, assert_refused, lanyard, run};
use trace::Record;
use trace::pcapng::{About, Writer};

const RECORD: &str = r#"{"number": 1, "at_unix_ns": 1000, "at_ms": 0, "network": "blue", "port": "h1", "octets": 60,
"segment_octets": null, "source": "02:42:0a:14:00:02", "source_name": "h1", "destination": "ff:ff:ff:ff:ff:ff",
"destination_name": null, "summary": "ARP who-has 10.20.0.3 tell 10.20.0.2", "steps": [{"step": "admitted"}],
"verdict": {"kind": "flood", "network": "blue"}, "lost": 0,
"egress": [{"port": "h2", "sent": true, "reason": null, "sentence": null}]}"#;

const CHANGE: &str = r#"{"at_unix_ns": 2000, "network": "blue", "endpoint": "h1", "ip": "10.20.0.3",
"state_before": "INCOMPLETE", "state_after": "REACHABLE"}"#;

fn line(json: &str) -> String {
    json.replace('\n', " ") + "\n"
}

#[test]
fn what_is_no_record_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let name = file.to_str().unwrap();
    let good = line(RECORD);
    let endless = format!("{good}{}", "x".repeat(2 << 20));
    for (octets, pieces) in [
        (b"\xd4\xc3\xb2\xa1rest".to_vec(), &["pcap file", "pcapng"][..]),
        (format!("{good}\n<html>\n").into_bytes(), &["line 3", "no record", "lanyard trace --json"]),
        (b"{\"number\": 1}\n".to_vec(), &["line 1", "no record"]),
        (b"{\"number\": \"a\", \"lost\": 3}\n".to_vec(), &["line 1", "no record"]),
        (b"[1, 2]\n".to_vec(), &["line 1", "no record"]),
        (b"\xff\xfe\n".to_vec(), &["line 1", "no text"]),
        (vec![0; 100], &["line 1", "no record"]),
        (vec![], &["no frame to draw"]),
        (b"\n\n{\"lost\": 3}\n".to_vec(), &["no frame to draw"]),
    ] {
        fs::write(&file, octets).unwrap();
        let output = run(folder.path(), &["ladder", "--from", name]);
        if pieces.contains(&"line 3") {
            // What came before is drawn all the same.
            assert_eq!(output.status.code(), Some(1));
            let text = program::err(&output);
            assert!(program::out(&output).contains("ARP who-has") && text.lines().count() == 1, "{text}");
            assert!(pieces.iter().all(|piece| text.contains(piece)), "{text}");
        } else {
            assert_refused(&output, 1, pieces);
        }
    }
    fs::write(&file, endless).unwrap();
    let output = run(folder.path(), &["ladder", "--from", name]);
    assert!(program::err(&output).contains("line 2: longer than any record"), "{}", program::err(&output));
    let missing = folder.path().join("missing");
    assert_refused(
        &run(folder.path(), &["ladder", "--from", missing.to_str().unwrap()]),
        1,
        &["missing", "No such file"],
    );
    assert_refused(&run(folder.path(), &["ladder", "--from", folder.path().to_str().unwrap()]), 1, &["cannot be read"]);
}

#[test]
fn wrong_words_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (words, pieces) in [
        (&["ladder", "--out", "a.png"][..], &["a.png", "-o svg|txt|mermaid|html"][..]),
        (&["ladder", "--from", "x", "--last", "3"], &["--from", "--last"]),
        (&["ladder", "-n", "0"], &["-n", "lanyard ladder --help"]),
    ] {
        assert_refused(&run(folder.path(), words), 2, pieces);
    }
    let wrong = run(folder.path(), &["ladder", "arpp"]);
    let text = program::err(&wrong);
    assert!(wrong.status.code() == Some(2) && text.ends_with("\narpp\n^^^^\n"), "{text}");
    // Nothing listens there.
    let socket = folder.path().join("socket");
    assert_refused(&run(&socket, &["ladder", "-n", "1"]), 1, &["socket"]);
    assert_refused(&run(&socket, &["ladder", "--last", "1"]), 1, &["socket"]);
}

#[test]
fn a_file_from_standard_input_with_changes_of_caches() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.svg");
    let draw = |more: &[&str]| {
        let mut command = lanyard(folder.path());
        command.args(["ladder", "--from", "-"]).args(more);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let text = [line(CHANGE), line(RECORD), "{\"lost\":2}\n".to_owned()].concat();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert_done(&child.wait_with_output().unwrap())
    };
    let text = draw(&[]);
    assert!(text.contains("* 10.20.0.3 INCOMPLETE") && text.contains("#1"), "{text}");
    assert!(text.trim_end().lines().any(|line| line.contains("2 frames lost to the trace here")), "{text}");
    assert_eq!(draw(&["--out", out.to_str().unwrap()]), "");
    assert!(roxmltree::Document::parse(&fs::read_to_string(out).unwrap()).is_ok());
}

/// The frames and losses of a diagram, in their order.
fn order(text: &str) -> Vec<String> {
    let word = |line: &str| {
        // The switch's own lane is drawn with the same sign.
        let is_number = |word: &&str| word.strip_prefix('#').is_some_and(|rest| rest.parse::<u64>().is_ok());
        let number = line.split_whitespace().find(is_number).map(str::to_owned);
        number.or_else(|| {
            line.split_once(" lost to the trace").map(|(lost, _)| lost.trim_start_matches(['~', ' ']).to_owned())
        })
    };
    text.lines().filter_map(word).collect()
}

fn numbered(number: u64, lost: u64) -> String {
    line(
        &RECORD
            .replace("\"number\": 1", &format!("\"number\": {number}"))
            .replace("\"lost\": 0", &format!("\"lost\": {lost}")),
    )
}

#[test]
fn a_diagram_says_where_frames_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.jsonl");
    let draw = |more: &[&str]| {
        let words = [&["ladder", "--from", file.to_str().unwrap()], more].concat();
        order(&assert_done(&run(folder.path(), &words)))
    };
    fs::write(&file, [numbered(4, 3), numbered(6, 4), "{\"lost\":6}\n".to_owned()].concat()).unwrap();
    assert_eq!(draw(&[]), ["3 frames", "#4", "1 frame", "#6", "2 frames"]);
    assert_eq!(draw(&["-n", "1"]), ["3 frames", "#4"], "what was lost behind the last frame drawn is not of it");
}

/// A capture as 'lanyard trace -w' writes it, of frames that lost so many before them, and at the end.
#[test]
fn a_diagram_of_a_capture_says_where_frames_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.pcapng");
    let about = About { application: "test".to_owned(), comment: String::new() };
    let mut writer = Writer::new(Vec::new(), &about).unwrap();
    for (number, lost) in [(4, 3), (6, 4)] {
        let record = Record::from_json_line(&numbered(number, lost)).unwrap();
        writer.record(&Record { at_unix_ns: number * 1000, data: vec![0xff; 60].as_slice().into(), ..record }).unwrap();
    }
    writer.lost(6);
    let (octets, counts) = writer.finish().unwrap();
    assert_eq!(counts.lost, 6);
    fs::write(&file, octets).unwrap();
    let draw = |more: &[&str]| {
        let words = [&["ladder", "--from", file.to_str().unwrap()], more].concat();
        order(&assert_done(&run(folder.path(), &words)))
    };
    assert_eq!(draw(&[]), ["3 frames", "#4", "1 frame", "#6", "2 frames"]);
    assert_eq!(draw(&["-n", "1"]), ["3 frames", "#4"]);
}
