//! Can this exercise be meant? The checked form of a file: every name is a host or network of it, every filter is one, and every
//! question has an answer of its kind.
//!
//! Nothing here is done to a machine. What a file may hold is [`super::file`]'s; what its questions and checks mean is
//! [`super::predict`]'s and [`super::check`]'s.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use frame::MacAddr;
use ipnet::IpNet;
use serde::de::value::Error as WordError;
use serde::de::{DeserializeOwned, IntoDeserializer};
use switch::control::types::{GatewayMode, NetworkSpec};
use toml::Spanned;
use trace::filter::{Filter, Ids};

use super::check::Check;
use super::command::{self, Line, host_names};
use super::file::{HostForm, NetworkForm, Source, StepForm, Word};
use super::predict::Predict;
use crate::failure::Failure;
use crate::lab::plan::{HostPlan, Plan, Timers, subnet_of};

const MOST_NETWORKS: usize = 8;
const MOST_HOSTS: usize = 20;
const MOST_STEPS: usize = 50;
const MOST_ENDS: u8 = 4;

/// An exercise that can be run.
#[derive(Debug)]
pub(super) struct Exercise {
    /// What it is called on the command line.
    pub(super) id: String,
    /// What it is called.
    pub(super) title: String,
    /// About how long a student takes.
    pub(super) minutes: u32,
    /// What a student can do afterwards.
    pub(super) goals: Vec<String>,
    /// Its networks and hosts.
    pub(super) plan: Plan,
    /// Its steps, in order.
    pub(super) steps: Vec<Step>,
    /// What is looked at when all steps are done.
    pub(super) checks: Vec<Check>,
    /// What to take home.
    pub(super) debrief: String,
}

/// One step.
#[derive(Debug)]
pub(super) struct Step {
    /// Its heading.
    pub(super) title: String,
    /// What is told before.
    pub(super) say: String,
    /// What is asked before.
    pub(super) predicts: Vec<Predict>,
    /// What the tool does.
    pub(super) run: Vec<Line>,
    /// What the student is to do instead.
    pub(super) by_hand: Vec<String>,
    /// Which frame says that it was done.
    pub(super) until: Filter,
    /// Which frames are shown.
    pub(super) show: Filter,
    /// Of which frame every decision is shown.
    pub(super) tree: Option<Filter>,
    /// Is what the commands print shown?
    pub(super) output: bool,
    /// What is told afterwards.
    pub(super) then: String,
    /// What is looked at when it is done.
    pub(super) checks: Vec<Check>,
    /// Help, more and more of it.
    pub(super) hints: Vec<String>,
}

impl Exercise {
    /// Read and check a file.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub(super) fn read(source: &Source) -> Result<Self, Failure> {
        let form = source.form()?;
        let id = source.name_word(&form.id)?;
        if !(1..=240).contains(form.minutes.get_ref()) {
            return Err(source.fault(form.minutes.span(), "minutes are 1 to 240"));
        }
        let plan = plan(source, &form.network, &form.host)?;
        if form.step.is_empty() || form.step.len() > MOST_STEPS {
            return Err(source.fault(0..0, format!("an exercise has 1 to {MOST_STEPS} [[step]]s")));
        }
        let reader = Reader { source, plan: &plan };
        let mut ids = HashSet::new();
        let mut steps = Vec::new();
        for form in &form.step {
            steps.push(reader.step(form, &mut ids)?);
        }
        let checks =
            form.check.iter().map(|form| Check::read(&reader, form, &mut ids)).collect::<Result<Vec<_>, _>>()?;
        if ids.is_empty() {
            return Err(source.fault(0..0, "it asks nothing: add a [[step.predict]] or a [[check]]"));
        }
        let title = form.title.get_ref().clone();
        let (minutes, goals, debrief) = (*form.minutes.get_ref(), form.goals, form.debrief);
        Ok(Self { id, title, minutes, goals, plan, steps, checks, debrief })
    }

    /// Points in all.
    pub(super) fn points(&self) -> u32 {
        let steps = self.steps.iter().flat_map(|step| {
            let asked = step.predicts.iter().map(|predict| predict.points);
            asked.chain(step.checks.iter().map(|check| check.points))
        });
        steps.chain(self.checks.iter().map(|check| check.points)).sum()
    }
}

impl Source {
    /// A name: letters, digits, `-`, `_`; at most 32.
    fn name_word(&self, word: &Word) -> Result<String, Failure> {
        let name = word.get_ref();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if (1..=32).contains(&name.len()) && name.chars().all(fits) {
            return Ok(name.clone());
        }
        Err(self.fault(word.span(), format!("'{name}' is no name: letters, digits, '-' and '_', 1 to 32 of them")))
    }

