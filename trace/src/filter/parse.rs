//! Which question does a text ask? A filter is read word by word, as pcap-filter(7) reads its own:
//!
//! ```text
//! filter = operand { ("and" | "&&" | "or" | "||") operand }      both bind equally, from the left
//! operand = ("not" | "!") operand | "(" filter ")" | test        "not" binds closest
//! ```
//! Whatever is refused is refused with its place in the text and, where one is near, the word that was meant.
//!
//! Not done: what pcap-filter(7) takes for granted. `host a or b` is `host a or host b` there and refused here, and
//! there are no octets to be addressed as in `tcp[13]`.

use std::net::IpAddr;
use std::ops::Range;
use std::str::FromStr;

use frame::{DropReason, MacAddr};
use ipnet::IpNet;

use super::error::{FilterError, nearest};
use super::syntax::{EtherHost, Expr, Family, Host, TESTS, Test, Transport, VerdictWord, Way, Words};

/// Octets of a filter. What reads or drops one goes as deep as it is long in words, and no deeper.
pub(super) const MAX_OCTETS: usize = 4096;
/// Tests in one filter.
pub(super) const MAX_TESTS: usize = 256;
/// Parentheses and negations within one another.
pub(super) const MAX_DEPTH: usize = 32;

/// Letters in a name (as the switch's own names have).
const NAME_LETTERS: usize = 63;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Word,
    And,
    Or,
    Not,
    Open,
    Close,
}

#[derive(Clone, Debug)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    range: Range<usize>,
}

