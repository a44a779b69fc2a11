//! Might a frame that has just come in match, when all is decided? The filter as the engine asks it: numbers in place of
//! names, no allocation, no lock.
//!
//! Only the decision will tell a verdict, and only the book of names whose address it is: such a test answers
//! "perhaps", and what is perhaps is admitted. "No" is said only of a frame that cannot match, so that
//! [`Filter::matches`](super::Filter::matches) has the last word on what was admitted and misses nothing.

use std::net::IpAddr;
use std::sync::Arc;

use frame::{MacAddr, NetworkId, PortId};

use super::headers::{Headers, Link};
use super::screen::Screen;
use super::syntax::{EtherHost, Expr, Family, Host, Test, Way};

/// Who knows which numbers and addresses go by a name? `()` knows none.
///
/// A name that is not known yet admits whatever may turn out to be its; one that is, admits what is its by these lists.
/// So a filter that speaks of names is to be compiled again when endpoints or networks come or go.
pub trait Ids {
    /// The ports of the endpoints with this name, on whatever network.
    fn ports(&self, _name: &str) -> Vec<PortId> {
        Vec::new()
    }

    /// The networks with this name.
    fn networks(&self, _name: &str) -> Vec<NetworkId> {
        Vec::new()
    }

    /// The MAC addresses of the stations with this name.
    fn macs(&self, _name: &str) -> Vec<MacAddr> {
        Vec::new()
    }

    /// The IP addresses of the stations with this name.
    fn ips(&self, _name: &str) -> Vec<IpAddr> {
        Vec::new()
    }
}

impl Ids for () {}

/// A [`Filter`](super::Filter) in the engine's terms. A copy costs one atomic increment.
#[derive(Clone, Debug)]
pub struct Admission {
    screen: Screen,
    /// `None` admits everything.
    rule: Option<Arc<Rule>>,
}

/// Yes, no, or what only the decision will tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    No,
    Perhaps,
    Yes,
}

#[derive(Debug)]
pub(super) enum Rule {
    /// The frame's headers say.
    Headers(Test),
    Less(u32),
    Greater(u32),
    FromSwitch,
    Ports(Box<[PortId]>),
    Networks(Box<[NetworkId]>),
    /// The frame may be of a station with these addresses; where no MAC address is known, of any.
    Station {
        family: Option<Family>,
        way: Way,
        macs: Box<[MacAddr]>,
        ips: Box<[IpAddr]>,
    },
    Perhaps,
    Not(Box<Rule>),
    And(Box<Rule>, Box<Rule>),
    Or(Box<Rule>, Box<Rule>),
}

/// One frame, whose packet is read when the first test asks for it.
struct Subject<'a> {
    network: NetworkId,
    port: Option<PortId>,
    octets: &'a [u8],
    link: Link<'a>,
    headers: Option<Headers<'a>>,
}

impl<'a> Subject<'a> {
    fn headers(&mut self) -> &Headers<'a> {
        self.headers.get_or_insert_with(|| Headers::behind(self.link))
    }

    fn passes(&mut self, test: &Test) -> Answer {
        let answer = self.link.pass(test).or_else(|| self.headers().pass(test));
        answer.map_or(Answer::Perhaps, Answer::from)
    }
}

impl Admission {
    /// It admits every frame.
    pub fn everything() -> Self {
        Self { screen: Screen::OPEN, rule: None }
    }

    pub(super) fn new(expr: Option<&Expr>, ids: &impl Ids) -> Self {
        let rule = expr.map(|expr| Rule::of(expr, ids));
        Self { screen: rule.as_ref().map_or(Screen::OPEN, Screen::of), rule: rule.map(Arc::new) }
    }

    /// Does it admit every frame, without looking?
    pub fn is_everything(&self) -> bool {
        self.rule.is_none()
    }

    /// Might the frame match? `port` is the one it came in by, `None` for a frame that the switch made; `octets` are the
    /// whole frame's, as it came in, without FCS.
    #[inline]
    pub fn admits(&self, network: NetworkId, port: Option<PortId>, octets: &[u8]) -> bool {
        self.screen.passes(octets) && self.looks_closer(network, port, octets)
    }

