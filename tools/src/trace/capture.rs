//! How does a trace come into a capture file? The blocks are [`trace::pcapng`]'s; this file opens, flushes and closes, puts
//! the names beside the file, and tells in the manner of tcpdump what was written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;

use trace::pcapng::{About, Address, Counts, Writer, ethers};
use trace::{Record, lost_words};

use super::book::Book;
use super::print;
use crate::failure::{Failure, one_line};

/// Where a capture goes.
pub(crate) enum Out {
    /// A file, with its path.
    File(BufWriter<File>, PathBuf),
    Standard(BufWriter<io::Stdout>),
    /// A program's standard input.
    Program(BufWriter<ChildStdin>),
}

impl Out {
    /// A file, or standard output for `-`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if is_standard_output(path) {
            return Ok(Self::Standard(BufWriter::new(io::stdout())));
        }
        let file = File::create(path).map_err(|error| Failure::work(format!("writing '{}'", path.display()), error))?;
        Ok(Self::File(BufWriter::new(file), path.to_owned()))
    }

    /// A program that reads it.
    pub(crate) fn program(input: ChildStdin) -> Self {
        Self::Program(BufWriter::new(input))
    }

    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(_, path) => Some(path.clone()),
            Self::Standard(_) | Self::Program(_) => None,
        }
    }

    fn reader_gone(&self) -> bool {
        match self {
            Self::File(..) => false,
            Self::Standard(out) => print::pipe_broken(out.get_ref().as_fd()),
            Self::Program(out) => print::pipe_broken(out.get_ref().as_fd()),
        }
    }
}

impl Write for Out {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(out, _) => out.write(octets),
            Self::Standard(out) => out.write(octets),
            Self::Program(out) => out.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(out, _) => out.flush(),
            Self::Standard(out) => out.flush(),
            Self::Program(out) => out.flush(),
        }
    }
}

/// Is this how a command line says standard output?
pub(super) fn is_standard_output(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A capture is nothing for a terminal.
///
/// # Errors
/// [`Failure::Words`] when standard output is one.
pub(super) fn refuse_terminal() -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Err(Failure::Words(
            "standard output is a terminal, and a capture is no text: write '-w FILE', or pipe it, as in \
             'lanyard trace -w - | wireshark -k -i -'"
                .to_owned(),
        ));
    }
    Ok(())
}

/// A capture under way.
pub(crate) struct Capture {
    writer: Writer<Out>,
    file: Option<PathBuf>,
}

impl Capture {
    /// Begin one.
    ///
    /// # Errors
    /// As all here: [`Failure::ReaderGone`] when whoever reads it has gone, [`Failure::Work`] when it cannot be written.
    pub(crate) fn new(out: Out) -> Result<Self, Failure> {
        let about = About {
            application: concat!("lanyard ", env!("CARGO_PKG_VERSION")).to_owned(),
            comment: "each frame as it came into the switch, with the decision as comments, and each copy as it left; \
                      frame.packet_id is the frame's number"
                .to_owned(),
        };
        let file = out.path();
        let mut writer = Writer::new(out, &about).map_err(|error| failed(file.as_deref(), &error))?;
        // A live reader shows the interfaces that are there when it starts.
        writer.settle().map_err(|error| failed(file.as_deref(), &error))?;
        Ok(Self { writer, file })
    }

    fn done(&self, outcome: io::Result<()>) -> Result<(), Failure> {
        outcome.map_err(|error| failed(self.file.as_deref(), &error))
    }

    /// A frame.
    pub(super) fn record(&mut self, record: &Record, book: &mut Book) -> Result<(), Failure> {
        if book.has_news() {
            for ((network, port), told) in book.ports() {
                self.writer.describe(network, port, told);
            }
            let named = self.writer.name(book.names().iter().map(|(address, name)| (*address, name.clone())));
            self.done(named)?;
        }
        let written = self.writer.record(record);
        self.done(written)
    }

    /// So many frames were lost to the trace so far.
    pub(super) fn lost(&mut self, lost: u64) {
        self.writer.lost(lost);
    }

    /// A batch was written: a pipe's reader is to have it.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        if self.file.is_some() {
            return Ok(());
        }
        let flushed = self.writer.flush();
        self.done(flushed)
    }

    /// Nothing has come for a while.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        let settled = self.writer.settle();
        self.done(settled)?;
        if self.writer.out().reader_gone() { Err(Failure::ReaderGone) } else { Ok(()) }
    }

    /// Nobody reads it any more: only the counts are told.
    pub(super) fn abandon(&mut self) {
        tell(&lines_of(self.writer.counts()));
    }

    /// Close it, put the names beside it, and tell what was written.
    pub(super) fn finish(self, names: &BTreeMap<Address, String>) -> Result<(), Failure> {
        let file = self.file.clone();
        let mut told = String::new();
        if let Some(file) = file.as_ref().filter(|_| !names.is_empty()) {
            let beside = PathBuf::from(format!("{}.ethers", file.display()));
            let lines = ethers(names.iter().map(|(address, name)| (address, name.as_str())));
            fs::write(&beside, lines)
                .map_err(|error| Failure::work(format!("writing '{}'", beside.display()), error))?;
            let beside = one_line(&beside.display().to_string());
            told = format!(
                "the names of MAC addresses are in {beside}: as ~/.config/wireshark/ethers, Wireshark and 'tshark -N m' \
                 show them\n"
            );
        }
        let (_, counts) = self.writer.finish().map_err(|error| failed(file.as_deref(), &error))?;
        tell(&(lines_of(counts) + &told));
        Ok(())
    }
}

fn lines_of(counts: Counts) -> String {
    let Counts { frames, packets, lost, late } = counts;
    let count = |number: u64, what: &str| if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") };
    let late = match late {
        0 => String::new(),
        late => format!("{} out of order, moved to the time of the one before\n", count(late, "packet")),
    };
    let (frames, packets, lost) = (count(frames, "frame"), count(packets, "packet"), lost_words(lost));
    format!("{frames} traced\n{packets} written\n{lost}\n{late}")
}

/// With standard error closed there is nobody left to tell.
fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn failed(file: Option<&Path>, error: &io::Error) -> Failure {
    match (error.kind(), file) {
        (io::ErrorKind::BrokenPipe, _) => Failure::ReaderGone,
        (_, Some(file)) => Failure::work(format!("writing '{}'", file.display()), error),
        (_, None) => Failure::work("writing the capture", error),
    }
}
