//! Which frames does somebody want to see? A filter in the manner of pcap-filter(7), which also asks what the switch
//! decided: `arp and verdict flood`, `host web and not tcp port 22`, `reason spoofed-mac or learned moved`.
//!
//! | words | the frame |
//! | --- | --- |
//! | `arp` [`request` `reply` `probe` `announcement`] | is ARP (of that kind; a probe and an announcement are requests, too) |
//! | `icmp` [`echo` `reply` `unreachable` `redirect` `time-exceeded` `parameter-problem`] | is ICMP over IPv4 |
//! | `icmp6` [the same, `too-big`, `router-` and `neighbor-solicitation`, `-advertisement`] | is ICMP over IPv6 |
//! | `ip`, `ip6`, `tcp`, `udp`, `ether proto N` | is of that protocol |
//! | `vlan` [`N`] | has a VLAN tag (with that number) |
//! | [`ip` `ip6` `arp`] [`src` `dst`] `host` A | has that IP address, or is of the endpoint of that name |
//! | [`ip` `ip6` `arp`] [`src` `dst`] `net` CIDR | has an IP address of that subnet |
//! | `ether` [`src` `dst`] `host` M | has that MAC address, or is of the endpoint of that name |
//! | [`tcp` `udp`] [`src` `dst`] `port` N, `portrange` A-B | has that TCP or UDP port |
//! | `broadcast`, `multicast`, `unicast` | is for everybody, for a group (everybody too), for one station |
//! | `less` N, `greater` N | has so many octets or fewer, or more |
//! | `port-of` NAME, `from-switch` | came in by that endpoint's port; was made by the switch |
//! | `to` NAME | had a copy for that endpoint's port, whether it was taken or not |
//! | `network` NAME | came in by that network |
//! | `verdict` `unicast` `flood` `drop` `answered` `consumed` `held` `fragmented` | met with that fate |
//! | `reason` NAME | was dropped for that reason, or one of its copies was |
//! | `learned` `new` `fresh` `moved` `refused` | taught the MAC table that |
//! | `frame` N, `frame` N-M | has that number |
//!
//! Tests are joined by `and` (`&&`) and `or` (`||`), turned round by `not` (`!`), grouped by parentheses. As
//! pcap-filter(7) has it, `not` binds closest, and `and` and `or` bind equally, from the left: `arp or icmp and host a`
//! is `(arp or icmp) and host a`. Tests must be joined by a word, and each needs its own first words: `host a or b` is
//! refused. VLAN tags are always looked past, so that `vlan` changes nothing that follows it.
//!
//! An endpoint's name stands for its addresses: its MAC address as the record tells it, and its IP addresses once
//! [`Filter::with_addresses`] has told them.

mod admission;
mod error;
mod headers;
mod parse;
mod screen;
mod syntax;

use std::fmt;
use std::str::FromStr;

pub use admission::{Admission, Ids};
pub use error::FilterError;

use crate::record::Record;
use crate::step::{LearnedRecord, StepRecord, VerdictRecord};
use headers::Headers;
use syntax::{EtherHost, Expr, Host, LearnedWord, Test, VerdictWord};

/// A filter. Its text form ([`fmt::Display`]) is canonical and parses to the same filter; a filter of everything is
/// the empty text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    expr: Option<Expr>,
}

impl Filter {
    /// Read a filter; a blank text is the filter of everything.
    ///
    /// # Errors
    /// When the text is none; the error says where, and what may have been meant.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::parse(text).map(|expr| Self { expr })
    }

    /// Does it match every frame, without looking?
    pub fn is_everything(&self) -> bool {
        self.expr.is_none()
    }

    /// Does it name endpoints by their IP addresses, which [`Filter::with_addresses`] tells?
    pub fn names_hosts(&self) -> bool {
        self.expr.as_ref().is_some_and(names_hosts)
    }

    /// Does it match this frame?
    pub fn matches(&self, record: &Record) -> bool {
        let Some(expr) = &self.expr else { return true };
        matches(expr, record, &Headers::read(&record.data.0))
    }

    /// The same filter, which also knows the endpoints that it names by the IP addresses they have now. Without, `host
    /// web` finds the frames with web's MAC address; with it, those that were routed from or to web as well, and the ARP
    /// requests for it.
    #[must_use]
    pub fn with_addresses(&self, ids: &impl Ids) -> Self {
        let mut filter = self.clone();
        if let Some(expr) = &mut filter.expr {
            tell_addresses(expr, ids);
        }
        filter
    }

    /// The first test that a frame's octets alone do not answer: one of a name, of a port, or of what was decided.
    pub fn beyond_the_frame(&self) -> Option<String> {
        self.expr.as_ref().and_then(beyond_the_frame)
    }

    /// What the engine asks of a frame that has just come in, with the numbers that the names stand for now. It admits
    /// every frame that [`Filter::matches`] will match, and some that it will not.
    pub fn compile(&self, ids: &impl Ids) -> Admission {
        Admission::new(self.expr.as_ref(), ids)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.as_ref().map_or(Ok(()), |expr| expr.fmt(f))
    }
}

