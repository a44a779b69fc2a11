//! Does a page hold together whatever is put into it? Every page and picture is parsed as XML, every word in a picture is held
//! against every other, and values of any kind are drawn.

use proptest::prelude::*;
use roxmltree::{Document, Node, ParsingOptions};

use super::*;
use crate::{
    loss::LossShare,
    result::Intent,
    search::{GoalResult, SearchResult, TrialResult},
    series::{Progress, Sample, Series},
    signature::{Signature, sign},
    tally::{PortTally, Tally},
};

const HOSTILE: &str = "</title></svg><script>alert(1)</script><img src=x onerror=\"a()\"> & 'b' \0 \u{202e}";

fn with_page(html: &str, check: impl FnOnce(&Document<'_>)) {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(html, options).unwrap_or_else(|error| panic!("{error}: {html}"));
    check(&document);
}

fn texts<'a>(document: &'a Document<'a>, name: &str) -> Vec<&'a str> {
    let named = document.descendants().filter(|node| node.tag_name().name() == name);
    named.filter_map(|node| node.text()).map(str::trim).collect()
}

/// Where the words of a picture stand, in its own units.
fn word_boxes(document: &Document<'_>) -> Vec<(String, [f64; 4])> {
    let number = |node: Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
    let boxed = |node: Node<'_, '_>| {
        let words = node.text().unwrap_or_default().trim_matches('\n').to_owned();
        let (x, y, size) = (number(node, "x"), number(node, "y"), number(node, "font-size"));
        // A little less than the room that is set aside: rounding is no overlap.
        let (long, high) = (text::width(&words, size) * 0.95, size * 0.8);
        let from = match node.attribute("text-anchor") {
            Some("start") => 0.0,
            Some("middle") => -long / 2.0,
            _ => -long,
        };
        let sides = if node.attribute("transform").is_some() {
            [x - high / 2.0, y - from - long, x + high / 2.0, y - from]
        } else {
            [x + from, y - high / 2.0, x + from + long, y + high / 2.0]
        };
        (words, sides)
    };
    document.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text"))).map(boxed).collect()
}

/// A picture that is XML, as large as it says, and whose words neither leave it nor stand upon each other.
fn check_picture(svg: &str) -> Result<(), TestCaseError> {
    let document = Document::parse(svg).map_err(|error| TestCaseError::fail(format!("{error}: {svg}")))?;
    let size: Vec<f64> = document
        .root_element()
        .attribute("viewBox")
        .unwrap_or_default()
        .split(' ')
        .map(|side| side.parse().unwrap())
        .collect();
    let boxes = word_boxes(&document);
    for (number, (words, [left, top, right, bottom])) in boxes.iter().enumerate() {
        let within = *left >= 0.0 && *top >= 0.0 && *right <= size[2] && *bottom <= size[3];
        prop_assert!(within, "'{}' leaves the picture: {} {} {} {}", words, left, top, right, bottom);
        for (other, [l, t, r, b]) in &boxes[..number] {
            let apart = right <= l || r <= left || bottom <= t || b <= top;
            prop_assert!(apart, "'{}' stands upon '{}'", words, other);
        }
    }
    for node in document.descendants() {
        for attribute in ["x", "y", "x1", "y1", "x2", "y2", "cx", "cy"] {
            let value: f64 = node.attribute(attribute).unwrap_or("0").parse().unwrap();
            prop_assert!((-100.0..=size[2].max(size[3])).contains(&value), "{} {}", attribute, value);
        }
    }
    Ok(())
}

fn hostile_page() -> Page {
    let name = HOSTILE.to_owned();
    let bar = Some(Bar { value: 2.0, low: 1.0, high: 3.0, ratio: None });
    let loss = LossPoint::new(1e5, LossShare { lost: 3, of: 1000 });
    let plots = vec![
        Plot::rate_loss(
            HOSTILE,
            vec![LossSeries { name: name.clone(), points: vec![loss], found: vec![(1e5, 0.005)] }],
            vec![Goal { name: name.clone(), share: 0.005 }],
            Spacing::Auto,
        ),
        Plot::percentiles(HOSTILE, vec![Curve { name: name.clone(), points: vec![(0.5, 7)] }]),
        Plot::time_series(HOSTILE, HOSTILE, vec![Line { name: name.clone(), points: vec![(0.5, 7.0)] }]),
        Plot::bars(HOSTILE, HOSTILE, vec![name.clone()], vec![BarGroup { name: name.clone(), bars: vec![bar] }]),
    ];
    let section = Section {
        title: name.clone(),
        text: vec![name.clone()],
        table: Some(Table::new(&[HOSTILE], vec![vec![name.clone(); 3], vec![]])),
        plots,
    };
    Page { title: name.clone(), subtitle: name.clone(), facts: vec![(name.clone(), name)], sections: vec![section] }
}

#[test]
fn nothing_that_is_given_becomes_markup() {
    let html = hostile_page().html();
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains('\0'), "{html}");
    with_page(&html, |document| {
        let known = [
            "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "dl", "dt", "dd", "main",
            "section", "div", "table", "thead", "tbody", "tr", "th", "td", "figure", "svg", "desc", "text", "line",
            "polyline", "polygon", "circle", "rect",
        ];
        for node in document.descendants().filter(Node::is_element) {
            let name = node.tag_name().name();
            assert!(known.contains(&name), "{name}");
            for attribute in node.attributes() {
                assert!(
                    !attribute.name().starts_with("on") && !["src", "href"].contains(&attribute.name()),
                    "{attribute:?}"
                );
            }
        }
        assert_eq!(texts(document, "dd").len(), 1);
        assert!(texts(document, "h1")[0].contains("<script>alert(1)</script>"), "it is shown as it was given");
    });
}