/// The text's expression; `None` for a blank text.
pub(super) fn parse(text: &str) -> Result<Option<Expr>, FilterError> {
    if text.len() > MAX_OCTETS {
        let end = (MAX_OCTETS..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        let message = format!("it has {} octets, and may have {MAX_OCTETS}", text.len());
        return Err(FilterError::new(&text[..end], end..end, message));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0, tests: 0, before: None };
    if parser.tokens.is_empty() {
        return Ok(None);
    }
    let expr = parser.expr(0)?;
    match parser.peek() {
        None => Ok(Some(expr)),
        Some(token) if token.kind == Kind::Close => Err(parser.refuse(&token, "this ')' closes nothing")),
        Some(token) => Err(parser.not_joined(&token)),
    }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, FilterError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (kind, octets) = match c {
            '(' => (Kind::Open, 1),
            ')' => (Kind::Close, 1),
            '!' => (Kind::Not, 1),
            '&' | '|' if rest[1..].starts_with(c) => (if c == '&' { Kind::And } else { Kind::Or }, 2),
            '&' | '|' => {
                return Err(FilterError::new(
                    text,
                    at..at + 1,
                    format!("'{c}' is no word of a filter; perhaps '{c}{c}'"),
                ));
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "()!&|".contains(c)).unwrap_or(rest.len());
                let kind = match &rest[..end] {
                    "and" => Kind::And,
                    "or" => Kind::Or,
                    "not" => Kind::Not,
                    _ => Kind::Word,
                };
                (kind, end)
            }
        };
        tokens.push(Token { kind, text: &rest[..octets], range: at..at + octets });
        at += octets;
    }
    Ok(tokens)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    tests: usize,
    /// The words of the test before, if a name ended it.
    before: Option<&'static str>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).cloned()
    }

    fn refuse(&self, token: &Token<'_>, message: impl Into<String>) -> FilterError {
        FilterError::new(self.text, token.range.clone(), message)
    }

    /// Something is missing: here, or at the end.
    fn missing(&self, message: impl Into<String>) -> FilterError {
        let end = self.text.trim_end().len();
        let range = self.peek().map_or(end..end, |token| token.range);
        FilterError::new(self.text, range, message)
    }

    /// A word that follows a whole test.
    fn not_joined(&self, token: &Token<'_>) -> FilterError {
        match nearest(token.text, ["and", "or"]) {
            Some(near) if !TESTS.contains(&token.text) && token.kind == Kind::Word => {
                self.refuse(token, format!("'{}' is no word of a filter; perhaps '{near}'", token.text))
            }
            _ => self.refuse(token, format!("'and' or 'or' is missing before '{}'", token.text)),
        }
    }

    fn expr(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let mut left = self.operand(depth)?;
        while let Some(token) = self.peek() {
            let join = match token.kind {
                Kind::And => Expr::And,
                Kind::Or => Expr::Or,
                _ => break,
            };
            self.at += 1;
            if self.peek().is_none_or(|next| matches!(next.kind, Kind::And | Kind::Or | Kind::Close)) {
                return Err(self.refuse(&token, format!("'{}' needs something after it", token.text)));
            }
            left = join(Box::new(left), Box::new(self.operand(depth)?));
        }
        Ok(left)
    }

    fn operand(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let Some(token) = self.peek() else { return Err(self.missing("it ends where a test should be")) };
        if depth > MAX_DEPTH {
            return Err(
                self.refuse(&token, format!("more than {MAX_DEPTH} parentheses and negations within one another"))
            );
        }
        match token.kind {
            Kind::Word => self.test(&token).map(Expr::Test),
            Kind::Not => {
                self.at += 1;
                if self.peek().is_none_or(|next| matches!(next.kind, Kind::And | Kind::Or | Kind::Close)) {
                    return Err(self.refuse(&token, format!("'{}' needs something after it", token.text)));
                }
                Ok(Expr::Not(Box::new(self.operand(depth + 1)?)))
            }
            Kind::Open => {
                self.at += 1;
                match self.peek().map(|next| next.kind) {
                    None => return Err(self.refuse(&token, "this '(' is never closed")),
                    Some(Kind::Close) => return Err(self.refuse(&token, "nothing stands between these parentheses")),
                    Some(_) => {}
                }
                let inner = self.expr(depth + 1)?;
                match self.peek() {
                    Some(close) if close.kind == Kind::Close => self.at += 1,
                    Some(other) => return Err(self.not_joined(&other)),
                    None => return Err(self.refuse(&token, "this '(' is never closed")),
                }
                Ok(inner)
            }
            Kind::And | Kind::Or => Err(self.refuse(&token, format!("'{}' needs something before it", token.text))),
            Kind::Close => Err(self.refuse(&token, "this ')' closes nothing")),
        }
    }

    /// A test, whose first word is `token`.
    fn test(&mut self, token: &Token<'a>) -> Result<Test, FilterError> {
        self.tests += 1;
        if self.tests > MAX_TESTS {
            return Err(self.refuse(token, format!("more than {MAX_TESTS} tests")));
        }
        self.at += 1;
        let before = self.before.take();
        Ok(match token.text {
            "arp" => return self.family(Family::Arp),
            "ip" => return self.family(Family::Ip),
            "ip6" => return self.family(Family::Ip6),
            "icmp" => Test::Icmp(self.optional("icmp")?),
            "icmp6" => Test::Icmp6(self.optional("icmp6")?),
            "tcp" => return self.transport(Transport::Tcp),
            "udp" => return self.transport(Transport::Udp),
            "vlan" => Test::Vlan(self.vlan()?),
            "ether" => return self.ether(),
            "src" | "dst" | "host" | "net" | "port" | "portrange" => {
                self.at -= 1;
                return self.address(Family::Any, Transport::Any);
            }
            "broadcast" => Test::Broadcast,
            "multicast" => Test::Multicast,
            "unicast" => Test::Unicast,
            "less" => Test::Less(self.number("less", "a number of octets", 0, u32::MAX)?),
            "greater" => Test::Greater(self.number("greater", "a number of octets", 0, u32::MAX)?),
            "port-of" => Test::PortOf(self.name("port-of", "an endpoint's name")?),
            "to" => Test::To(self.name("to", "an endpoint's name")?),
            "network" => Test::Network(self.name("network", "a network's name")?),
            "from-switch" => Test::FromSwitch,
            "verdict" => Test::Verdict(self.one_of("verdict", "verdict")?),
            "reason" => Test::Reason(self.reason()?),
            "learned" => Test::Learned(self.one_of("learned", "result of learning")?),
            "frame" => {
                let (first, last) = self.range("frame", "a frame's number", 1, u64::MAX)?;
                Test::Frame { first, last }
            }
            other => return Err(self.no_word(token, other, before)),
        })
    }

    fn no_word(&self, token: &Token<'_>, word: &str, before: Option<&str>) -> FilterError {
        let stands_alone = |with: &str| format!("'{word}' stands alone; perhaps '{with} {word}'");
        let lower = word.to_ascii_lowercase();
        let message = if word.parse::<IpAddr>().is_ok() {
            stands_alone("host")
        } else if word.parse::<MacAddr>().is_ok() {
            stands_alone("ether host")
        } else if word.parse::<IpNet>().is_ok() {
            stands_alone("net")
        } else if VerdictWord::parse(word).is_some() {
            stands_alone("verdict")
        } else if DropReason::from_name(word).is_some() {
            stands_alone("reason")
        } else if word == "gateway" || word == "inbound" || word == "outbound" || word == "proto" {
            format!("'{word}' is a word of tcpdump's that is none here")
        } else if let Some(meant) = nearest(&lower, TESTS.iter().copied().chain(["and", "or", "not"])) {
            format!("'{word}' is no word of a filter; perhaps '{meant}'")
        } else if let Some(before) = before.filter(|_| is_name(word)) {
            // As pcap-filter(7) would have it.
            format!("'{word}' stands alone; perhaps '{before} {word}'")
        } else {
            format!("'{word}' is no word of a filter; see 'lanyard trace --help'")
        };
        self.refuse(token, message)
    }

    /// What may follow `arp`, `ip` and `ip6`: their kinds, or their addresses.
    fn family(&mut self, family: Family) -> Result<Test, FilterError> {
        match self.next_word() {
            Some("src" | "dst" | "host" | "net" | "port" | "portrange") => self.address(family, Transport::Any),
            _ => Ok(match family {
                Family::Arp => Test::Arp(self.optional("arp")?),
                Family::Ip6 => Test::Ip6,
                Family::Ip | Family::Any => Test::Ip,
            }),
        }
    }

    /// What may follow `tcp` and `udp`: their ports.
    fn transport(&mut self, transport: Transport) -> Result<Test, FilterError> {
        match self.next_word() {
            Some("src" | "dst" | "host" | "net" | "port" | "portrange") => self.address(Family::Any, transport),
            _ => Ok(if transport == Transport::Tcp { Test::Tcp } else { Test::Udp }),
        }
    }

    /// `[src|dst] host A`, `[src|dst] net CIDR`, `[src|dst] port N`; behind `src` and `dst`, `host` may be left out.
    fn address(&mut self, family: Family, transport: Transport) -> Result<Test, FilterError> {
        let way = self.way();
        let kind = self.next_word();
        let has_addresses = transport == Transport::Any;
        let has_ports = family == Family::Any;
        match kind {
            Some("host") if has_addresses => {
                self.at += 1;
                Ok(Test::Host { family, way, host: self.host("host", family)? })
            }
            Some("net") if has_addresses => {
                self.at += 1;
                Ok(Test::Net { family, way, net: self.net(family)? })
            }
            Some("port") if has_ports => {
                self.at += 1;
                let port = self.number("port", "a port's number", 0, u16::MAX)?;
                Ok(Test::Port { transport, way, first: port, last: port })
            }
            Some("portrange") if has_ports => {
                self.at += 1;
                let (first, last) = self.range("portrange", "two ports' numbers, as in 8000-8080", 0, u16::MAX)?;
                Ok(Test::Port { transport, way, first, last })
            }
            Some("port" | "portrange") => {
                Err(self.missing(format!("'{}' has no ports; write 'tcp port' or 'udp port'", family.word())))
            }
            Some("host" | "net") => {
                Err(self.missing(format!("'{}' has no addresses; write 'ip {}'", transport.word(), kind.unwrap_or(""))))
            }
            _ if !has_addresses => Err(self.missing(format!("'{}' needs 'port' or 'portrange'", way.word()))),
            _ => Ok(Test::Host { family, way, host: self.host(way.word(), family)? }),
        }
    }

    fn ether(&mut self) -> Result<Test, FilterError> {
        if self.next_word() == Some("proto") {
            self.at += 1;
            return Ok(Test::EtherProto(self.ether_proto()?));
        }
        let way = self.way();
        let before = if self.next_word() == Some("host") {
            self.at += 1;
            "ether host"
        } else if way == Way::Either {
            let message =
                "'ether' needs 'proto', 'host', 'src' or 'dst' after it; 'broadcast' and 'multicast' stand alone";
            return Err(self.missing(message));
        } else if way == Way::Source {
            "ether src"
        } else {
            "ether dst"
        };
        let (token, word) = self.word(before, "a MAC address or an endpoint's name")?;
        let host = match word.parse() {
            Ok(mac) => EtherHost::Mac(mac),
            Err(_) if is_name(word) && word.parse::<IpAddr>().is_err() => EtherHost::Name(word.to_owned()),
            Err(_) => return Err(self.refuse(&token, format!("'{word}' is no MAC address and no endpoint's name"))),
        };
        Ok(Test::EtherHost { way, host })
    }

    fn way(&mut self) -> Way {
        match self.next_word().filter(|word| !word.is_empty()).and_then(Way::parse) {
            Some(way) => {
                self.at += 1;
                way
            }
            None => Way::Either,
        }
    }

    /// The next token's text, if it is a word.
    fn next_word(&self) -> Option<&'a str> {
        self.tokens.get(self.at).filter(|token| token.kind == Kind::Word).map(|token| token.text)
    }

    /// The word that `before` needs.
    fn word(&mut self, before: &str, what: &str) -> Result<(Token<'a>, &'a str), FilterError> {
        match self.peek() {
            Some(token) if token.kind == Kind::Word => {
                self.at += 1;
                let word = token.text;
                Ok((token, word))
            }
            _ => Err(self.missing(format!("'{before}' needs {what} after it"))),
        }
    }

    /// A word of this set, if one follows.
    fn optional<W: Words>(&mut self, before: &str) -> Result<Option<W>, FilterError> {
        let Some(word) = self.next_word() else { return Ok(None) };
        if let Some(value) = W::parse(word) {
            self.at += 1;
            return Ok(Some(value));
        }
        match nearest(word, W::names()) {
            Some(near) if !TESTS.contains(&word) => {
                Err(self.missing(format!("'{word}' is no kind of {before}; perhaps '{near}'")))
            }
            _ => Ok(None),
        }
    }

    fn one_of<W: Words>(&mut self, before: &str, what: &str) -> Result<W, FilterError> {
        let all = W::names().collect::<Vec<_>>().join(", ");
        let (token, word) = self.word(before, &format!("one of {all}"))?;
        W::parse(word).ok_or_else(|| {
            let mend =
                nearest(word, W::names()).map_or(format!("write one of {all}"), |near| format!("perhaps '{near}'"));
            self.refuse(&token, format!("'{word}' is no {what}; {mend}"))
        })
    }

    fn reason(&mut self) -> Result<DropReason, FilterError> {
        let what = "a drop reason's name, such as egress-full,";
        let (token, word) = self.word("reason", what)?;
        DropReason::from_name(word).ok_or_else(|| {
            let known = nearest(word, DropReason::ALL.iter().map(|reason| reason.name()));
            let mend = known
                .map_or_else(|| format!("write {what}").replace("full,", "full"), |near| format!("perhaps '{near}'"));
            self.refuse(&token, format!("'{word}' is no drop reason; {mend}"))
        })
    }

    fn name(&mut self, before: &'static str, what: &str) -> Result<String, FilterError> {
        let (token, word) = self.word(before, what)?;
        if is_name(word) {
            self.before = Some(before);
            Ok(word.to_owned())
        } else {
            let message = format!("'{word}' is no name: letters, digits, '.', '_' and '-', {NAME_LETTERS} at most");
            Err(self.refuse(&token, message))
        }
    }

    fn host(&mut self, before: &str, family: Family) -> Result<Host, FilterError> {
        let (token, word) = self.word(before, "an address or an endpoint's name")?;
        if let Ok(ip) = word.parse::<IpAddr>() {
            self.of_family(&token, family, ip)?;
            return Ok(Host::Ip(ip));
        }
        let refuse = |message| Err(self.refuse(&token, message));
        if word.parse::<MacAddr>().is_ok() {
            return refuse(format!("'{word}' is a MAC address; perhaps 'ether host {word}'"));
        }
        if word.parse::<IpNet>().is_ok() {
            return refuse(format!("'{word}' is a subnet; perhaps 'net {word}'"));
        }
        // Digits and dots would do for a name, but nobody means one by them.
        let like_an_address = word.contains('.') && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if like_an_address || !is_name(word) {
            return refuse(format!("'{word}' is no IP address and no endpoint's name"));
        }
        self.before = Some("host");
        Ok(Host::Name(word.to_owned(), Vec::new()))
    }

    fn net(&mut self, family: Family) -> Result<IpNet, FilterError> {
        let (token, word) = self.word("net", "a subnet, as in 10.20.0.0/24,")?;
        let refuse = |message| Err(self.refuse(&token, message));
        if word.parse::<IpAddr>().is_ok() {
            return refuse(format!("'{word}' has no prefix length; perhaps 'host {word}'"));
        }
        let Ok(net) = word.parse::<IpNet>() else {
            return refuse(format!("'{word}' is no subnet; write one as in 10.20.0.0/24"));
        };
        if net.addr() != net.network() {
            return refuse(format!("'{word}' has bits behind its prefix; perhaps '{}'", net.trunc()));
        }
        self.of_family(&token, family, net.addr())?;
        Ok(net)
    }

    fn of_family(&self, token: &Token<'_>, family: Family, ip: IpAddr) -> Result<(), FilterError> {
        let version = match family {
            Family::Ip | Family::Arp if ip.is_ipv6() => "IPv4",
            Family::Ip6 if ip.is_ipv4() => "IPv6",
            _ => return Ok(()),
        };
        let message = format!("'{}' has {version} addresses, and '{}' is none", family.word(), token.text);
        Err(self.refuse(token, message))
    }

    fn number<N>(&mut self, before: &str, what: &str, low: N, high: N) -> Result<N, FilterError>
    where
        N: FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        let (token, word) = self.word(before, what)?;
        number(word, low, high)
            .ok_or_else(|| self.refuse(&token, format!("'{word}' is no number from {low} to {high}")))
    }

    /// `N` or `N-M`.
    fn range<N>(&mut self, before: &str, what: &str, low: N, high: N) -> Result<(N, N), FilterError>
    where
        N: FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        let (token, word) = self.word(before, what)?;
        let both = match word.split_once('-') {
            Some((first, last)) => number(first, low, high).zip(number(last, low, high)),
            None => number(word, low, high).map(|only| (only, only)),
        };
        match both {
            Some((first, last)) if first <= last => Ok((first, last)),
            Some((first, last)) => {
                Err(self.refuse(&token, format!("'{word}' ends before it begins; perhaps '{last}-{first}'")))
            }
            None => Err(self.refuse(&token, format!("'{word}' is not {what}: from {low} to {high}"))),
        }
    }

    /// Every number that follows is meant as a tag's; one that cannot be is refused.
    fn vlan(&mut self) -> Result<Option<u16>, FilterError> {
        match self.next_word() {
            Some(word) if word.starts_with(|c: char| c.is_ascii_digit()) => {
                self.number("vlan", "a VLAN's number", 0, 4095).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn ether_proto(&mut self) -> Result<u16, FilterError> {
        let (token, word) = self.word("ether proto", "an ether type, as in 0x0806,")?;
        let named = match word {
            "ip" => Some(0x0800),
            "arp" => Some(0x0806),
            "ip6" => Some(0x86dd),
            _ => None,
        };
        let hexadecimal = |digits: &str| {
            let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
            u16::from_str_radix(digits, 16).ok().filter(|_| plain)
        };
        let value = named.or_else(|| match word.strip_prefix("0x") {
            Some(digits) => hexadecimal(digits),
            None => number(word, 0, u16::MAX),
        });
        value.ok_or_else(|| self.refuse(&token, format!("'{word}' is no ether type; write one as in 0x0806")))
    }
}

/// A decimal number in these bounds. Rust would take a sign as well.
fn number<N: FromStr + PartialOrd + Copy>(word: &str, low: N, high: N) -> Option<N> {
    let digits = word.bytes().all(|b| b.is_ascii_digit());
    word.parse().ok().filter(|number| digits && *number >= low && *number <= high)
}

/// What the switch lets networks and endpoints be called.
pub(super) fn is_name(word: &str) -> bool {
    let first = word.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    first && rest && word.len() <= NAME_LETTERS
}
