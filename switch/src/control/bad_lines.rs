//! How does a port's line become bad on purpose, and good again? Faults live in the engine alone: nothing is written
//! down, and they end with their time, their port or the switch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use frame::{Millis, PortId};
use trace::filter::{Admission, Filter};

use super::Fault;
use super::book::{Book, Endpoint, Network};
use super::switch::Switch;
use super::types::{FaultRow, FaultSpec, PortState};
use crate::engine::line::LineFault;

/// A fault's time when nobody says: nothing bad stays.
const DEFAULT_TIME: Millis = Millis::from_secs(600);
/// The longest time of a fault.
const LONGEST_TIME: Millis = Millis::from_secs(86_400);
/// Faults at a time.
const MOST: usize = 256;

/// The number of the last fault; numbers are not used again.
static LAST: AtomicU32 = AtomicU32::new(0);

impl Switch {
    /// Make a port's line bad.
    ///
    /// # Errors
    /// There is no such port, or it is gone; the filter cannot be read, or asks what a frame alone does not tell; the
    /// time is too long or too short; there are too many faults.
    pub fn add_fault(&self, spec: &FaultSpec) -> Result<FaultRow, Fault> {
        let filter = filter(spec.filter.as_deref().unwrap_or_default())?;
        let time = spec.for_ms.map_or(DEFAULT_TIME, Millis);
        if time.0 == 0 || time > LONGEST_TIME {
            let (what, least, most) = ("the fault's time (ms)", 1, LONGEST_TIME.0);
            return Err(Fault::OutOfRange { what, value: time.0, least, most });
        }
        let book = self.0.open_book()?;
        let port = port(&book, &spec.port)?;
        let engine = &self.0.engine;
        if engine.faults().len() >= MOST {
            return Err(Fault::TooManyFaults { limit: MOST });
        }
        // Short enough to be read aloud.
        let seed = spec.seed.unwrap_or_else(|| rand::random::<u32>().into());
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let until = engine.clock().now() + time;
        let fault = engine.add_fault(port, LineFault::new(id, spec.fault, spec.direction, filter, seed, until));
        self.row(&book, port, &fault).ok_or_else(|| Fault::NoPort(format!("port '{}' has gone", spec.port)))
    }

    /// Every fault that has not ended, by number.
    pub fn faults(&self) -> Vec<FaultRow> {
        let book = self.0.book();
        let faults = self.0.engine.faults();
        faults.iter().filter_map(|(port, fault)| self.row(&book, *port, fault)).collect()
    }

    /// Mend the line with that fault's number, or all of a port's faults, or, for `None`, all; what that was.
    ///
    /// # Errors
    /// There is no such fault, or the port has none.
    pub fn remove_faults(&self, which: Option<&str>) -> Result<Vec<FaultRow>, Fault> {
        let book = self.0.open_book()?;
        let engine = &self.0.engine;
        let removed = match which {
            None => engine.remove_faults(|_, _| true),
            Some(number) if number.bytes().all(|b| b.is_ascii_digit()) => {
                engine.remove_faults(|_, fault| number.parse() == Ok(fault.id))
            }
            Some(name) => {
                let port = port(&book, name)?;
                engine.remove_faults(|of, _| of == port)
            }
        };
        match which {
            Some(which) if removed.is_empty() => Err(Fault::NoLineFault(which.to_owned())),
            _ => Ok(removed.iter().filter_map(|(port, fault)| self.row(&book, *port, fault)).collect()),
        }
    }

    fn row(&self, book: &Book, port: PortId, fault: &Arc<LineFault>) -> Option<FaultRow> {
        let (network, endpoint) = book.endpoints().find(|(_, endpoint)| endpoint.port() == port)?;
        let (seen, met) = fault.counts();
        Some(FaultRow {
            id: fault.id,
            network: network.name().to_owned(),
            port: port.to_string(),
            endpoint: endpoint.record.name.clone(),
            fault: fault.kind,
            direction: fault.direction,
            filter: fault.filter.clone(),
            seed: fault.seed,
            left_ms: (fault.until - self.0.engine.clock().now()).0,
            seen,
            met,
        })
    }
}

/// A filter that a frame's octets alone answer.
fn filter(text: &str) -> Result<(String, Admission), Fault> {
    let filter = Filter::parse(text).map_err(|error| Fault::FaultFilter(error.to_string()))?;
    if let Some(test) = filter.beyond_the_frame() {
        let why = "a line knows a frame's octets, no names and no decisions: ask for addresses, protocols and ports";
        return Err(Fault::FaultFilter(format!("'{test}' cannot be in it: {why}")));
    }
    Ok((filter.to_string(), filter.compile(&())))
}

/// The port that is meant: `p3`, an endpoint's name that only one has, or `NETWORK/ENDPOINT`.
fn port(book: &Book, name: &str) -> Result<PortId, Fault> {
    let is_meant = |(network, endpoint): &(&Network, &Endpoint)| match name.split_once('/') {
        Some((of, endpoint_name)) => network.name() == of && endpoint.record.name == endpoint_name,
        None => endpoint.record.name == name || endpoint.port().to_string() == name,
    };
    let meant: Vec<_> = book.endpoints().filter(is_meant).collect();
    match meant[..] {
        [(_, endpoint)] if endpoint.state() == PortState::Gone => {
            Err(Fault::NoPort(format!("port '{name}' is gone: 'lanyard show ports' tells how ports are")))
        }
        [(_, endpoint)] => Ok(endpoint.port()),
        [] => Err(Fault::NoPort(format!("there is no port or endpoint '{name}': 'lanyard show ports' lists them"))),
        [(network, endpoint), ..] => Err(Fault::NoPort(format!(
            "several ports go by '{name}': write {}/{}, or {}",
            network.name(),
            endpoint.record.name,
            endpoint.port()
        ))),
    }
}
