//! The three encoders behind one door, fed piece by piece.
//!
//! Each takes some hundreds of kilobytes while a body passes through it, so a core has a budget for them: beyond it, answers go out
//! as they are. Those of gzip and zstd are kept for the next body, because making one costs as much as coding a small page.

use bytes::Bytes;
use dream_http::Coding;
use flate2::{Compress, Compression, FlushCompress, Status};
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

/// Bytes that the encoders of a core may take together: fifty of the largest, three hundred of gzip.
const BUDGET: usize = 128 * 1024 * 1024;

/// Of this, streams of events get a half: they stay, and must not take the place of answers that are done in a moment.
const BUDGET_OF_EVENTS: usize = BUDGET / 2;

/// So many encoders of a kind wait for their next body, on each core.
const KEPT: usize = 4;

/// Output is made in steps of this many bytes.
const ROOM: usize = 16 * 1024;

/// How hard to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// While somebody waits.
    Streaming,
    /// Once, for many.
    Best,
}

/// What follows what is given to an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// More, soon.
    More,
    /// Nothing for a while: what was given is to be readable for the client.
    Flush,
    /// Nothing.
    End,
}

/// An encoder on its way through one body.
pub struct Encoder {
    kind: Kind,
    cost: usize,
}

enum Kind {
    Gzip(Compress),
    Zstd(CCtx<'static>),
    /// None once it has ended.
    Brotli(Option<Box<Brotli>>),
}

type Brotli = brotli::CompressorWriter<Vec<u8>>;

thread_local! {
    static IN_USE: Cell<usize> = const { Cell::new(0) };
    static GZIP: RefCell<Vec<Compress>> = const { RefCell::new(Vec::new()) };
    static ZSTD: RefCell<Vec<CCtx<'static>>> = const { RefCell::new(Vec::new()) };
}

impl Encoder {
    /// An encoder for a body of `len` bytes, where that is known; `events` says that it will be needed for long. None if this core
    /// has as many as it may.
    pub fn take(coding: Coding, len: Option<u64>, events: bool) -> Option<Encoder> {
        let cost = cost(coding, len);
        let budget = if events { BUDGET_OF_EVENTS } else { BUDGET };
        if IN_USE.get() + cost > budget {
            return None;
        }
        let kind = Kind::new(coding, Effort::Streaming, len).ok()?;
        IN_USE.set(IN_USE.get() + cost);
        Some(Encoder { kind, cost })
    }

    /// Takes all of `input`, and adds to `out` what came of it.
    ///
    /// # Errors
    /// The library is out of memory, or at odds with itself: nothing good comes any more.
    pub fn encode(&mut self, input: &[u8], step: Step, out: &mut Vec<u8>) -> io::Result<()> {
        self.kind.encode(input, step, out)
    }

    /// Bytes that the C library holds, of which our allocator knows nothing.
    #[cfg(test)]
    pub(super) fn c_memory(&self) -> usize {
        match &self.kind {
            Kind::Zstd(encoder) => encoder.sizeof(),
            Kind::Gzip(_) | Kind::Brotli(_) => 0,
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        IN_USE.set(IN_USE.get() - self.cost);
        match std::mem::replace(&mut self.kind, Kind::Brotli(None)) {
            Kind::Gzip(mut encoder) => {
                encoder.reset();
                keep(&GZIP, encoder);
            }
            Kind::Zstd(mut encoder) => {
                if encoder.reset(ResetDirective::SessionAndParameters).is_ok() {
                    keep(&ZSTD, encoder);
                }
            }
            Kind::Brotli(_) => {}
        }
    }
}

/// Encodes all of `content` at once.
///
/// # Errors
/// As [`Encoder::encode`].
pub fn encode(coding: Coding, effort: Effort, content: &[u8]) -> io::Result<Bytes> {
    let mut out = Vec::new();
    let mut kind = Kind::new(coding, effort, Some(content.len() as u64))?;
    kind.encode(content, Step::End, &mut out)?;
    Ok(out.into())
}

impl Kind {
    fn new(coding: Coding, effort: Effort, len: Option<u64>) -> io::Result<Kind> {
        Ok(match coding {
            Coding::Gzip => Kind::Gzip(gzip(effort)),
            Coding::Zstd => Kind::Zstd(zstd(effort, len)?),
            Coding::Brotli => Kind::Brotli(Some(Box::new(brotli(effort, len)))),
        })
    }

