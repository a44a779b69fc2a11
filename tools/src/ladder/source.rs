//! Where do a diagram's frames come from? The daemon's stream, its memory, or a file; and what is in a file is judged by
//! its octets, not by its name.
//!
//! Not done: captures of other programs, which do not say what a switch decided.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::time::Duration;

use trace::ladder::{self, Captured};
use trace::pcapng::Reader;
use trace::{CacheChange, Filter, Ladder, Loss, Record};

use crate::capture::is_pcap;
use crate::client::{self, Client, segment};
use crate::failure::{Failure, one_line};
use crate::recorded::Recorded;

/// The longest line that a record can be, octets, with room for a thousand ports.
const MAX_LINE: u64 = 1 << 20;

/// How long after the last frame the hosts' caches are listened to: the daemon looks at them every 50 ms.
const LATE_CHANGES: Duration = Duration::from_millis(200);

/// Packets of a capture that are read: each has its octets in memory until the frames are put together.
const MAX_PACKETS: usize = 1_000_000;

/// How pcapng begins (draft-ietf-opsawg-pcapng, 4.1).
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// What will stand in the diagram.
pub(super) struct Events {
    filter: Filter,
    /// Frames that have room yet.
    left: u64,
    records: Vec<Record>,
    captured: Vec<Captured>,
    caches: Vec<CacheChange>,
    /// What the trace had lost by what was read last.
    lost: u64,
    /// A frame that belongs into the diagram found no room: what was lost behind it is not of the diagram.
    cut: bool,
}

impl Events {
    pub(super) fn new(filter: Filter, most: u64) -> Self {
        Self { filter, left: most, records: Vec::new(), captured: Vec::new(), caches: Vec::new(), lost: 0, cut: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.captured.is_empty() && self.caches.is_empty()
    }

    /// Is there no room for another frame?
    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }

    pub(super) fn diagram(&self) -> Ladder {
        let diagram = if self.captured.is_empty() {
            Ladder::new(&self.records, &self.caches)
        } else {
            Ladder::from_captured(&self.captured, &self.caches)
        };
        // Every source counts from where it begins.
        diagram.with_losses(0, if self.cut { 0 } else { self.lost })
    }

    /// Take one line of JSON: a record, what the trace has lost, or a change of a neighbor cache.
    fn take(&mut self, line: &str) -> Result<(), serde_json::Error> {
        let no_record = match Record::from_json_line(line) {
            Ok(record) => {
                self.take_record(record);
                return Ok(());
            }
            Err(error) => error,
        };
        if let Ok(change) = serde_json::from_str::<CacheChange>(line) {
            self.caches.push(change);
        } else if let (Ok(loss), false) = (serde_json::from_str::<Loss>(line), line.contains("\"number\"")) {
            self.lost = self.lost.max(loss.lost);
        } else {
            return Err(no_record);
        }
        Ok(())
    }

    fn take_record(&mut self, record: Record) {
        self.lost = self.lost.max(record.lost);
        if self.filter.matches(&record) {
            if self.left == 0 {
                self.cut = true;
                return;
            }
            self.left -= 1;
            self.records.push(record);
        }
    }

    /// The filter in a request. The daemon knows the addresses of endpoints by their names; what it lets pass is not
    /// asked again.
    fn asked_of_the_daemon(&mut self) -> String {
        segment(&std::mem::take(&mut self.filter).to_string())
    }

    /// The daemon's trace, until there are enough frames or Ctrl-C.
    ///
    /// # Errors
    /// When there is no daemon, when it ends, and when what it says is no record.
    pub(super) fn listen(&mut self, client: &Client) -> Result<(), Failure> {
        let filter = self.asked_of_the_daemon();
        if io::stderr().is_terminal() {
            eprintln!("listening to the switch; Ctrl-C draws what has come by then");
        }
        let listened = client::until_ctrl_c(async {
            let mut lines = client.stream(&format!("/v1/trace?filter={filter}")).await?;
            let mut changes = client.stream("/v1/caches/watch").await?;
            let mut heard = true;
            while self.left > 0 {
                tokio::select! {
                    arrived = lines.next() => self.take_frames(&arrived?)?,
                    arrived = changes.next(), if heard => heard = self.take_changes(&arrived?),
                }
            }
            // What the hosts made of the last frame is told a little later.
            let late = async {
                while heard {
                    heard = self.take_changes(&changes.next().await?);
                }
                Ok::<(), Failure>(())
            };
            let _ = tokio::time::timeout(LATE_CHANGES, late).await;
            Ok(())
        });
        self.keep_caches_of_speakers();
        listened
    }

    fn take_frames(&mut self, arrived: &[String]) -> Result<(), Failure> {
        if arrived.is_empty() {
            return Err(Failure::Work("the daemon has ended, and the trace with it".to_owned()));
        }
        arrived.iter().try_for_each(|line| {
            self.take(line)
                .map_err(|error| Failure::work("the daemon's trace cannot be read; is it of the same version?", error))
        })
    }

