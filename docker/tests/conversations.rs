//! Does the driver say to dockerd what dockerd was observed to need? Conversations, played by raw octets.
//!
//! Each file of `conversations/` is one, on one connection. A paragraph is an exchange:
//!
//! ```text
//! # a comment
//! @refuse join no more room        the switch refuses the next such call
//! @host Host: plugin.moby.localhost    the line from now on; `@host` alone for none (`Host: ` at the start)
//! [VERB] /NetworkDriver.Join        the request
//! {"NetworkID":"$N1",..}            its body; `-` for none
//! 200 {..}                          the answer
//! = join $N1 $E1 ..                 what the switch was asked, in order
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::path::PathBuf;

use serde_json::Value;
use world::{Client, PATIENT, World, id, request};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conversations")
}

/// `$N1` and the like as identifiers.
fn expand(text: &str) -> String {
    let mut expanded = text.to_owned();
    for name in ["N1", "N2", "N3", "N4", "N5", "N6", "E1", "E2", "E3", "E4", "E5", "E6"] {
        expanded = expanded.replace(&format!("${name}"), &id(name));
    }
    expanded
}

/// A call's words, and its JSON if it has some: the order of keys says nothing.
fn parsed(call: &str) -> (String, Option<Value>) {
    match call.find(['{', '[']) {
        Some(at) => (call[..at].to_owned(), Some(serde_json::from_str(&call[at..]).expect(call))),
        None => (call.to_owned(), None),
    }
}

struct Player {
    world: World,
    client: Client,
    host: Option<String>,
}

impl Player {
    fn exchange(&mut self, paragraph: &[&str]) {
        let mut lines = paragraph.iter().filter(|line| !line.starts_with('#'));
        let asked = loop {
            let Some(line) = lines.next() else { return };
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "@host" => self.host = Some(rest.to_owned()).filter(|line| !line.is_empty()),
                "@refuse" => {
                    let (call, reason) = rest.split_once(' ').unwrap();
                    self.world.fake.refuse(call, reason);
                }
                _ => break line,
            }
        };
        let (verb, path) = asked.split_once(' ').unwrap_or(("POST", asked));
        let body = lines.next().map(|body| if *body == "-" { String::new() } else { format!("{}\n", expand(body)) });
        self.client.send(&request(self.host.as_deref(), verb, path, &body.expect(asked)));
        let reply = self.client.reply().expect("an answer");
        let (status, answer) = lines.next().expect(asked).split_once(' ').expect(asked);
        let expected: Value = serde_json::from_str(&expand(answer)).expect(answer);
        assert_eq!((reply.status.to_string().as_str(), reply.json()), (status, expected), "{paragraph:#?}");
        let header = reply.header.to_ascii_lowercase();
        assert!(header.contains("content-type: application/vnd.docker.plugins.v1.2+json\r\n"), "{header}");
        let asked: Vec<_> = self.world.fake.calls().iter().map(|call| parsed(call)).collect();
        let expected: Vec<_> = lines.map(|line| parsed(line.strip_prefix("= ").expect(line))).collect();
        assert_eq!(asked, expected, "{paragraph:#?}");
    }
}

fn play(name: &str) {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    let world = World::new(PATIENT);
    let client = world.client();
    let mut player = Player { world, client, host: Some("Host: ".to_owned()) };
    let lines: Vec<_> = text.lines().collect();
    let mut exchanges = 0;
    for paragraph in lines.split(|line| line.is_empty()) {
        player.exchange(paragraph);
        exchanges += usize::from(paragraph.iter().any(|line| line.contains('/')));
    }
    assert!(exchanges > 1, "{name} says nothing");
}

macro_rules! conversations {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { play(concat!(stringify!($name), ".txt")); })*

        #[test]
        fn every_file_is_played() {
            let mut files: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            files.sort();
            let mut played = vec![$(concat!(stringify!($name), ".txt")),*];
            played.sort_unstable();
            assert_eq!(files, played);
        }
    };
}

conversations! {
    addresses, connect_and_disconnect, host_header, internal, kill_9, later_daemons, malformed, one_container, options,
    ports, refusals, repeated_without_a_body, swarm, unknown_ids,
}
