//! What does a switch do with a ping? The lab's story, in five acts, on real frames between real kernels: each act does
//! something, prints what the switch decided about every frame, and then holds what it says against what happened.
//!
//! Nothing is staged: the sentences after the frames are claims that are checked against the switch's own records and
//! the hosts' own counters, and a claim that does not hold makes the lab fail.

use std::io::{self, Write};
use std::time::Duration;

use trace::step::{LearnedRecord, LookupRecord, RouteRecord};
use trace::{Record, StepRecord, Style, VerdictRecord, Widths, lost_notice, one_line};

use super::scene::Scene;

/// How long an ARP or echo exchange may take before the lab says that it did not happen.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tell the story; whether everything it told really happened.
///
/// # Errors
/// When a ping cannot even be sent, or the output is closed.
pub(super) fn tell(scene: &mut Scene, style: Style) -> io::Result<bool> {
    let mut teller = Teller { style, widths: Widths::default(), out: io::stdout().lock(), lost: 0, true_so_far: true };
    teller.opening(scene)?;
    for act in [cold_ping, second_ping, unknown_unicast, the_gateway, next_network] {
        act(scene, &mut teller)?;
    }
    teller.closing(scene)?;
    Ok(teller.true_so_far)
}

struct Teller<'a> {
    style: Style,
    widths: Widths,
    out: io::StdoutLock<'a>,
    lost: u64,
    true_so_far: bool,
}

impl Teller<'_> {
    fn opening(&mut self, scene: &Scene) -> io::Result<()> {
        writeln!(self.out, "Four hosts, each a Linux network stack of its own, on one userspace switch:\n")?;
        writeln!(self.out, "  h1 {} --+", scene.ip(0))?;
        writeln!(self.out, "  h2 {} --+-- net1 --[ lanyard ]-- net2 -- h4 {}", scene.ip(1), scene.ip(3))?;
        writeln!(self.out, "  h3 {} --+   gateway 10.0.1.1     10.0.2.1", scene.ip(2))?;
        writeln!(
            self.out,
            "\nTheir ports are {}, their MAC addresses read like their IP addresses.",
            scene.kind_words()
        )
    }

    fn act(&mut self, title: &str, words: &str) -> io::Result<()> {
        let title = match self.style {
            Style::Ansi => format!("\x1b[1m{title}\x1b[0m"),
            Style::Plain => title.to_owned(),
        };
        writeln!(self.out, "\n{title}\n{words}")?;
        self.out.flush()
    }

    fn frames(&mut self, records: &[Record]) -> io::Result<()> {
        for record in records {
            self.widths.fit(record);
        }
        for record in records {
            if let Some(notice) = lost_notice(self.lost, record.lost) {
                writeln!(self.out, "  {notice}")?;
            }
            self.lost = record.lost;
            writeln!(self.out, "  {}", one_line(record, &self.widths, self.style))?;
        }
        Ok(())
    }

    /// Say it, if it is so; say loudly that it is not, otherwise.
    fn claim(&mut self, holds: bool, words: &str) -> io::Result<()> {
        self.true_so_far &= holds;
        let (mark, colour) = if holds { ("=>", "\x1b[32m") } else { ("NOT SEEN:", "\x1b[1;31m") };
        match self.style {
            Style::Ansi => writeln!(self.out, "  {colour}{mark}\x1b[0m {words}"),
            Style::Plain => writeln!(self.out, "  {mark} {words}"),
        }
    }

    fn closing(&mut self, scene: &Scene) -> io::Result<()> {
        self.act(
            "What the switch has learned",
            "Nobody told it: the source address of some frame taught each learned row. The gateway rows are the switch itself.",
        )?;
        for line in scene.mac_table_lines() {
            writeln!(self.out, "  {line}")?;
        }
        if self.lost > 0 {
            self.claim(false, "every frame was traced")?;
        }
        writeln!(self.out)?;
        if self.true_so_far {
            writeln!(self.out, "Everything told here happened, frame by frame. To play on: lanyard lab up")
        } else {
            writeln!(self.out, "Not everything told here was seen to happen: see the lines marked NOT SEEN.")
        }
    }
}

/// Act 1: nobody knows anybody.
fn cold_ping(scene: &mut Scene, teller: &mut Teller<'_>) -> io::Result<()> {
    teller.act(
        "1. A cold ping: h1 pings h2",
        "h1 knows h2's IP address but not its MAC address, so it asks everybody (ARP). The switch knows nobody.",
    )?;
    let seen_by_h3 = scene.received(2);
    let answered = scene.ping(0, 1, PATIENCE)?;
    let records = scene.records();
    teller.frames(&records)?;
    let request = find(&records, "h1", &format!("ARP who-has {}", scene.ip(1)));
    let reply = find(&records, "h2", &format!("ARP reply {}", scene.ip(1)));
    teller.claim(
        request.is_some_and(|r| is_flood(r) && sent_to(r, &["h2", "h3"]) && learned_new(r)),
        "The request is a broadcast: a copy went to h2 and one to h3, none back. Its source taught the switch where h1 is.",
    )?;
    teller.claim(
        reply.is_some_and(|r| is_unicast(r, "h1") && sent_to(r, &["h1"]) && learned_new(r)),
        "The reply went to h1 alone, because the request had just taught its port; and the reply taught where h2 is.",
    )?;
    teller.claim(
        answered && echoes(&records, "net1").iter().all(|r| sent_to(r, &["h2"]) || sent_to(r, &["h1"])),
        "The ping and its answer went from port to port: that is why a switch is not a hub.",
    )?;
    teller.claim(
        scene.received(2) == seen_by_h3 + 1,
        "h3 did not see them: its own kernel counted one frame in all this, the broadcast.",
    )
}