    /// Changes of neighbor caches; `false` when there will be no more. What stood in a cache before is no change, and a
    /// line of another kind.
    fn take_changes(&mut self, arrived: &[String]) -> bool {
        self.caches.extend(arrived.iter().filter_map(|line| serde_json::from_str(line).ok()));
        !arrived.is_empty()
    }

    /// Leave out the caches of hosts none of whose frames is in the diagram.
    fn keep_caches_of_speakers(&mut self) {
        let concerns = |record: &Record, change: &CacheChange| {
            let copies = record.egress.iter().filter(|copy| copy.sent).map(|copy| copy.port.as_str());
            record.network == change.network
                && record.port.as_deref().into_iter().chain(copies).any(|port| port == change.endpoint)
        };
        let records = &self.records;
        self.caches.retain(|change| records.iter().any(|record| concerns(record, change)));
    }

    /// The last frames that the daemon remembers.
    ///
    /// # Errors
    /// When there is no daemon, and when it remembers none.
    pub(super) fn read_last(&mut self, client: &Client, last: u64) -> Result<(), Failure> {
        let filter = self.asked_of_the_daemon();
        let recorded = Recorded::read(&client.get(&format!("/v1/records?last={last}&filter={filter}"))?, last)?;
        recorded.tell();
        for record in recorded.records {
            self.take_record(record);
        }
        self.lost = self.lost.max(recorded.lost);
        let Some(first) = self.records.iter().map(|record| record.at_unix_ns).min() else { return Ok(()) };
        let path = format!("/v1/caches/recorded?since_unix_ns={}", first.saturating_sub(1));
        // What stood in a cache when the recorder began is no change, and of another form.
        let recorded: Vec<serde_json::Value> = client.get(&path)?.read()?;
        self.caches = recorded.into_iter().filter_map(|change| serde_json::from_value(change).ok()).collect();
        self.keep_caches_of_speakers();
        Ok(())
    }

    /// A file, or standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be read, and when it is neither pcapng nor JSON lines; the error names the line.
    pub(super) fn read_file(&mut self, name: &str) -> Result<(), Failure> {
        let unread = |error: io::Error| Failure::work(format!("'{name}' cannot be read"), error);
        let input: Box<dyn Read> =
            if name == "-" { Box::new(io::stdin().lock()) } else { Box::new(File::open(name).map_err(unread)?) };
        let mut input = BufReader::new(input);
        let begin = input.fill_buf().map_err(unread)?;
        if is_pcap(begin) {
            return Err(Failure::Work(format!(
                "'{name}' is a pcap file, which cannot say what a switch decided: 'lanyard trace -w' writes pcapng"
            )));
        }
        if begin.starts_with(&PCAPNG) { self.read_pcapng(name, input) } else { self.read_lines(name, input) }
    }

    /// A capture. What was read before a fault is drawn all the same.
    fn read_pcapng(&mut self, name: &str, input: impl Read) -> Result<(), Failure> {
        let (mut reader, mut packets) = (Reader::new(input), Vec::new());
        let ended = loop {
            match reader.packet() {
                Ok(Some(_)) if packets.len() >= MAX_PACKETS => {
                    break Err(Failure::Work(format!("'{name}' has more than {MAX_PACKETS} packets: capture fewer")));
                }
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break Ok(()),
                Err(error) => break Err(Failure::work(format!("'{name}'"), one_line(&error.to_string()))),
            }
        };
        let frames = ladder::captured(&packets, reader.names());
        if frames.is_empty() && ended.is_ok() && !packets.is_empty() {
            return Err(Failure::Work(format!(
                "'{name}' does not say what a switch decided: 'lanyard trace -w' writes captures that do"
            )));
        }
        for frame in frames.into_iter().filter(|frame| self.filter.matches(&frame.record)) {
            if self.left == 0 {
                self.cut = true;
                break;
            }
            self.left -= 1;
            self.captured.push(frame);
        }
        // Each packet tells what was lost before it, and the statistics, if it came to them, all of it.
        self.lost = packets.iter().map(|packet| packet.lost).fold(0, u64::saturating_add).max(reader.lost());
        ended
    }

    fn read_lines(&mut self, name: &str, mut input: impl BufRead) -> Result<(), Failure> {
        let fault = |number: usize, what: &str| {
            Failure::Work(format!(
                "'{name}', line {number}: {what}; a file of 'lanyard trace --json' has one record a line"
            ))
        };
        for number in 1.. {
            let mut line = Vec::new();
            let read = (&mut input).take(MAX_LINE).read_until(b'\n', &mut line);
            let octets = read.map_err(|error| Failure::work(format!("'{name}' cannot be read"), error))?;
            if octets == 0 || self.left == 0 {
                break;
            }
            if octets as u64 == MAX_LINE {
                return Err(fault(number, "longer than any record"));
            }
            let text = std::str::from_utf8(&line).map_err(|_| fault(number, "this is no text"))?;
            if !text.trim().is_empty() {
                self.take(text).map_err(|error| fault(number, &one_line(&format!("this is no record: {error}"))))?;
            }
        }
        Ok(())
    }
}
