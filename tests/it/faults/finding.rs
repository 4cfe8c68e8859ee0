//! What a fault run came to: the ledger's figures and the bounds of that fault, judged and written down.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use roomcast_loadtest::{Ledger, Verdict};
use serde::{Deserialize, Serialize};

use super::scale::Scale;
use crate::support::books::Audit;
use crate::support::world::Person;

/// What comes later than this after its publication has been held up by the fault.
const PROMPT_US: u64 = 1_000_000;
/// Missing publications that a failure names.
const NAMED_MAX: usize = 10;
/// The page that shows the long runs, and where the table stands in it.
const PAGE: &str = "docs/reliability.md";
const TABLE: (&str, &str) = ("<!-- table begins -->\n", "<!-- table ends -->\n");

/// A judged run.
pub struct Finding {
    scale: Scale,
    pub verdict: Verdict,
    row: Row,
    missing: Vec<String>,
    ledger: Ledger,
}

/// One row of the table.
#[derive(Serialize, Deserialize)]
struct Row {
    fault: String,
    date: String,
    clients: u64,
    acked: u64,
    receipts: u64,
    silent: u64,
    reorder: u64,
    dup: u64,
    cross: u64,
    wire_dup: u64,
    gaps: u64,
    bounds: Vec<Bound>,
}

/// Something that the fault asks for besides.
#[derive(Serialize, Deserialize)]
struct Bound {
    what: String,
    measured: String,
    asked: String,
    held: bool,
}

impl Finding {
    pub fn new(fault: &'static str, scale: Scale, audit: Audit<'_>) -> Self {
        let verdict = audit.ledger.verdict();
        let row = Row {
            fault: fault.to_owned(),
            date: today(),
            clients: verdict.clients,
            acked: verdict.acked,
            receipts: verdict.receipts,
            silent: verdict.silent,
            reorder: verdict.reorder,
            dup: verdict.dup + verdict.twice,
            cross: verdict.cross,
            wire_dup: verdict.wire_dup,
            gaps: verdict.gaps,
            bounds: Vec::new(),
        };
        let everyone = audit.clients_of(|_| true);
        let missing = everyone.iter().flat_map(|client| audit.ledger.missing_marks(*client)).take(NAMED_MAX).map(str::to_owned).collect();
        Self { scale, verdict, row, missing, ledger: audit.ledger }
    }

    /// A bound that holds or does not.
    pub fn holds(&mut self, what: &str, measured: impl Into<String>, asked: impl Into<String>, held: bool) {
        self.row.bounds.push(Bound { what: what.to_owned(), measured: measured.into(), asked: asked.into(), held });
    }

    pub fn at_most(&mut self, what: &str, measured: u64, most: u64, unit: &str) {
        self.holds(what, format!("{measured}{unit}"), format!("≤ {most}{unit}"), measured <= most);
    }

    pub fn exactly(&mut self, what: &str, measured: u64, asked: u64) {
        self.holds(what, measured.to_string(), format!("= {asked}"), measured == asked);
    }

    /// A time; short runs are given more of it.
    pub fn within_ms(&mut self, what: &str, measured_us: u64, most_ms: u64) {
        self.at_most(what, measured_us / 1_000, most_ms * u64::from(self.scale.patience), " ms");
    }

    pub fn is_long(&self) -> bool {
        self.scale.long
    }

    pub fn no_gaps(&mut self) {
        self.exactly("gaps", self.verdict.gaps, 0);
    }

    /// Nobody had to reconnect.
    pub fn no_connection_lost(&mut self, people: &[Person]) {
        self.exactly("connections lost", people.iter().filter(|person| !person.is_still_connected()).count() as u64, 0);
    }

    /// Everyone is whole again at most so long after `since_us`: the last publication that came late.
    pub fn back_within_ms(&mut self, since_us: u64, most_ms: u64) {
        let back_us = self.ledger.back_us(since_us, PROMPT_US);
        self.within_ms("back", back_us, most_ms);
    }

    /// Writes the row down, and fails the test when a promise or a bound did not hold.
    pub fn record(self) {
        if self.scale.long {
            self.write();
        }
        let broken: Vec<String> = self
            .row
            .bounds
            .iter()
            .filter(|bound| !bound.held)
            .map(|bound| format!("{}: {} instead of {}", bound.what, bound.measured, bound.asked))
            .collect();
        println!("{}: {}\n  {}", self.row.fault, self.verdict, self.row.told());
        assert!(self.verdict.is_clean(), "{}: {}; missing {:?}", self.row.fault, self.verdict, self.missing);
        assert!(broken.is_empty(), "{}: {broken:?}; {}", self.row.fault, self.verdict);
    }

    /// Keeps the row, and sets the page's table anew from all rows that are kept.
    fn write(&self) {
        let directory = rows();
        fs::create_dir_all(&directory).expect("the target directory is ours");
        let name: String = self.row.fault.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        fs::write(directory.join(format!("{name}.json")), serde_json::to_string_pretty(&self.row).expect("rows are plain"))
            .expect("it is ours");
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
        let text = fs::read_to_string(&page).expect("the page is there");
        let (head, rest) = text.split_once(TABLE.0).expect("the page says where the table begins");
        let (_, tail) = rest.split_once(TABLE.1).expect("the page says where the table ends");
        fs::write(&page, format!("{head}{}{}{}{tail}", TABLE.0, table(), TABLE.1)).expect("the page can be written");
    }
}

fn rows() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults")
}

fn table() -> String {
    let mut rows: Vec<Row> = fs::read_dir(rows())
        .expect("rows were written")
        .map(|file| serde_json::from_slice(&fs::read(file.expect("it is listed").path()).expect("it is a file")).expect("it is a row"))
        .collect();
    rows.sort_by(|one, other| one.fault.cmp(&other.fault));
    let mut table = "| fault | clients | acked | received | silent | reorder | dup | cross | wire-dup | gaps | besides | on |\n".to_owned();
    table += "|---|---|---|---|---|---|---|---|---|---|---|---|\n";
    for row in rows {
        let Row { fault, date, clients, acked, receipts, silent, reorder, dup, cross, wire_dup, gaps, .. } = &row;
        let counts = format!("{clients} | {acked} | {receipts} | {silent} | {reorder} | {dup} | {cross} | {wire_dup} | {gaps}");
        writeln!(table, "| {fault} | {counts} | {} | {date} |", row.told()).expect("writing to a text does not fail");
    }
    table
}

impl Row {
    fn told(&self) -> String {
        let told = self
            .bounds
            .iter()
            .map(|Bound { what, measured, asked, held }| format!("{what} {measured} ({}{asked})", if *held { "" } else { "**not** " }));
        told.collect::<Vec<_>>().join("; ")
    }
}

fn today() -> String {
    let now = time::OffsetDateTime::now_utc();
    format!("{}-{:02}-{:02}", now.year(), u8::from(now.month()), now.day())
}

/// The 99th percentile, in microseconds, of how long those `chosen` waited for what was sent within the time and is marked as backends
/// mark what they publish by the function, which no node holds up.
pub fn p99_us(audit: &Audit<'_>, sent_us: &Range<u64>, chosen: impl Fn(&Person) -> bool) -> u64 {
    let delays = |client: &_| audit.ledger.delays_us(*client, sent_us, |mark| mark.starts_with("fcall"));
    let mut delays: Vec<u64> = audit.clients_of(chosen).iter().flat_map(delays).collect();
    delays.sort_unstable();
    delays.get(delays.len() * 99 / 100).copied().unwrap_or_default()
}