#[test]
fn a_page_asks_nobody_for_anything() {
    let html = hostile_page().html();
    for part in ["url(", "@import", "@font-face", "<link", "src=\"", "href="] {
        assert!(!html.contains(part), "{part}");
    }
    let addresses: Vec<&str> = html.match_indices("http").map(|(at, _)| &html[at..html.len().min(at + 34)]).collect();
    let known = |address: &&str| {
        ["http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg", "http-equiv"]
            .iter()
            .any(|name| address.starts_with(name))
    };
    assert!(addresses.iter().all(known), "{addresses:?}");
    assert!(html.contains("default-src 'none'"), "{html}");
}

/// A colour of a picture that has no dark one would not be seen at night.
#[test]
fn every_colour_has_a_dark_one() {
    let html = hostile_page().html();
    with_page(&html, |document| {
        for node in
            document.descendants().filter(|node| node.tag_name().namespace() == Some("http://www.w3.org/2000/svg"))
        {
            for name in ["fill", "stroke"] {
                let Some(colour) = node.attribute(name).filter(|colour| *colour != "none") else { continue };
                assert!(html.contains(&format!("svg [{name}=\"{colour}\"]{{{name}:#")), "{name} {colour}");
            }
        }
    });
}

#[test]
fn numbers_stand_to_the_right() {
    let rows = vec![
        vec!["sent".to_owned(), "12".to_owned(), "1.34 M".to_owned(), "3 of 4".to_owned(), "-".to_owned()],
        vec!["received".to_owned(), "-".to_owned(), "44.03 µs".to_owned(), String::new(), "-".to_owned()],
        vec!["short".to_owned()],
    ];
    let table = Table { head: vec![String::new(), "frames".to_owned()], rows };
    let numeric: Vec<bool> = (0..6).map(|column| table.is_numeric(column)).collect();
    assert_eq!(numeric, [false, true, true, false, false, false]);
    for (cell, number) in [
        ("1.0e-5 %", true),
        ("×0.98", true),
        ("64", true),
        ("eth0", false),
        ("3 of 4", false),
        ("64 octets", false),
        ("12 bit/s", true),
        ("%", false),
    ] {
        assert_eq!(is_number(cell), number, "{cell}");
    }
    let mut html = String::new();
    table.html(&mut html);
    let document = Document::parse(&html).unwrap();
    let rows = document.descendants().filter(|node| node.has_tag_name("tr"));
    assert!(rows.into_iter().all(|row| row.children().filter(Node::is_element).count() == 5), "{html}");
}