fn beyond_the_frame(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Test(test) => match test {
            Test::Host { host: Host::Name(..), .. }
            | Test::EtherHost { host: EtherHost::Name(_), .. }
            | Test::PortOf(_)
            | Test::To(_)
            | Test::Network(_)
            | Test::FromSwitch
            | Test::Verdict(_)
            | Test::Reason(_)
            | Test::Learned(_)
            | Test::Frame { .. } => Some(test.to_string()),
            _ => None,
        },
        Expr::Not(inner) => beyond_the_frame(inner),
        Expr::And(left, right) | Expr::Or(left, right) => beyond_the_frame(left).or_else(|| beyond_the_frame(right)),
    }
}

fn tell_addresses(expr: &mut Expr, ids: &impl Ids) {
    match expr {
        Expr::Test(Test::Host { host: Host::Name(name, ips), .. }) => *ips = ids.ips(name),
        Expr::Test(_) => {}
        Expr::Not(inner) => tell_addresses(inner, ids),
        Expr::And(left, right) | Expr::Or(left, right) => {
            tell_addresses(left, ids);
            tell_addresses(right, ids);
        }
    }
}

fn names_hosts(expr: &Expr) -> bool {
    match expr {
        Expr::Test(test) => matches!(test, Test::Host { host: Host::Name(..), .. }),
        Expr::Not(inner) => names_hosts(inner),
        Expr::And(left, right) | Expr::Or(left, right) => names_hosts(left) || names_hosts(right),
    }
}

fn matches(expr: &Expr, record: &Record, headers: &Headers<'_>) -> bool {
    match expr {
        Expr::Test(test) => headers.pass(test).unwrap_or_else(|| passes(test, record, headers)),
        Expr::Not(inner) => !matches(inner, record, headers),
        Expr::And(left, right) => matches(left, record, headers) && matches(right, record, headers),
        Expr::Or(left, right) => matches(left, record, headers) || matches(right, record, headers),
    }
}

/// Does the record pass a test that asks for more than headers?
fn passes(test: &Test, record: &Record, headers: &Headers<'_>) -> bool {
    let named = |wanted: &str| {
        let is = |name: Option<&str>| name == Some(wanted);
        (is(record.source_name.as_deref()), is(record.destination_name.as_deref()))
    };
    match test {
        Test::Host { family, way, host: Host::Name(name, ips) } => {
            headers.link.is_of(*family)
                && (way.either(named(name), |is| is) || headers.address(*family, *way, |ip| ips.contains(&ip)))
        }
        Test::EtherHost { way, host: EtherHost::Name(name) } => way.either(named(name), |is| is),
        Test::Less(octets) => record.octets <= *octets,
        Test::Greater(octets) => record.octets >= *octets,
        Test::PortOf(name) => record.port.as_ref() == Some(name),
        Test::FromSwitch => record.port.is_none(),
        Test::To(name) => record.egress.iter().any(|egress| egress.port == *name),
        Test::Network(name) => record.network == *name,
        Test::Verdict(word) => verdict_word(&record.verdict) == *word,
        Test::Reason(reason) => {
            let name = reason.name();
            matches!(&record.verdict, VerdictRecord::Drop { reason, .. } if reason == name)
                || record.egress.iter().any(|egress| egress.reason.as_deref() == Some(name))
        }
        Test::Learned(word) => record.steps.iter().any(|step| match step {
            StepRecord::Learned(learned) => learned_word(learned) == *word,
            _ => false,
        }),
        Test::Frame { first, last } => (*first..=*last).contains(&record.number),
        // The headers have told.
        _ => false,
    }
}

const fn verdict_word(verdict: &VerdictRecord) -> VerdictWord {
    match verdict {
        VerdictRecord::Unicast { .. } => VerdictWord::Unicast,
        VerdictRecord::Flood { .. } => VerdictWord::Flood,
        VerdictRecord::Fragmented { .. } => VerdictWord::Fragmented,
        VerdictRecord::Answered => VerdictWord::Answered,
        VerdictRecord::Consumed => VerdictWord::Consumed,
        VerdictRecord::Held => VerdictWord::Held,
        VerdictRecord::Drop { .. } => VerdictWord::Drop,
    }
}

const fn learned_word(learned: &LearnedRecord) -> LearnedWord {
    match learned {
        LearnedRecord::New | LearnedRecord::Replaced { .. } => LearnedWord::New,
        LearnedRecord::Refreshed => LearnedWord::Fresh,
        LearnedRecord::Moved { .. } => LearnedWord::Moved,
        LearnedRecord::Refused(_) => LearnedWord::Refused,
    }
}

#[cfg(test)]
mod tests;
