//! Bodies from bytes: one decoder for every framing.

use super::Framing;
use crate::{Fields, Reject};

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
    framing: Framing,
    trailers: Fields,
}

impl BodyDecoder {
    /// A decoder at the start of a body.
    pub fn new(framing: Framing) -> BodyDecoder {
        BodyDecoder {
            framing,
            trailers: Fields::new(),
        }
    }

    /// Starts over with another body; keeps memory.
    pub fn reset(&mut self, framing: Framing) {
        *self = BodyDecoder::new(framing);
    }

    /// Is the body whole?
    pub fn is_done(&self) -> bool {
        matches!(self.framing, Framing::None)
    }

    /// Decodes in place: chunk lines are cut out and the data moved together at the front of `input`. Bytes not
    /// consumed must be given again, with more behind them.
    ///
    /// # Errors
    /// [`Reject`] with the rule that was broken; bytes that the same call would have produced are lost.
    pub fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, Reject> {
        let _ = input;
        Ok(Decoded {
            consumed: 0,
            produced: 0,
            done: false,
        })
    }

    /// The sender closed its side. Ends an until-close body.
    ///
    /// # Errors
    /// [`Reject`] (`Truncated`) if the body is not whole.
    pub fn end_of_input(&mut self) -> Result<(), Reject> {
        Ok(())
    }

    /// How many bytes are still to come, where the framing tells (a length).
    pub fn remaining(&self) -> Option<u64> {
        None
    }

    /// The trailer section, once the body is done.
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }
}