    fn looks_closer(&self, network: NetworkId, port: Option<PortId>, octets: &[u8]) -> bool {
        let Some(rule) = &self.rule else { return true };
        let link = Link::read(octets);
        rule.answer(&mut Subject { network, port, octets, link, headers: None }) != Answer::No
    }

    #[cfg(test)]
    pub(super) fn screen(&self) -> Screen {
        self.screen
    }
}

impl Rule {
    fn of(expr: &Expr, ids: &impl Ids) -> Self {
        match expr {
            Expr::Test(test) => Self::of_test(test, ids),
            Expr::Not(inner) => Self::Not(Box::new(Self::of(inner, ids))),
            Expr::And(left, right) => Self::And(Box::new(Self::of(left, ids)), Box::new(Self::of(right, ids))),
            Expr::Or(left, right) => Self::Or(Box::new(Self::of(left, ids)), Box::new(Self::of(right, ids))),
        }
    }

    fn of_test(test: &Test, ids: &impl Ids) -> Self {
        match test {
            Test::Less(octets) => Self::Less(*octets),
            Test::Greater(octets) => Self::Greater(*octets),
            Test::FromSwitch => Self::FromSwitch,
            Test::PortOf(name) => match ids.ports(name) {
                ports if ports.is_empty() => Self::Perhaps,
                ports => Self::Ports(ports.into()),
            },
            Test::Network(name) => match ids.networks(name) {
                networks if networks.is_empty() => Self::Perhaps,
                networks => Self::Networks(networks.into()),
            },
            Test::Host { family, way, host: Host::Name(name, known) } => {
                let ips = known.iter().copied().chain(ids.ips(name)).collect();
                Self::station(Some(*family), *way, ids.macs(name), ips)
            }
            Test::EtherHost { way, host: EtherHost::Name(name) } => {
                Self::station(None, *way, ids.macs(name), Box::default())
            }
            Test::To(_) | Test::Verdict(_) | Test::Reason(_) | Test::Learned(_) | Test::Frame { .. } => Self::Perhaps,
            _ => Self::Headers(test.clone()),
        }
    }

    fn station(family: Option<Family>, way: Way, macs: Vec<MacAddr>, ips: Box<[IpAddr]>) -> Self {
        Self::Station { family, way, macs: macs.into(), ips }
    }

    fn answer(&self, subject: &mut Subject<'_>) -> Answer {
        match self {
            Self::Headers(test) => subject.passes(test),
            Self::Less(octets) => (subject.octets.len() <= *octets as usize).into(),
            Self::Greater(octets) => (subject.octets.len() >= *octets as usize).into(),
            Self::FromSwitch => subject.port.is_none().into(),
            Self::Ports(ports) => subject.port.is_some_and(|port| ports.contains(&port)).into(),
            Self::Networks(networks) => networks.contains(&subject.network).into(),
            Self::Station { family, way, macs, ips } => {
                if family.is_some_and(|family| !subject.link.is_of(family)) {
                    return Answer::No;
                }
                // One address may be of several stations, on networks of their own: the book of names will tell.
                let has_mac = macs.is_empty() || subject.link.mac(*way, |mac| macs.contains(&mac));
                let has_ip = |family| subject.headers().address(family, *way, |ip| ips.contains(&ip));
                let may_be = has_mac || family.is_some_and(has_ip);
                if may_be { Answer::Perhaps } else { Answer::No }
            }
            Self::Perhaps => Answer::Perhaps,
            Self::Not(inner) => match inner.answer(subject) {
                Answer::No => Answer::Yes,
                Answer::Perhaps => Answer::Perhaps,
                Answer::Yes => Answer::No,
            },
            Self::And(left, right) => match left.answer(subject) {
                Answer::No => Answer::No,
                Answer::Yes => right.answer(subject),
                Answer::Perhaps => match right.answer(subject) {
                    Answer::No => Answer::No,
                    _ => Answer::Perhaps,
                },
            },
            Self::Or(left, right) => match left.answer(subject) {
                Answer::Yes => Answer::Yes,
                Answer::No => right.answer(subject),
                Answer::Perhaps => match right.answer(subject) {
                    Answer::Yes => Answer::Yes,
                    _ => Answer::Perhaps,
                },
            },
        }
    }
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}