    fn parsed<T: std::str::FromStr>(&self, word: &Word, as_in: &str) -> Result<T, Failure> {
        let text = word.get_ref();
        text.parse()
            .map_err(|_| self.fault(word.span(), format!("'{text}' cannot be read here: write it as in {as_in}")))
    }

    /// One of the words that the control API knows for `T`; a refusal lists them.
    fn known<T: DeserializeOwned>(&self, word: &Word) -> Result<T, Failure> {
        let text: &str = word.get_ref();
        T::deserialize(IntoDeserializer::<WordError>::into_deserializer(text))
            .map_err(|error| self.fault(word.span(), error))
    }
}

fn plan(source: &Source, networks: &[NetworkForm], hosts: &[HostForm]) -> Result<Plan, Failure> {
    if networks.is_empty() || networks.len() > MOST_NETWORKS {
        return Err(source.fault(0..0, format!("an exercise has 1 to {MOST_NETWORKS} [[network]]s")));
    }
    if hosts.is_empty() || hosts.len() > MOST_HOSTS {
        return Err(source.fault(0..0, format!("an exercise has 1 to {MOST_HOSTS} [[host]]s")));
    }
    let mut plan = Plan { networks: Vec::new(), hosts: Vec::new() };
    for form in networks {
        let spec = network(source, form, plan.networks.len() as u8)?;
        if plan.networks.iter().any(|other| other.name == spec.name) {
            return Err(source.fault(form.name.span(), format!("there are two networks '{}'", spec.name)));
        }
        let overlaps = |other: &&NetworkSpec| match (other.subnet, spec.subnet) {
            (Some(a), Some(b)) => a.contains(&b) || b.contains(&a),
            _ => false,
        };
        if let Some(other) = plan.networks.iter().find(overlaps) {
            let span = form.subnet.as_ref().map_or_else(|| form.name.span(), Spanned::span);
            return Err(source.fault(span, format!("the subnets of '{}' and '{}' overlap", other.name, spec.name)));
        }
        plan.networks.push(spec);
    }
    for form in hosts {
        let host = host(source, form, &plan)?;
        plan.hosts.push(host);
    }
    Ok(plan)
}

fn network(source: &Source, form: &NetworkForm, number: u8) -> Result<NetworkSpec, Failure> {
    let name = source.name_word(&form.name)?;
    let subnet = match &form.subnet {
        Some(word) => {
            let subnet: IpNet = source.parsed(word, "10.0.1.0/24")?;
            if !matches!(subnet, IpNet::V4(net) if net == net.trunc() && (8..=28).contains(&net.prefix_len())) {
                let text = word.get_ref();
                return Err(source.fault(word.span(), format!("'{text}' is no IPv4 subnet with a prefix of 8 to 28")));
            }
            subnet
        }
        None => IpNet::V4(subnet_of(number)),
    };
    let ranged = |value: &Option<Spanned<u32>>, what: &str, least: u32, most: u32| match value {
        Some(value) if !(least..=most).contains(value.get_ref()) => {
            Err(source.fault(value.span(), format!("{what} is {least} to {most}")))
        }
        value => Ok(value.as_ref().map(|value| *value.get_ref())),
    };
    let mut spec = NetworkSpec { subnet: Some(subnet), ..NetworkSpec::named(&name) };
    spec.gateway_mode = match form.gateway.as_ref().map(|word| (word, word.get_ref().as_str())) {
        None | Some((_, "router")) => GatewayMode::Router,
        Some((_, "none")) => GatewayMode::None,
        Some((word, other)) => {
            return Err(source.fault(word.span(), format!("gateway cannot be '{other}': known are router, none")));
        }
    };
    spec.ageing = Some(ranged(&form.ageing, "ageing", 1, 1_000_000)?.unwrap_or(300));
    spec.mac_capacity = ranged(&form.mac_capacity, "mac-capacity", 64, 65_536)?;
    spec.mac_limit = ranged(&form.mac_limit, "mac-limit", 1, 65_536)?;
    spec.options.guard = form.guard.unwrap_or(false);
    spec.forward_reserved = form.forward_reserved.unwrap_or(false);
    if let Some(word) = &form.arp {
        spec.arp = source.known(word)?;
    }
    if let Some(word) = &form.mode {
        spec.options.mode = source.known(word)?;
    }
    if let Some(word) = &form.evict {
        spec.options.evict = source.known(word)?;
    }
    Ok(spec)
}

