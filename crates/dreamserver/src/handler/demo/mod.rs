//! The toolbox: handlers for trying out HTTP clients. Each shows one thing.
//!
//! What a client asks for stands behind the part of the path that the route takes away (`/status/404` is `/404` here) and
//! in the query. Everything that can be asked for has a bound, so that whoever serves these to others is not worn out by them.

mod anything;
mod ask;
mod made;
mod plain;
mod websocket;

use crate::exchange::{Request, Response};
use crate::options::Choices;

/// Which of the handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Demo {
    /// What the client sent, as JSON.
    Anything,
    /// So many random bytes.
    Bytes,
    /// An answer that comes after so many seconds.
    Delay,
    /// Bytes that come one after the other, with time between them.
    Drip,
    /// The rest of the path as text.
    Echo,
    /// An event stream.
    Events,
    /// An answer with this status.
    Status,
    /// So many lines of JSON, without a length.
    Stream,
    /// The User-Agent field as text.
    UserAgent,
    /// A WebSocket that sends back what it gets.
    WebSocket,
}

impl Choices for Demo {
    const CHOICES: &'static [(&'static str, Demo)] = &[
        ("anything", Demo::Anything),
        ("bytes", Demo::Bytes),
        ("delay", Demo::Delay),
        ("drip", Demo::Drip),
        ("echo", Demo::Echo),
        ("sse", Demo::Events),
        ("status", Demo::Status),
        ("stream", Demo::Stream),
        ("user-agent", Demo::UserAgent),
        ("ws", Demo::WebSocket),
    ];
}

impl Demo {
    /// Its name in the configuration.
    pub fn word(self) -> &'static str {
        let mut choices = Demo::CHOICES.iter();
        let choice = choices.find(|(_, demo)| *demo == self);
        choice.map_or("", |(word, _)| word)
    }

    /// The answer to `request`, without the first `strip` bytes of its path.
    pub async fn answer(self, request: &mut Request, strip: usize) -> Response {
        let answer = match self {
            Demo::Anything => return anything::answer(request).await,
            Demo::Delay => plain::delay(request, strip).await,
            Demo::Bytes => made::bytes(request, strip),
            Demo::Drip => made::drip(request),
            Demo::Echo => plain::echo(request, strip),
            Demo::Events => made::events(request),
            Demo::Status => plain::status(request, strip),
            Demo::Stream => made::lines(request, strip),
            Demo::UserAgent => Ok(plain::user_agent(request)),
            Demo::WebSocket => Ok(websocket::answer(request)),
        };
        answer.unwrap_or_else(|wrong| wrong.answer(request))
    }
}
