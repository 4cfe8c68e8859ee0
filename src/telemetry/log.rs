//! Logs on standard error: JSON for machines, text for people. Never coloured unless a terminal reads them.
//!
//! One event is one line, whatever stands in its fields: names, paths and errors hold what clients sent, and nobody may write
//! lines of his own into the log by that.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Settings of the section `telemetry.log`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `auto` is `pretty` on a terminal and `json` elsewhere.
    pub format: Format,
    /// Levels, by module where needed: `info`, or `warn,roomcast=debug`.
    pub filter: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::Auto, filter: "info".into() }
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Auto,
    Json,
    Pretty,
}

/// Whether the text can be a filter.
pub fn is_filter(text: &str) -> bool {
    filter(text).is_ok()
}

pub(super) fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(text)
}

pub(super) fn layer<S>(format: Format) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        Format::Auto => !terminal,
        Format::Json => true,
        Format::Pretty => false,
    };
    let coloured = !json && terminal && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_writer(move || OneLine { out: io::stderr(), coloured });
    if json {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    } else {
        lines.with_ansi(coloured).boxed()
    }
}

/// Has panics logged like everything else, one line each, instead of as plain text between the lines.
pub(super) fn catch_panics() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(panic = panic.payload_as_str().unwrap_or("unknown"), place, "a task panicked");
    }));
}

/// Writes one event, which the formatter hands over as a whole, as one line.
struct OneLine<W> {
    out: W,
    /// Whether the formatter's own colours pass.
    coloured: bool,
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        // In one go, so that lines of several threads do not mix.
        self.out.write_all(on_one_line(&String::from_utf8_lossy(event), self.coloured).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The event with its control characters escaped, but for the line end behind it; what moves a terminal's cursor is among them.
fn on_one_line(event: &str, coloured: bool) -> Cow<'_, str> {
    let text = event.strip_suffix('\n').unwrap_or(event);
    if !text.contains(char::is_control) {
        return Cow::Borrowed(event);
    }
    let mut line = String::with_capacity(event.len() + 16);
    for (at, char) in text.char_indices() {
        if char.is_control() && !(coloured && is_colour(&text[at..])) {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    line.push('\n');
    Cow::Owned(line)
}

/// Whether the text begins with a sequence that does nothing but set a style (ECMA-48 section 8.3.117).
fn is_colour(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return false };
    rest.trim_start_matches(|char: char| char.is_ascii_digit() || char == ';').starts_with('m')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn filters_are_told_from_nonsense() {
        assert!(is_filter("info") && is_filter("warn,roomcast=debug"));
        assert!(!is_filter("roomcast=loud"));
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_without_controls_whatever_its_fields_hold() {
        const HOSTILE: &str = "a\r\n2026-11-25T00:00:00Z ERROR forged \u{1b}[2J\u{7}\u{9b}31m\u{8}";
        for ansi in [false, true] {
            let kept = Kept::default();
            let writer = kept.clone();
            let lines = fmt::layer().with_ansi(ansi).with_writer(move || OneLine { out: writer.clone(), coloured: ansi });
            tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
                tracing::info!(name = %HOSTILE, text = HOSTILE, debug = ?HOSTILE, "{HOSTILE}");
            });
            let written = String::from_utf8(kept.0.lock().clone()).unwrap();
            let line = written.strip_suffix('\n').unwrap();
            assert!(line.contains("forged") && !line.contains(['\n', '\r', '\u{7}', '\u{8}', '\u{9b}']), "{line:?}");
            assert!(!line.contains("\u{1b}[2J") && (ansi || !line.contains('\u{1b}')), "{line:?}");
        }
    }

    #[test]
    fn a_panic_is_an_event_like_any_other() {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = fmt::layer().with_ansi(false).with_writer(move || OneLine { out: writer.clone(), coloured: false });
        let before = std::panic::take_hook();
        catch_panics();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let panicked = std::panic::catch_unwind(|| panic!("first\nsecond"));
            assert!(panicked.is_err());
        });
        std::panic::set_hook(before);
        let written = String::from_utf8(kept.0.lock().clone()).unwrap();
        assert!(written.lines().count() == 1 && written.contains("a task panicked") && written.contains("log.rs:"), "{written:?}");
    }
}