fn host(source: &Source, form: &HostForm, plan: &Plan) -> Result<HostPlan, Failure> {
    let name = source.name_word(&form.name)?;
    let taken = |what: &str, span: Range<usize>| source.fault(span, format!("{what} is taken already"));
    if name == "gateway" || name == "nobody" || plan.hosts.iter().any(|other| other.name == name) {
        return Err(taken(&format!("the name '{name}'"), form.name.span()));
    }
    let network = match &form.network {
        Some(word) => plan.networks.iter().find(|spec| spec.name == *word.get_ref()).ok_or_else(|| {
            let known: Vec<&str> = plan.networks.iter().map(|spec| spec.name.as_str()).collect();
            source
                .fault(word.span(), format!("there is no network '{}': known are {}", word.get_ref(), known.join(", ")))
        })?,
        None => &plan.networks[0],
    };
    let Some(IpNet::V4(subnet)) = network.subnet else {
        return Err(source.fault(form.name.span(), format!("network '{}' has no IPv4 subnet", network.name)));
    };
    let number = plan.hosts.len() as u32 + 1;
    let ip = match &form.ip {
        Some(word) => source.parsed(word, "10.0.1.11")?,
        None => Ipv4Addr::from(u32::from(subnet.network()).saturating_add(10 + number)),
    };
    let span = form.ip.as_ref().map_or_else(|| form.name.span(), Spanned::span);
    if !subnet.contains(&ip) || ip == subnet.network() || ip == subnet.broadcast() {
        return Err(source.fault(span, format!("{ip} is no host's address in {subnet}")));
    }
    if plan.gateway_of(&network.name) == Some(ip) || plan.hosts.iter().any(|other| other.ip == ip) {
        return Err(taken(&ip.to_string(), span));
    }
    let mac = form.mac.as_ref().map_or(Ok(MacAddr::from_ipv4(ip)), |word| source.parsed(word, "02:42:0a:00:01:0b"))?;
    let span = form.mac.as_ref().map_or_else(|| form.name.span(), Spanned::span);
    if mac.is_group() || mac.is_zero() {
        return Err(source.fault(span, format!("{mac} is no station's address")));
    }
    if plan.hosts.iter().any(|other| other.mac == mac) {
        return Err(taken(&mac.to_string(), span));
    }
    let ends = form.ends.as_ref().map_or(1, |ends| *ends.get_ref());
    if !(1..=MOST_ENDS).contains(&ends) {
        let span = form.ends.as_ref().map_or(0..0, Spanned::span);
        return Err(source.fault(span, format!("a host has 1 to {MOST_ENDS} ends")));
    }
    let timers = Timers {
        reachable_ms: timer(source, form.reachable_ms.as_ref(), 100)?,
        delay_s: timer(source, form.delay_s.as_ref(), 1)?,
        retrans_ms: timer(source, form.retrans_ms.as_ref(), 10)?,
        locktime_ms: timer(source, form.locktime_ms.as_ref(), 0)?,
    };
    Ok(HostPlan { name, network: network.name.clone(), ip, mac, ends, timers })
}

fn timer(source: &Source, value: Option<&Spanned<u32>>, least: u32) -> Result<Option<u32>, Failure> {
    match value {
        Some(value) if !(least..=600_000).contains(value.get_ref()) => {
            Err(source.fault(value.span(), format!("a timer is {least} to 600000")))
        }
        value => Ok(value.map(|value| *value.get_ref())),
    }
}

/// Reads what speaks of hosts and networks that are known already.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    pub(super) plan: &'a Plan,
}