    fn encode(&mut self, input: &[u8], step: Step, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Kind::Gzip(encoder) => encode_gzip(encoder, input, step, out),
            Kind::Zstd(encoder) => encode_zstd(encoder, input, step, out),
            Kind::Brotli(encoder) => encode_brotli(encoder, input, step, out),
        }
    }
}

/// What an encoder takes while it works, in bytes; `the_memory_of_encoders` holds it.
pub(super) fn cost(coding: Coding, len: Option<u64>) -> usize {
    let len = len.unwrap_or(u64::MAX);
    let kibibytes = match (coding, len) {
        (Coding::Gzip, _) => 400,
        (Coding::Zstd, ..=16_384) => 350,
        (Coding::Zstd, ..=131_072) => 1100,
        (Coding::Zstd, _) => 1750,
        (Coding::Brotli, ..=16_384) => 720,
        (Coding::Brotli, ..=131_072) => 1950,
        (Coding::Brotli, _) => 2450,
    };
    kibibytes * 1024
}

fn gzip(effort: Effort) -> Compress {
    let level = match effort {
        Effort::Streaming => match GZIP.with_borrow_mut(Vec::pop) {
            Some(kept) => return kept,
            None => 5,
        },
        // Measured: in this library 9 makes more of it than 8 does.
        Effort::Best => 8,
    };
    Compress::new_gzip(Compression::new(level), 15)
}

fn zstd(effort: Effort, len: Option<u64>) -> io::Result<CCtx<'static>> {
    let kept = ZSTD.with_borrow_mut(Vec::pop);
    let mut encoder = kept
        .or_else(CCtx::try_create)
        .ok_or(io::ErrorKind::OutOfMemory)?;
    let (level, window) = match effort {
        Effort::Streaming => (3, STREAM_WINDOW),
        // RFC 9659 §3: browsers take windows of at most 8 MiB.
        Effort::Best => (19, 23),
    };
    let parameters = [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(window),
    ];
    for parameter in parameters {
        encoder.set_parameter(parameter).map_err(zstd_error)?;
    }
    // What is known to be small takes less memory, and less time to prepare it.
    encoder.set_pledged_src_size(len).map_err(zstd_error)?;
    Ok(encoder)
}

fn brotli(effort: Effort, len: Option<u64>) -> Brotli {
    let (quality, lgwin) = match effort {
        Effort::Streaming => (4, STREAM_WINDOW as i32),
        Effort::Best => (11, 22),
    };
    let parameters = brotli::enc::BrotliEncoderParams {
        quality,
        lgwin,
        size_hint: len.map_or(0, |len| usize::try_from(len).unwrap_or(usize::MAX)),
        ..Default::default()
    };
    Brotli::with_params(Vec::new(), ROOM, &parameters)
}

/// How far back a streaming encoder looks, as a power of two: what gzip does not reach, and yet little memory.
const STREAM_WINDOW: u32 = 17;

fn encode_gzip(
    encoder: &mut Compress,
    mut input: &[u8],
    step: Step,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let flush = match step {
        Step::More => FlushCompress::None,
        Step::Flush => FlushCompress::Sync,
        Step::End => FlushCompress::Finish,
    };
    loop {
        out.reserve(ROOM);
        let before = encoder.total_in();
        let status = encoder.compress_vec(input, out, flush)?;
        input = &input[(encoder.total_in() - before) as usize..];
        let has_room = out.len() < out.capacity();
        match (step, status) {
            (_, Status::StreamEnd) => return Ok(()),
            (Step::More | Step::Flush, _) if input.is_empty() && has_room => return Ok(()),
            _ => {}
        }
    }
}

fn encode_zstd(
    encoder: &mut CCtx<'static>,
    input: &[u8],
    step: Step,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let mut input = InBuffer::around(input);
    let mut with_room = |work: &mut dyn FnMut(&mut OutBuffer<'_, Vec<u8>>) -> _| {
        out.reserve(ROOM);
        let at = out.len();
        let left: Result<usize, usize> = work(&mut OutBuffer::around_pos(out, at));
        left.map_err(zstd_error)
    };
    while input.pos() < input.src.len() {
        with_room(&mut |out| encoder.compress_stream(out, &mut input))?;
    }
    loop {
        let left = match step {
            Step::More => 0,
            Step::Flush => with_room(&mut |out| encoder.flush_stream(out))?,
            Step::End => with_room(&mut |out| encoder.end_stream(out))?,
        };
        if left == 0 {
            return Ok(());
        }
    }
}

fn zstd_error(code: usize) -> io::Error {
    io::Error::other(get_error_name(code))
}

fn encode_brotli(
    encoder: &mut Option<Box<Brotli>>,
    input: &[u8],
    step: Step,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let Some(writer) = encoder else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    writer.write_all(input)?;
    match (step, encoder.take_if(|_| step == Step::End)) {
        (_, Some(writer)) => out.append(&mut writer.into_inner()),
        (step, None) => {
            if let Some(writer) = encoder {
                if step == Step::Flush {
                    writer.flush()?;
                }
                out.append(writer.get_mut());
            }
        }
    }
    Ok(())
}

fn keep<T>(pool: &'static std::thread::LocalKey<RefCell<Vec<T>>>, encoder: T) {
    // A thread that ends keeps nothing.
    let _ = pool.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < KEPT {
            pool.push(encoder);
        }
    });
}