fn frame(stream: u8, number: u64) -> Vec<u8> {
    let mut octets = vec![0; 60];
    sign(&mut octets, Signature { mark: 1, stream, port: stream, number, due_ns: number * 1_000_000 });
    octets
}

/// Two streams to two ports, 1000 frames each in a second; of the second one every 20th is lost.
fn run() -> (crate::result::LoadResult, Vec<Sample>) {
    let mut tally = Tally::new(Some(Intent::new(2100, 126_000, 1.0)), 1.0);
    let mut ports = [PortTally::new(1, 0), PortTally::new(1, 1)];
    let mut series = Series::default();
    for number in 0..1000 {
        ports[0].take(&frame(0, number), number * 1_000_000 + 44_030 + number % 7 * 1000);
        if number % 20 != 19 {
            ports[1].take(&frame(1, number), number * 1_000_000 + 5_000_000);
        }
        let received = ports.iter().map(PortTally::received).sum();
        let sent = (number + 1) * 2;
        series.take((number + 1) * 1_000_000, Progress { sent, expected: sent, received });
    }
    tally.sent(0, 1000, 60_000);
    tally.sent(1, 1000, 60_000);
    for port in ports {
        tally.port(port);
    }
    (tally.result(), series.samples())
}

/// Every cell of the text table is a cell of the page.
#[test]
fn a_run_has_the_figures_of_its_table() {
    let (result, series) = run();
    assert!(result.lost == 50 && result.generator_limited.is_some() && series.len() == 10, "{result:?}");
    let page = of_run(vec![("seed".to_owned(), "1".to_owned())], &result, &series);
    let titles: Vec<&str> = page.sections.iter().map(|section| section.title.as_str()).collect();
    let expected =
        ["Before you trust this", "Traffic", "What became of the frames", "Latency", "Over time", "Streams", "Ports"];
    assert_eq!(titles, expected);
    let html = page.html();
    with_page(&html, |document| {
        let cells: Vec<&str> = ["td", "th"].iter().flat_map(|name| texts(document, name)).collect();
        let table = result.table().replace(" us", " µs");
        let lines = table.lines().filter(|line| !line.starts_with("the generator"));
        for cell in lines.flat_map(|line| line.split("  ")).map(str::trim).filter(|cell| !cell.is_empty()) {
            assert!(cells.contains(&cell), "'{cell}' is not in {cells:?}");
        }
        assert!(texts(document, "p").iter().any(|words| words.starts_with("The generator was the limit")), "{html}");
        assert!(texts(document, "p")[0].contains("2.5000 % lost (95 %: "), "{html}");
        assert_eq!(document.descendants().filter(|node| node.tag_name().name() == "svg").count(), 3);
    });
    assert_eq!(html, of_run(vec![("seed".to_owned(), "1".to_owned())], &result, &series).html(), "the same each time");
}

#[test]
fn a_run_of_nothing_has_a_page() {
    let html = of_run(Vec::new(), &Tally::new(None, 0.0).result(), &[]).html();
    assert!(html.contains("none was expected to come") && !html.contains("NaN") && !html.contains("<svg "), "{html}");
    with_page(&html, |_| {});
}

fn search_result() -> SearchResult {
    let trial = |rate: f64, lost, of| TrialResult { rate, seconds: 1.0, loss: LossShare { lost, of } };
    let goal = |goal, lower, upper| GoalResult { goal, lower, upper, loss_at_lower: lower.map(|_| goal) };
    SearchResult {
        goals: vec![goal(0.0, Some(1e5), Some(1.01e5)), goal(0.005, Some(1.2e5), None), goal(0.07, None, Some(1e4))],
        trials: vec![trial(1e5, 0, 100_000), trial(1.01e5, 1, 101_000), trial(1.2e5, 600, 120_000), trial(2e5, 0, 0)],
        complete: false,
        generator_cap: Some(1.5e5),
    }
}