impl Reader<'_> {
    fn step(&self, form: &StepForm, ids: &mut HashSet<String>) -> Result<Step, Failure> {
        let lines = |words: &[Word]| words.iter().map(|word| self.line(word)).collect::<Result<Vec<_>, _>>();
        let told = |word: &Word| command::told(word.get_ref(), self.plan).map_err(|wrong| self.wrong_line(word, wrong));
        if let ([_, ..], [first, ..]) = (form.run.as_slice(), form.by_hand.as_slice()) {
            return Err(self.source.fault(first.span(), "a step has either 'run' or 'do': make it two steps"));
        }
        if let (Some(until), []) = (&form.until, form.by_hand.as_slice()) {
            return Err(self.source.fault(until.span(), "'until' belongs to a step with 'do'"));
        }
        let optional = |word: &Option<Word>| word.as_ref().map(|word| self.filter(word)).transpose();
        Ok(Step {
            title: form.title.get_ref().clone(),
            say: form.say.clone(),
            predicts: form.predict.iter().map(|form| Predict::read(self, form, ids)).collect::<Result<_, _>>()?,
            run: lines(&form.run)?,
            by_hand: form.by_hand.iter().map(told).collect::<Result<_, _>>()?,
            until: optional(&form.until)?.unwrap_or_default(),
            show: optional(&form.show)?.unwrap_or_default(),
            tree: optional(&form.tree)?,
            output: form.output,
            then: form.then.clone(),
            checks: form.check.iter().map(|form| Check::read(self, form, ids)).collect::<Result<_, _>>()?,
            hints: form.hints.clone(),
        })
    }

    /// A command line that the tool runs.
    pub(super) fn line(&self, word: &Word) -> Result<Line, Failure> {
        command::runnable(word.get_ref(), self.plan).map_err(|wrong| self.wrong_line(word, wrong))
    }

    fn wrong_line(&self, word: &Word, wrong: command::Wrong) -> Failure {
        self.source.fault(self.source.within(word, wrong.range), wrong.why)
    }

    /// An item's id, which no other item has.
    pub(super) fn item(&self, word: &Word, ids: &mut HashSet<String>) -> Result<String, Failure> {
        let id = self.source.name_word(word)?;
        if ids.insert(id.clone()) {
            return Ok(id);
        }
        Err(self.source.fault(word.span(), format!("two items have the id '{id}'")))
    }

    /// What an item is worth.
    pub(super) fn points(&self, points: Option<&Spanned<u32>>) -> Result<u32, Failure> {
        match points {
            None => Ok(1),
            Some(points) if (1..=100).contains(points.get_ref()) => Ok(*points.get_ref()),
            Some(points) => Err(self.source.fault(points.span(), "an item is worth 1 to 100 points")),
        }
    }

    /// A host's name.
    pub(super) fn host(&self, word: &Word) -> Result<String, Failure> {
        let name = word.get_ref();
        if self.plan.hosts.iter().any(|host| host.name == *name) {
            return Ok(name.clone());
        }
        let known = host_names(self.plan);
        Err(self.source.fault(word.span(), format!("there is no host '{name}': known are {known}")))
    }

    /// The name of a port: a host's, or that of one of its further ends.
    pub(super) fn port(&self, word: &Word) -> Result<String, Failure> {
        if self.is_port(word.get_ref()) { Ok(word.get_ref().clone()) } else { self.host(word) }
    }

    fn is_port(&self, name: &str) -> bool {
        let further = |host: &HostPlan| (2..=host.ends).any(|end| name == format!("{}-{end}", host.name));
        self.plan.hosts.iter().any(|host| host.name == name || further(host))
    }

    /// A network's name.
    pub(super) fn network(&self, word: &Word) -> Result<String, Failure> {
        let name = word.get_ref();
        let known: Vec<&str> = self.plan.networks.iter().map(|spec| spec.name.as_str()).collect();
        if known.contains(&name.as_str()) {
            return Ok(name.clone());
        }
        Err(self.source.fault(word.span(), format!("there is no network '{name}': known are {}", known.join(", "))))
    }

    /// A filter, whose names are this exercise's.
    pub(super) fn filter(&self, word: &Word) -> Result<Filter, Failure> {
        let text = word.get_ref();
        let filter =
            Filter::parse(text).map_err(|error| self.source.fault(self.source.within(word, error.range()), &error))?;
        let mut before = "";
        for (at, name) in split(text) {
            let (known, what) = match before {
                "port-of" | "to" => (self.is_port(name), "host"),
                "host" => (self.is_port(name) || name == "gateway" || is_address(name), "host"),
                "network" => (self.plan.networks.iter().any(|spec| spec.name == name), "network"),
                _ => (true, ""),
            };
            if !known {
                let range = self.source.within(word, at..at + name.len());
                let hosts = host_names(self.plan);
                return Err(self
                    .source
                    .fault(range, format!("there is no {what} '{name}' here; the hosts are {hosts}")));
            }
            before = name;
        }
        Ok(filter.with_addresses(&Addresses(self.plan)))
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || text.parse::<MacAddr>().is_ok()
}

/// The words of a filter, with their places.
fn split(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let beginning = text.as_ptr() as usize;
    text.split(|c: char| c.is_whitespace() || "()!&|".contains(c))
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr() as usize - beginning, word))
}

/// The hosts' addresses, for filters that name them.
struct Addresses<'a>(&'a Plan);

impl Ids for Addresses<'_> {
    fn ips(&self, name: &str) -> Vec<IpAddr> {
        let hosts = self.0.hosts.iter().filter(|host| host.name == name);
        hosts.map(|host| IpAddr::V4(host.ip)).collect()
    }
}

#[cfg(test)]
#[path = "exercise_tests.rs"]
mod tests;