/// Act 2: now everybody knows.
fn second_ping(scene: &mut Scene, teller: &mut Teller<'_>) -> io::Result<()> {
    teller.act("2. A second ping", "h1 has h2's MAC address in its ARP cache now, and the switch knows both ports.")?;
    let seen_by_h3 = scene.received(2);
    let answered = scene.ping(0, 1, PATIENCE)?;
    let records = scene.records();
    teller.frames(&records)?;
    teller.claim(
        answered && records.len() == 2 && !records.iter().any(|r| r.summary.starts_with("ARP")),
        "Two frames and no ARP: there was nothing to ask.",
    )?;
    teller.claim(scene.received(2) == seen_by_h3, "h3 saw nothing at all.")
}

/// Act 3: the switch has forgotten, the hosts have not.
fn unknown_unicast(scene: &mut Scene, teller: &mut Teller<'_>) -> io::Result<()> {
    teller.act(
        "3. Unknown unicast: the switch forgets",
        "An entry that no frame has refreshed ages out (here after 2 seconds, usually after 300). h1's ARP cache keeps longer.",
    )?;
    let forgotten = scene.wait_until_forgotten("net1");
    let seen_by_h3 = scene.received(2);
    let answered = scene.ping(0, 1, PATIENCE)?;
    let records = scene.records();
    teller.frames(&records)?;
    let request = find(&records, "h1", "ICMP echo request");
    let reply = find(&records, "h2", "ICMP echo reply");
    teller.claim(
        forgotten && request.is_some_and(|r| looked_up(r, &LookupRecord::Unknown) && is_flood(r) && sent_to(r, &["h2", "h3"])),
        "The ping is addressed to h2 alone, but the switch no longer knows where that is, so it floods: h3 gets a copy too.",
    )?;
    teller.claim(
        reply.is_some_and(|r| is_unicast(r, "h1") && learned_new(r)) && answered,
        "The answer taught the switch again; from here on it is unicast as before.",
    )?;
    teller.claim(scene.received(2) == seen_by_h3 + 1, "h3's kernel counted that one stray frame, and threw it away.")
}

/// Act 4: the switch itself answers.
fn the_gateway(scene: &mut Scene, teller: &mut Teller<'_>) -> io::Result<()> {
    teller.act(
        "4. h1 pings its gateway",
        "The gateway of net1 is the switch itself. Its MAC address is an entry in the table that no port can take over.",
    )?;
    let others = scene.received(1) + scene.received(2);
    let answered = scene.ping_gateway(0, PATIENCE)?;
    let records = scene.records();
    teller.frames(&records)?;
    let request = find(&records, "h1", "ARP who-has 10.0.1.1");
    let echo = find(&records, "h1", "ICMP echo request");
    teller.claim(
        request.is_some_and(|r| r.verdict == VerdictRecord::Answered),
        "The switch answered h1's ARP request itself, so nobody else had to hear it.",
    )?;
    teller.claim(
        answered && echo.is_some_and(|r| looked_up(r, &LookupRecord::Gateway) && r.verdict == VerdictRecord::Answered),
        "And it answered the ping.",
    )?;
    teller.claim(scene.received(1) + scene.received(2) == others, "h2 and h3 saw nothing of it.")
}

/// Act 5: from one network into the other.
fn next_network(scene: &mut Scene, teller: &mut Teller<'_>) -> io::Result<()> {
    teller.act(
        "5. h1 pings h4, on the other network",
        "h4 is not on h1's subnet, so h1 sends to its gateway's MAC address and lets it find the way.",
    )?;
    let answered = scene.ping(0, 3, PATIENCE)?;
    let records = scene.records();
    teller.frames(&records)?;
    let there = find(&records, "h1", "ICMP echo request");
    let back = find(&records, "h4", "ICMP echo reply");
    teller.claim(
        there.is_some_and(|r| looked_up(r, &LookupRecord::Gateway) && routed_to(r, "net2")),
        "The gateway took it: time to live 64 -> 63, new MAC addresses around the same IP packet, out into net2.",
    )?;
    teller.claim(
        answered && back.is_some_and(|r| routed_to(r, "net1") && sent_to(r, &["h1"])),
        "The answer came back the same way. The two networks may talk because they were peered; without that, they may not.",
    )
}

fn find<'a>(records: &'a [Record], port: &str, beginning: &str) -> Option<&'a Record> {
    records.iter().find(|record| record.port.as_deref() == Some(port) && record.summary.starts_with(beginning))
}

fn echoes<'a>(records: &'a [Record], network: &str) -> Vec<&'a Record> {
    records.iter().filter(|r| r.network == network && r.summary.starts_with("ICMP echo")).collect()
}

fn is_flood(record: &Record) -> bool {
    matches!(record.verdict, VerdictRecord::Flood { .. })
}

fn is_unicast(record: &Record, port: &str) -> bool {
    matches!(&record.verdict, VerdictRecord::Unicast { to } if to == port)
}

fn sent_to(record: &Record, ports: &[&str]) -> bool {
    let mut sent: Vec<&str> = record.egress.iter().filter(|e| e.sent).map(|e| e.port.as_str()).collect();
    sent.sort_unstable();
    sent == ports && record.egress.iter().all(|e| e.sent)
}

fn learned_new(record: &Record) -> bool {
    record.steps.contains(&StepRecord::Learned(LearnedRecord::New))
}

fn looked_up(record: &Record, found: &LookupRecord) -> bool {
    record.steps.iter().any(|step| matches!(step, StepRecord::LookedUp(lookup) if lookup == found))
}

fn routed_to(record: &Record, to: &str) -> bool {
    record.steps.iter().any(|step| {
        matches!(step, StepRecord::Routed(RouteRecord::Forwarded { network, ttl, .. }) if network == to && *ttl == 63)
    })
}
