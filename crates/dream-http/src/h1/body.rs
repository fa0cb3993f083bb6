//! Bodies from bytes: one decoder for every framing.

use super::Framing;
use super::chunked::Chunked;
use crate::{Fields, Reason, Reject};

/// What a call of [`BodyDecoder::decode`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that are done with; the next call begins behind them.
    pub consumed: usize,
    /// Bytes of body: they stand at the beginning of the input, `input[..produced]`.
    pub produced: usize,
    /// The body is whole; what stands behind `consumed` belongs to the next message.
    pub done: bool,
}

/// Turns the bytes behind a head into the body.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    trailers: Fields,
}

/// What is still to come.
#[derive(Debug)]
enum State {
    Done,
    Length(u64),
    Chunked(Chunked),
    /// Until close, or a tunnel.
    Everything,
    Refused(Reject),
}

impl State {
    fn new(framing: Framing) -> State {
        match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Length(left),
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::UntilClose | Framing::Tunnel => State::Everything,
        }
    }
}

impl BodyDecoder {
    /// A decoder at the start of a body.
    pub fn new(framing: Framing) -> BodyDecoder {
        BodyDecoder {
            state: State::new(framing),
            trailers: Fields::new(),
        }
    }

    /// Starts over with another body; keeps memory.
    pub fn reset(&mut self, framing: Framing) {
        self.state = State::new(framing);
        self.trailers.clear();
    }

    /// Is the body whole?
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Decodes in place: chunk lines are cut out and the data moved together at the front of `input`. Bytes not
    /// consumed must be given again, with more behind them (there are none before the body is done).
    ///
    /// # Errors
    /// [`Reject`] with the rule that was broken, its offset counted from the start of the body, and again at each further call; bytes
    /// that the same call would have produced are lost.
    pub fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, Reject> {
        let (consumed, produced, done) = match &mut self.state {
            State::Done => (0, 0, true),
            State::Everything => (input.len(), input.len(), false),
            State::Length(left) => {
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= len as u64;
                (len, len, *left == 0)
            }
            State::Chunked(chunked) => {
                let decoded = match chunked.decode(input, &mut self.trailers) {
                    Ok(decoded) => decoded,
                    Err(reject) => {
                        self.state = State::Refused(reject);
                        return Err(reject);
                    }
                };
                (decoded.consumed, decoded.produced, decoded.done)
            }
            State::Refused(reject) => return Err(*reject),
        };
        if done {
            self.state = State::Done;
        }
        Ok(Decoded {
            consumed,
            produced,
            done,
        })
    }

    /// Notes that `count` bytes of a body with a length went another way than through [`BodyDecoder::decode`].
    pub fn skip(&mut self, count: u64) {
        if let State::Length(left) = &mut self.state {
            *left = left.saturating_sub(count);
            if *left == 0 {
                self.state = State::Done;
            }
        }
    }

    /// The sender closed its side. Ends an until-close body.
    ///
    /// # Errors
    /// [`Reject`] (`Truncated`) if the body is not whole.
    pub fn end_of_input(&mut self) -> Result<(), Reject> {
        match &self.state {
            State::Done => Ok(()),
            State::Everything => {
                self.state = State::Done;
                Ok(())
            }
            // RFC 9112 §8: a body that ends before its framing says so is incomplete.
            State::Length(_) => Err(Reject::new(Reason::Truncated, 0)),
            State::Chunked(chunked) => Err(Reject::new(Reason::Truncated, chunked.offset())),
            State::Refused(reject) => Err(*reject),
        }
    }

    /// How many bytes are still to come, where the framing tells (a length).
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(left) => Some(left),
            State::Chunked(_) | State::Everything | State::Refused(_) => None,
        }
    }

    /// The trailer section, once the body is done.
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }
}
