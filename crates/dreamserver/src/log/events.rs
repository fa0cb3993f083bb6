//! Server events, as `tracing` brings them, in the style of the access lines:
//! `[INFO] DREAM_SERVER listening | address=0.0.0.0:8080 | time=…`
//!
//! They go to standard error at once: they are rare, and the last one before a crash is the one that matters. A server that
//! has no terminal writes them into its log instead, and panics too.

use std::env;
use std::fmt::{self, Debug, Write};
use std::io::{self, IsTerminal};
use std::panic;
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::EventSink;
use super::escape;
use super::record::TimeText;

/// Where events go.
#[derive(Clone, Debug)]
pub enum Events {
    /// To standard error.
    Stderr,
    /// Into the log, or nowhere if there is none. Panics are told there too.
    Log(Option<EventSink>),
}

impl Events {
    fn writer(&self) -> Box<dyn io::Write> {
        match self {
            Events::Stderr => Box::new(io::stderr()),
            Events::Log(Some(sink)) => Box::new(sink.clone()),
            Events::Log(None) => Box::new(io::sink()),
        }
    }
}

/// Starts writing events from `level` up (`DREAMSERVER_LOG` wins over it); libraries are heard from warnings up. The first
/// call in a process counts.
///
/// # Errors
/// `DREAMSERVER_LOG` is not a level.
pub fn init_events(level: LevelFilter, events: Events) -> io::Result<()> {
    let level = match env::var(VARIABLE) {
        Ok(text) => parse_level(&text)?,
        Err(_) => level,
    };
    let terminal = matches!(events, Events::Stderr) && io::stderr().is_terminal();
    if matches!(events, Events::Log(_)) {
        tell_panics();
    }
    let style = Style {
        colours: terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let layer = tracing_subscriber::fmt::layer()
        .event_format(style)
        .with_writer(move || events.writer());
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("dreamserver", level);
    let registry = tracing_subscriber::registry().with(filter).with(layer);
    // A program that uses the library may have its own subscriber; that one stays.
    let _ = registry.try_init();
    Ok(())
}

/// Nobody may see standard error, where panics go otherwise; they still go there too.
fn tell_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |fault| {
        tracing::error!(%fault, "a fault of the server itself");
        usual(fault);
    }));
}

fn parse_level(text: &str) -> io::Result<LevelFilter> {
    text.trim().parse().map_err(|_| {
        let text = format!("{VARIABLE}={text:?} is none of off, error, warn, info, debug, trace");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })
}

/// How an event becomes a line.
struct Style {
    colours: bool,
}

impl<S, N> FormatEvent<S, N> for Style
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = EventLine::default();
        event.record(&mut line);
        let level = *event.metadata().level();
        let time = TimeText::default().at(SystemTime::now()).to_owned();
        let (colour, plain) = match self.colours {
            true => (colour(level), "\x1b[0m"),
            false => ("", ""),
        };
        let EventLine { message, fields } = &line;
        writeln!(
            writer,
            "[{colour}{level}{plain}] DREAM_SERVER {message}{fields} | time={time}"
        )
    }
}

/// The parts of an event, escaped.
#[derive(Default)]
struct EventLine {
    message: String,
    fields: String,
}

impl EventLine {
    fn add(&mut self, field: &Field, value: &str) {
        let mut escaped = Vec::with_capacity(value.len());
        escape::text(value.as_bytes(), &mut escaped);
        let escaped = String::from_utf8_lossy(&escaped);
        if field.name() == "message" {
            self.message.push_str(&escaped);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(self.fields, " | {}={escaped}", field.name());
        }
    }
}

impl Visit for EventLine {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG | Level::TRACE => "\x1b[2m",
    }
}

/// The variable that sets the level without touching a file.
const VARIABLE: &str = "DREAMSERVER_LOG";

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines_of(colours: bool, events: impl FnOnce()) -> String {
        let written = Shared::default();
        let writer = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Style { colours })
            .with_writer(move || writer.clone());
        let registry = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(registry, events);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_event_is_a_line_in_the_style_of_the_log() {
        let line = lines_of(false, || {
            tracing::warn!(port = 8080, owner = "a | b\nc", error = %io::Error::other("no"), "taken");
        });
        let start =
            "[WARN] DREAM_SERVER taken | port=8080 | owner=a \\x7c b\\x0ac | error=no | time=2";
        assert!(line.starts_with(start), "{line}");
        assert!(line.ends_with("Z\n"));
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_panic_is_an_event() {
        let before = panic::take_hook();
        panic::set_hook(Box::new(|_| ()));
        let line = lines_of(false, || {
            tell_panics();
            let _ = panic::catch_unwind(|| panic!("two\nlines"));
        });
        panic::set_hook(before);
        let start = "[ERROR] DREAM_SERVER a fault of the server itself | fault=panicked at ";
        assert!(line.starts_with(start), "{line}");
        assert!(line.contains("two\\x0alines"), "{line}");
    }

    #[test]
    fn colours_are_around_the_level_only() {
        let line = lines_of(true, || tracing::error!("gone"));
        assert!(
            line.starts_with("[\x1b[31mERROR\x1b[0m] DREAM_SERVER gone | "),
            "{line}"
        );
    }

    #[test]
    fn levels_are_words() {
        assert_eq!(parse_level(" Debug").unwrap(), LevelFilter::DEBUG);
        assert_eq!(parse_level("off").unwrap(), LevelFilter::OFF);
        let error = parse_level("loud").unwrap_err().to_string();
        assert!(error.contains("DREAMSERVER_LOG=\"loud\""), "{error}");
    }
}
