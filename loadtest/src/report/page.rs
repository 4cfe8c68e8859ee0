//! A report as one HTML page that needs nothing else: styles and drawings are inside, there is no script, and nothing is fetched. It reads
//! in light and dark and on paper. All texts are escaped, for reports come from files and options may hold anything.

mod charts;
mod figures;
pub(crate) mod plot;
pub(crate) mod scale;
mod tables;
pub(crate) mod text;

use std::fmt;

use charts::{OverTime, Percentiles};
use figures::Figures;
use tables::{Agents, Nodes, Redis, Remarks, Setting};
use text::Text;

use super::number::{count, ms};
use super::table::Verdict;
use super::{Counts, Report};

const STYLE: &str = include_str!("page/style.css");
const LOGO: &str = r##"<svg class="logo" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8" fill="#0f766e"/>
<g fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round"><path d="M9 20.5a9 9 0 0 1 0-9" opacity=".65"/>
<path d="M23 11.5a9 9 0 0 1 0 9" opacity=".65"/><path d="M12.4 18.4a5 5 0 0 1 0-4.8"/><path d="M19.6 13.6a5 5 0 0 1 0 4.8"/></g>
<circle cx="16" cy="16" r="2.1" fill="#fff"/></svg>"##;

/// Writes the report as HTML.
pub struct Page<'a>(pub &'a Report);

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let began = report.began();
        let (scenario, started) = (Text(&report.scenario), Text(&began));
        write!(
            f,
            r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{scenario}, {started}: roomcast load test</title>"#
        )?;
        f.write_str(r#"<meta name="viewport" content="width=device-width, initial-scale=1">"#)?;
        // Even if a text escaped its escaping, a browser would neither run nor fetch anything for it.
        f.write_str(r#"<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">"#)?;
        write!(f, "<style>{STYLE}</style></head><body><main>")?;
        write!(f, r#"<header>{LOGO}<div><p class="brand">roomcast load test</p><h1>{scenario}</h1></div>"#)?;
        write!(f, r#"<p class="when">{started}<br>{:.1} s</p></header>"#, report.elapsed_s)?;
        headline(report, f)?;
        Figures(report).fmt(f)?;
        Percentiles(report).fmt(f)?;
        OverTime(report).fmt(f)?;
        Nodes(report).fmt(f)?;
        Agents(report).fmt(f)?;
        Redis(report).fmt(f)?;
        Remarks(report).fmt(f)?;
        Setting(report).fmt(f)?;
        f.write_str("</main></body></html>\n")
    }
}

/// The verdict, what the ledger counted, and the first numbers that people ask for.
fn headline(report: &Report, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Counts { published, received, .. } = report.ledger;
    let (class, word) = match (report.is_clean(), received) {
        (false, _) => ("failed", "Failed"),
        (true, 0) if published > 0 => ("empty", "Nothing received"),
        (true, _) => ("clean", "Clean"),
    };
    let sentence = Verdict(&report.ledger).to_string();
    let sentence = sentence.split_once(": ").map_or(sentence.as_str(), |(_, rest)| rest);
    write!(f, r#"<section class="verdict {class}"><p class="word">{word}</p><p>{}</p></section>"#, Text(sentence))?;
    f.write_str(r#"<dl class="tiles">"#)?;
    let mut tile = |name: &str, value: &str, unit: &str, class: &str| {
        write!(f, r#"<div class="{class}"><dt>{}</dt><dd>{value} <span>{unit}</span></dd></div>"#, Text(name))
    };
    tile("published", &count(published), "", "")?;
    tile("received", &count(received), "", "")?;
    if let Some(latency) = report.latencies.first() {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            if let Some(us) = latency.told(quantile) {
                tile(&format!("{}, {name}", latency.stage), &ms(us), "ms", "")?;
            }
        }
    }
    f.write_str(r#"</dl><dl class="ledger" aria-label="what must not be">"#)?;
    for (what, number) in report.ledger.faults() {
        let class = if number > 0 { "bad" } else { "good" };
        write!(f, r#"<div class="{class}"><dd>{}</dd><dt>{}</dt></div>"#, count(number), Text(what))?;
    }
    f.write_str("</dl>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn a_page_needs_nothing_else() {
        let html = Page(&sample()).to_string();
        for outside in ["http://", "https://", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("Clean") && html.contains("1.02×") && html.contains("server CPU per delivery"));
    }

    #[test]
    fn texts_of_a_report_are_no_markup() {
        let evil = "\"><script>alert(1)</script><img src=x onerror='y'>".to_owned();
        let mut report = sample();
        report.scenario.clone_from(&evil);
        report.started_at.clone_from(&evil);
        report.options.insert(evil.clone(), evil.clone());
        report.machine.processor.clone_from(&evil);
        report.figures[0].title.clone_from(&evil);
        report.figures[0].name.clone_from(&evil);
        report.figures[0].unit.clone_from(&evil);
        report.figures[0].floor_title.clone_from(&evil);
        report.figures[3].unit.clone_from(&evil);
        report.latencies[0].stage.clone_from(&evil);
        report.series[0].title.clone_from(&evil);
        report.series[1].unit.clone_from(&evil);
        report.series[2].node.clone_from(&evil);
        report.nodes[0].address.clone_from(&evil);
        report.agents = vec![crate::report::AgentUse { address: evil.clone(), ..Default::default() }];
        report.remarks.push(evil.clone());
        report.redis.as_mut().unwrap().commands.insert(evil.clone(), 1);
        let html = Page(&report).to_string();
        assert!(!html.contains("<script") && !html.contains("<img"));
        assert!(html.matches("&lt;script&gt;").count() >= 15);
    }

    #[test]
    fn a_failed_run_looks_failed() {
        let mut report = sample();
        report.ledger.lost = 42;
        let html = Page(&report).to_string();
        assert!(html.contains(r#"class="verdict failed""#) && html.contains("42 lost"));
    }

    #[test]
    fn an_empty_report_makes_a_page_too() {
        let html = Page(&Report::default()).to_string();
        assert!(html.contains("nothing was published") && html.ends_with("</html>\n"));
        assert!(!html.contains("NaN") && !html.contains("inf"));
    }

    /// Where a page is to be looked at: `PAGE_SAMPLE=sample.html cargo test -p roomcast-loadtest page_to_look_at`, with
    /// `PAGE_REPORT=report.json` for one of a real run.
    #[test]
    fn writes_a_page_to_look_at_where_one_is_asked_for() {
        let report = std::env::var_os("PAGE_REPORT").map_or_else(sample, |file| Report::read(file.as_ref()).unwrap());
        if let Some(file) = std::env::var_os("PAGE_SAMPLE") {
            std::fs::write(file, Page(&report).to_string()).unwrap();
        }
    }
}
