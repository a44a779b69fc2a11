//! What passes? Streams and datagrams by iperf3, and requests with their answers by two threads of this program's own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use lanyard_benches::machine::cpu_time_of_threads;
use lanyard_benches::stats::{Runs, quantile};
use serde_json::Value;

use super::world::Subject;

/// Octets of a datagram, of a request and of its answer.
const DATAGRAM: usize = 1400;
const REQUEST: usize = 64;
/// Beyond the time a measurement should take, before it is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Round trips before the first that counts: addresses are resolved, caches warm.
const WARM_UP: usize = 200;

/// What is measured in one go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    Tcp { streams: u8 },
    Udp,
    RequestResponse,
}

impl Work {
    pub(crate) const ALL: [Self; 4] =
        [Self::Tcp { streams: 1 }, Self::Tcp { streams: 4 }, Self::Udp, Self::RequestResponse];

    /// What it measures, with units.
    pub(crate) const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Tcp { streams: 1 } => &["TCP 1 stream, Gb/s"],
            Self::Tcp { .. } => &["TCP 4 streams, Gb/s"],
            Self::Udp => &["UDP 1,400 octets, Gb/s"],
            Self::RequestResponse => &["request/response p50, us", "request/response p99, us"],
        }
    }

    /// Do it, for about `seconds`: one sample for each of [`Work::words`].
    ///
    /// # Errors
    /// What iperf3 or a socket said.
    pub(crate) fn measure(self, subject: &Subject, seconds: u32) -> io::Result<Vec<Sample>> {
        match self {
            Self::Tcp { streams } => iperf3(subject, seconds, &["-P", &streams.to_string()]),
            Self::Udp => iperf3(subject, seconds, &["-u", "-b", "0", "-l", &DATAGRAM.to_string()]),
            Self::RequestResponse => request_response(subject, Duration::from_secs(u64::from(seconds))),
        }
    }
}

/// One figure of one measurement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    /// CPU seconds of the switch's workers for each 10^9 octets that arrived.
    pub(crate) switch_cpu: Option<f64>,
    /// The same with those of the sender and the receiver, which do the bridge's work as well.
    pub(crate) all_cpu: Option<f64>,
    /// Datagrams lost, percent.
    pub(crate) lost: Option<f64>,
}

/// A process that is ended, by its id, when this is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }

    /// Wait for its end, and return what it said; that must fit in a pipe.
    fn finish(mut self, patience: Duration) -> io::Result<String> {
        let deadline = Instant::now() + patience;
        while self.0.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "iperf3 does not end"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        let mut said = String::new();
        self.0.stdout.take().map_or(Ok(0), |mut pipe| pipe.read_to_string(&mut said))?;
        Ok(said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server for one client, which listens when this returns.
fn server(subject: &Subject) -> io::Result<(Running, impl Read)> {
    let mut command = subject.ends[1].command("iperf3");
    let mut server = Running::start(command.args(["-s", "-1", "-i", "0", "--forceflush"]))?;
    let mut said = BufReader::new(server.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        if said.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the iperf3 server does not listen"));
        }
    }
    // Whoever holds the pipe keeps the server from dying of a closed one.
    Ok((server, said))
}

fn iperf3(subject: &Subject, seconds: u32, words: &[&str]) -> io::Result<Vec<Sample>> {
    let (server, _pipe) = server(subject)?;
    let mut command = subject.ends[0].command("iperf3");
    command.args(["-J", "-i", "0", "-t", &seconds.to_string(), "-c", &subject.ends[1].ip.to_string()]).args(words);
    let before = cpu_time_of_threads("worker-")?;
    let said = Running::start(&mut command)?.finish(PATIENCE + Duration::from_secs(u64::from(seconds)))?;
    let workers = cpu_time_of_threads("worker-")?.saturating_sub(before);
    server.finish(PATIENCE)?;
    let workers = (subject.kind != super::world::Kind::Bridge).then_some(workers);
    Ok(vec![read_report(&said, workers)?])
}

/// What iperf3's JSON says, with the CPU time of the workers.
fn read_report(said: &str, workers: Option<Duration>) -> io::Result<Sample> {
    let report: Value = serde_json::from_str(said).map_err(|_| io::Error::other("iperf3 said nothing"))?;
    if let Some(error) = report["error"].as_str() {
        return Err(io::Error::other(format!("iperf3: {error}")));
    }
    let end = &report["end"];
    let number = |value: &Value| value.as_f64().ok_or_else(|| io::Error::other("iperf3's report has no such figure"));
    let udp = report["start"]["test_start"]["protocol"] == "UDP";
    let sum = &end[if udp { "sum" } else { "sum_received" }];
    let seconds = number(&sum["seconds"])?;
    // For datagrams, `sum` has the octets sent and the datagrams that the receiver missed.
    let lost = if udp { Some(number(&sum["lost_percent"])?) } else { None };
    let octets = number(&sum["bytes"])? * (1.0 - lost.unwrap_or(0.0) / 100.0);
    let cpu = &end["cpu_utilization_percent"];
    let ends = (number(&cpu["host_total"])? + number(&cpu["remote_total"])?) / 100.0 * seconds;
    let per_gb = |cpu: f64| (octets > 0.0).then(|| cpu / (octets / 1e9));
    let switch = workers.map(|workers| workers.as_secs_f64());
    Ok(Sample {
        value: octets * 8.0 / seconds / 1e9,
        switch_cpu: switch.and_then(per_gb),
        all_cpu: per_gb(ends + switch.unwrap_or(0.0)),
        lost,
    })
}

/// TCP round trips, one at a time: the time the middle one takes and the time that one in a hundred exceeds, microseconds.
fn request_response(subject: &Subject, duration: Duration) -> io::Result<Vec<Sample>> {
    let [near, far] = &subject.ends;
    let listener = far.open(|| TcpListener::bind((far.ip, 0)))?;
    let address = listener.local_addr()?;
    let client = near.open(|| TcpStream::connect_timeout(&address, PATIENCE))?;
    let (server, _) = listener.accept()?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
    }
    let trips = thread::scope(|scope| {
        scope.spawn(|| answer(&server));
        let trips = ask(&client, duration);
        // However it went, the server's thread must end.
        let _ = client.shutdown(Shutdown::Both);
        trips
    })?;
    let trips = Runs::new(trips);
    let sample = |q| Sample { value: quantile(trips.sorted(), q), ..Sample::default() };
    Ok(vec![sample(0.5), sample(0.99)])
}

fn answer(mut stream: &TcpStream) {
    let mut octets = [0; REQUEST];
    while stream.read_exact(&mut octets).is_ok() && stream.write_all(&octets).is_ok() {}
    let _ = stream.shutdown(Shutdown::Both); // an end that has failed keeps nobody waiting
}

fn ask(mut stream: &TcpStream, duration: Duration) -> io::Result<Vec<f64>> {
    let mut octets = [7; REQUEST];
    let mut trip = || -> io::Result<f64> {
        let start = Instant::now();
        stream.write_all(&octets)?;
        stream.read_exact(&mut octets)?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    };
    for _ in 0..WARM_UP {
        trip()?;
    }
    let (start, mut trips) = (Instant::now(), Vec::new());
    while start.elapsed() < duration {
        trips.push(trip()?);
    }
    Ok(trips)
}
