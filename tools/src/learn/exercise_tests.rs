//! Is what cannot be meant refused, with its place, and is garbage never a crash?

use proptest::prelude::*;

use super::*;
use crate::learn::shipped;

const HEAD: &str = "id=\"t\"\ntitle=\"T\"\nminutes=1\n";
const TAIL: &str = "[[step]]\ntitle=\"s\"\nsay=\"\"\n[[check]]\nid=\"c\"\nsay=\"\"\nexists=\"arp\"\n";

fn read(text: &str) -> Result<Exercise, Failure> {
    Exercise::read(&Source { name: "t.toml".to_owned(), text: text.to_owned() })
}

fn with(networks: &str, hosts: &str) -> String {
    format!("{HEAD}network=[{networks}]\nhost=[{hosts}]\n{TAIL}")
}

#[test]
fn hosts_get_the_addresses_that_nobody_named() {
    let text = with(
        "{name=\"a\"},{name=\"b\",subnet=\"192.168.7.0/24\",gateway=\"none\",guard=true,ageing=9}",
        "{name=\"x\"},{name=\"y\",network=\"b\"},{name=\"z\",network=\"b\",ip=\"192.168.7.9\",mac=\"02:00:00:00:00:07\",ends=3}",
    );
    let plan = read(&text).unwrap().plan;
    let hosts: Vec<String> = plan.hosts.iter().map(|host| format!("{} {} {}", host.name, host.ip, host.mac)).collect();
    assert_eq!(
        hosts,
        ["x 10.0.1.11 02:42:0a:00:01:0b", "y 192.168.7.12 02:42:c0:a8:07:0c", "z 192.168.7.9 02:00:00:00:00:07"]
    );
    let b = &plan.networks[1];
    assert_eq!((b.gateway_mode, b.options.guard, b.ageing), (GatewayMode::None, true, Some(9)));
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place() {
    let net = "{name=\"a\"}";
    let many = |what: &str, count: usize| {
        (0..count).map(|number| format!("{{name=\"{what}{number}\"}}")).collect::<Vec<_>>().join(",")
    };
    for (text, place, named) in [
        (with("", "{name=\"x\"}"), "1:1", "[[network]]"),
        (with(net, ""), "1:1", "[[host]]"),
        (with(&many("n", 9), "{name=\"x\"}"), "1:1", "8"),
        (with(net, &many("h", 21)), "1:1", "20"),
        (with("{name=\"a\"},{name=\"a\"}", "{name=\"x\"}"), "4:27", "two networks 'a'"),
        (with("{name=\"a b\"}", "{name=\"x\"}"), "4:16", "'a b'"),
        (with("{name=\"a\",subnet=\"10.0.0.1/24\"}", "{name=\"x\"}"), "4:27", "subnet"),
        (with("{name=\"a\",subnet=\"fd00::/64\"}", "{name=\"x\"}"), "4:27", "IPv4"),
        (with("{name=\"a\"},{name=\"b\",subnet=\"10.0.1.0/25\"}", "{name=\"x\"}"), "4:38", "overlap"),
        (with("{name=\"a\",gateway=\"host\"}", "{name=\"x\"}"), "4:28", "'host'"),
        (with("{name=\"a\",ageing=0}", "{name=\"x\"}"), "4:27", "ageing"),
        (with("{name=\"a\",mac-capacity=63}", "{name=\"x\"}"), "4:33", "mac-capacity"),
        (with("{name=\"a\",mode=\"router\"}", "{name=\"x\"}"), "4:25", "`router`"),
        (with("{name=\"a\",evict=\"all\"}", "{name=\"x\"}"), "4:26", "`all`"),
        (with("{name=\"a\",arp=\"maybe\"}", "{name=\"x\"}"), "4:24", "`maybe`"),
        (with("{name=\"a\",colour=1}", "{name=\"x\"}"), "4:20", "`colour`"),
        (with(net, "{name=\"x\",network=\"b\"}"), "5:25", "'b'"),
        (with(net, "{name=\"x\"},{name=\"x\"}"), "5:24", "'x'"),
        (with(net, "{name=\"gateway\"}"), "5:13", "'gateway'"),
        (with(net, "{name=\"x\",ip=\"10.0.9.1\"}"), "5:20", "10.0.9.1"),
        (with(net, "{name=\"x\",ip=\"10.0.1.1\"}"), "5:20", "taken"),
        (with(net, "{name=\"x\",ip=\"10.0.1\"}"), "5:20", "'10.0.1'"),
        (with(net, "{name=\"x\",mac=\"ff:ff:ff:ff:ff:ff\"}"), "5:21", "no station"),
        (with(net, "{name=\"x\",mac=\"1\"}"), "5:21", "'1'"),
        (with(net, "{name=\"x\",ends=5}"), "5:22", "ends"),
        (with(net, "{name=\"x\",delay-s=0}"), "5:25", "timer"),
        (with(net, "{name=\"x\"}").replace("minutes=1", "minutes=0"), "3:9", "minutes"),
        (with(net, "{name=\"x\"}").replace("\"t\"", "\"../t\""), "1:4", "'../t'"),
        (with(net, "{name=\"x\"}").split("[[step]]").next().unwrap().to_owned(), "1:1", "[[step]]"),
        (with(net, "{name=\"x\"}").split("[[check]]").next().unwrap().to_owned(), "1:1", "asks nothing"),
        (with(net, "{name=\"x\"}") + "[[check]]\nid=\"c\"\nsay=\"\"\nnever=\"arp\"", "14:4", "'c'"),
        (
            with(net, "{name=\"x\"}") + "[[step]]\ntitle=\"a\"\nsay=\"\"\nrun=[\"wait 1s\"]\ndo=[\"x\"]",
            "17:5",
            "either",
        ),
        (with(net, "{name=\"x\"}") + "[[step]]\ntitle=\"a\"\nsay=\"\"\nuntil=\"arp\"", "16:7", "'until'"),
        (with(net, "{name=\"x\"}") + "[[step]]\ntitle=\"a\"\nsay=\"\"\nshow=\"arp or or\"", "16:11", "or"),
        (with(net, "{name=\"x\"}") + "[[step]]\ntitle=\"a\"\nsay=\"\"\nshow=\"network b\"", "16:15", "'b'"),
        (
            with(net, "{name=\"x\"}") + "[[step]]\ntitle=\"a\"\nsay=\"\"\nrun=[\"lanyard lab exec y -- true\"]",
            "16:24",
            "'y'",
        ),
        (with(net, "{name=\"x\"}") + "[[step]]\ntitle=\"a\"\nsay=\"\"\ndo=[\"ping {y}\"]", "16:11", "'{y}'"),
    ] {
        let Err(Failure::Words(why)) = read(&text) else { panic!("{text}") };
        assert!(why.starts_with(&format!("t.toml:{place}: ")) && why.contains(named), "{text}\n{why}");
        assert_eq!(why.lines().count(), 1, "{why}");
    }
}

/// The next place at which a text can be cut.
fn boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

/// A name with a line end in it is shown in one line, too.
#[test]
fn a_broken_name_does_not_break_the_line() {
    let text = shipped::all().next().unwrap().text;
    let at = text.find("id = \"").unwrap() + 6;
    let Err(Failure::Words(why)) = read(&format!("{}\\n{}", &text[..at], &text[at..])) else { panic!("it is read") };
    assert!(why.contains("is no name") && why.lines().count() == 1, "{why}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_refused_and_never_a_crash(text in "\\PC{0,200}") {
        prop_assert!(read(&text).is_err());
    }

    /// A shipped file with a piece cut out, or something put in.
    #[test]
    fn a_damaged_file_is_read_or_refused(number in 0..12_usize, at in 0..10_000_usize, cut in 0..40_usize, put in "[\\]\\[{}\"'=#\\\\\\n0-9a-z é-]{0,6}") {
        let text = shipped::all().nth(number).unwrap().text;
        let begin = boundary(&text, at * text.len() / 10_000);
        let end = boundary(&text, begin + cut);
        let damaged = format!("{}{put}{}", &text[..begin], &text[end..]);
        if let Err(fault) = read(&damaged) {
            let Failure::Words(why) = fault else { panic!("{fault:?}") };
            prop_assert!(why.starts_with("t.toml:") && why.lines().count() <= 1, "{}", why);
        }
    }
}