#[test]
fn a_search_tells_its_intervals_and_its_doubts() {
    let section = of_search(&[("64 octets".to_owned(), search_result())]);
    let rows = section.table.clone().unwrap().rows;
    let cells = |row: usize| rows[row].iter().map(|cell| cell.replace('\u{a0}', " ")).collect::<Vec<_>>();
    assert_eq!(cells(0), ["64 octets", "NDR 0 %", "100000", "101000", "0.99 %", "0.0000 %", "4"]);
    assert_eq!(cells(1)[1..5], ["PDR 0.5 %", "120000", "-", "-"]);
    assert_eq!(cells(2)[1..5], ["PDR 7 %", "-", "10000", "-"]);
    let text = section.text.join("\n");
    let doubts = [
        "ended after 4 trials",
        "no more than 150000 frames",
        "still meets the PDR goal",
        "no rate that was tried meets",
    ];
    assert!(doubts.iter().all(|doubt| text.contains(doubt)), "{text}");
    check_picture(&section.plots[0].svg()).unwrap();
    let none = of_search(&[]);
    check_picture(&none.plots[0].svg()).unwrap();
}

/// Some values of which several are the same, far apart, or no numbers.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..1e6,
        2 => 0.0..1.0,
        1 => any::<f64>(),
        1 => prop::sample::select(vec![0.0, -1.0, 7.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, 1e-30, 1e30]),
        1 => (-40f64..40.0).prop_map(|power| 10f64.powf(power)),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z]{1,8}", "[A-Z ]{30,90}", "\\PC{0,20}", Just(HOSTILE.to_owned())]
}

fn loss_series() -> impl Strategy<Value = LossSeries> {
    let point = prop_oneof![
        (value(), 0u64..5000, 0u64..5_000_000)
            .prop_map(|(rate, lost, of)| LossPoint::new(rate, LossShare { lost, of })),
        (value(), value(), value(), value()).prop_map(|(rate, share, low, high)| LossPoint { rate, share, low, high }),
    ];
    let found = prop::collection::vec((value(), value()), 0..3);
    (name(), prop::collection::vec(point, 0..12), found).prop_map(|(name, points, found)| LossSeries {
        name,
        points,
        found,
    })
}

fn plot() -> impl Strategy<Value = Plot> {
    let goal = (name(), value()).prop_map(|(name, share)| Goal { name, share });
    let spacing = prop::sample::select(vec![Spacing::Auto, Spacing::Linear, Spacing::Log]);
    let goals = prop::collection::vec(goal, 0..4);
    let share = prop_oneof![0.0..=1.0, Just(1.0), Just(0.999_999), value()];
    let curve = (name(), prop::collection::vec((share, prop_oneof![any::<u64>(), 0u64..1_000_000]), 0..40))
        .prop_map(|(name, points)| Curve { name, points });
    let line =
        (name(), prop::collection::vec((value(), value()), 0..40)).prop_map(|(name, points)| Line { name, points });
    let bar = (value(), value(), value()).prop_map(|(value, low, high)| Bar { value, low, high, ratio: None });
    let group =
        (name(), prop::collection::vec(prop::option::of(bar), 0..9)).prop_map(|(name, bars)| BarGroup { name, bars });
    prop_oneof![
        (name(), prop::collection::vec(loss_series(), 0..6), goals, spacing)
            .prop_map(|(title, series, goals, spacing)| Plot::rate_loss(title, series, goals, spacing)),
        (name(), prop::collection::vec(curve, 0..6)).prop_map(|(title, series)| Plot::percentiles(title, series)),
        (name(), name(), prop::collection::vec(line, 0..25))
            .prop_map(|(title, axis, series)| Plot::time_series(title, axis, series)),
        (name(), name(), prop::collection::vec(name(), 0..9), prop::collection::vec(group, 0..12))
            .prop_map(|(title, axis, series, groups)| Plot::bars(title, axis, series, groups)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_values_make_a_picture(plot in plot()) {
        let svg = plot.svg();
        prop_assert!(svg.starts_with("<svg "), "{}", svg);
        check_picture(&svg)?;
        prop_assert_eq!(svg, plot.svg(), "the same each time");
    }
}
