use super::encoder::Step;
use super::*;
use crate::exchange::{Body, BodyError, BodyHandle};
use bytes::Bytes;
use dream_http::Coding;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What a client makes of a coded body.
fn decode(coding: Coding, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = match coding {
        Coding::Gzip => flate2::read::GzDecoder::new(body).read_to_end(&mut plain),
        Coding::Brotli => brotli::Decompressor::new(body, 4096).read_to_end(&mut plain),
        Coding::Zstd => {
            zstd::Decoder::new(body).and_then(|mut decoder| decoder.read_to_end(&mut plain))
        }
    };
    assert_eq!(read.map_err(|error| error.to_string()), Ok(plain.len()));
    plain
}

/// Text as programs write it: it repeats itself, and not quite.
fn text(size: usize) -> Vec<u8> {
    let words = (0u64..).flat_map(|number| {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        format!("{{\"id\":{number},\"value\":{mixed}}},").into_bytes()
    });
    words.take(size).collect()
}

/// A source whose pieces a test gives it, one at a time.
#[derive(Clone, Default)]
struct Script(Rc<RefCell<VecDeque<Option<Vec<u8>>>>>);

impl Script {
    fn say(&self, piece: &[u8]) {
        self.0.borrow_mut().push_back(Some(piece.to_vec()));
    }

    fn end(&self) {
        self.0.borrow_mut().push_back(None);
    }
}

impl crate::exchange::Source for Script {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self.0.borrow_mut().pop_front() {
            Some(piece) => Poll::Ready(piece.map(|piece| Ok(piece.into()))),
            None => Poll::Pending,
        }
    }
}

/// Everything that comes before the body waits or ends; tells whether it has ended.
fn drain(body: &mut BodyHandle, into: &mut Vec<u8>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let mut turns = 0;
    loop {
        match body.poll_ready(&mut cx) {
            Poll::Ready(Ok(())) if body.data().is_empty() => return true,
            Poll::Ready(ready) => ready.unwrap_or_else(|error: BodyError| panic!("{error}")),
            // It lets others have their turn now and then, and goes on when it is asked again.
            Poll::Pending if turns < 1000 => {
                turns += 1;
                continue;
            }
            Poll::Pending => return false,
        }
        // A client takes what it takes.
        let taken = body.data().len().div_ceil(2);
        into.extend_from_slice(&body.data()[..taken]);
        body.consume(taken);
    }
}

fn handle(body: Body, coding: Coding) -> BodyHandle {
    let encoder = Encoder::take(coding, body.len(), false).unwrap();
    match compressed(body, encoder) {
        Body::Stream(handle) => handle,
        _ => panic!("a coded body is a stream"),
    }
}

#[test]
fn what_was_said_can_be_read_before_more_is_said() {
    for coding in Coding::ALL {
        let script = Script::default();
        let mut body = handle(Body::from_source(script.clone()), coding);
        let (mut coded, mut plain) = (Vec::new(), Vec::new());
        for number in 0..50 {
            let event = format!("data: {number}\n\n");
            script.say(event.as_bytes());
            plain.extend_from_slice(event.as_bytes());
            assert!(!drain(&mut body, &mut coded));
            assert_eq!(readable(coding, &coded), plain, "{coding:?} {number}");
        }
        script.end();
        assert!(drain(&mut body, &mut coded));
        assert_eq!(decode(coding, &coded), plain);
    }
}

/// What can be read of the beginning of a coded body.
fn readable(coding: Coding, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut decoder: Box<dyn Read> = match coding {
        Coding::Gzip => Box::new(flate2::read::GzDecoder::new(body)),
        Coding::Brotli => Box::new(brotli::Decompressor::new(body, 4096)),
        Coding::Zstd => Box::new(zstd::Decoder::new(body).unwrap()),
    };
    let mut byte = [0];
    while let Ok(1) = decoder.read(&mut byte) {
        plain.push(byte[0]);
    }
    plain
}

#[test]
fn whole_and_at_best() {
    let plain = text(300_000);
    for coding in Coding::ALL {
        let streamed = encode(coding, Effort::Streaming, &plain).unwrap();
        let best = encode(coding, Effort::Best, &plain).unwrap();
        assert_eq!(decode(coding, &streamed), plain);
        assert_eq!(decode(coding, &best), plain);
        assert!(best.len() <= streamed.len(), "{coding:?}");
        assert_eq!(
            decode(coding, &encode(coding, Effort::Best, b"").unwrap()),
            b""
        );
    }
}

#[test]
fn what_cannot_be_made_smaller_comes_through_too() {
    let mut state = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(1_000_000)
    .collect();
    for coding in Coding::ALL {
        let mut coded = Vec::new();
        let bytes = Body::Bytes(noise.clone().into());
        assert!(drain(&mut handle(bytes, coding), &mut coded));
        assert!(decode(coding, &coded) == noise, "{coding:?}");
    }
}

#[test]
fn an_encoder_that_was_left_in_the_middle_is_as_good_as_new() {
    for coding in Coding::ALL {
        for _ in 0..20 {
            let mut encoder = Encoder::take(coding, None, false).unwrap();
            let mut out = Vec::new();
            encoder.encode(&text(5000), Step::More, &mut out).unwrap();
            drop(encoder);
            let mut encoder = Encoder::take(coding, Some(3), false).unwrap();
            let mut out = Vec::new();
            encoder.encode(b"new", Step::End, &mut out).unwrap();
            assert_eq!(decode(coding, &out), b"new");
        }
    }
}

#[test]
fn there_are_never_too_many_and_events_leave_room() {
    for coding in Coding::ALL {
        let events: Vec<Encoder> =
            std::iter::from_fn(|| Encoder::take(coding, None, true)).collect();
        let others: Vec<Encoder> =
            std::iter::from_fn(|| Encoder::take(coding, None, false)).collect();
        assert!(events.len() >= 20 && others.len() >= 20, "{coding:?}");
        assert!(Encoder::take(coding, None, false).is_none());
        drop(events);
        assert!(Encoder::take(coding, None, false).is_some());
        drop(others);
        assert!(Encoder::take(coding, None, true).is_some());
    }
}

/// What an encoder is charged for is what it takes.
#[test]
fn the_memory_of_encoders() {
    let plain = text(1_000_000);
    let mut wrong = Vec::new();
    for coding in Coding::ALL {
        for len in [
            Some(1000),
            Some(10_000),
            Some(100_000),
            Some(1_000_000),
            None,
        ] {
            let input = &plain[..len.unwrap_or(1_000_000) as usize];
            let taken = measure(coding, len, input);
            let charged = encoder::cost(coding, len);
            println!(
                "{coding:?} {len:?}: takes {} KiB, is charged {} KiB",
                taken / 1024,
                charged / 1024
            );
            if taken > charged {
                wrong.push((coding, len, taken));
            }
        }
    }
    assert_eq!(wrong, []);
}

fn measure(coding: Coding, len: Option<u64>, input: &[u8]) -> usize {
    let mut c_side = 0;
    // A thread of its own has no encoder that was kept.
    let rust_side = std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut size = 0;
            let info = allocation_counter::measure(|| {
                let mut encoder = Encoder::take(coding, len, false).unwrap();
                let mut out = Vec::with_capacity(64 * 1024);
                for piece in input.chunks(32 * 1024) {
                    encoder.encode(piece, Step::More, &mut out).unwrap();
                    out.clear();
                }
                size = encoder.c_memory();
            });
            (info.bytes_max as usize, size)
        });
        let (rust_side, size) = work.join().unwrap();
        c_side = size;
        rust_side
    });
    // The buffer of the output is the body's, not the encoder's.
    rust_side.saturating_sub(64 * 1024) + c_side
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_body_cut_anywhere_is_the_same(
        size in 0usize..150_000,
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..12),
    ) {
        let plain = text(size);
        let mut places: Vec<(usize, bool)> = cuts
            .iter()
            .map(|(cut, pause)| (cut.index(size + 1), *pause))
            .collect();
        places.sort_unstable();
        for coding in Coding::ALL {
            let script = Script::default();
            let mut body = handle(Body::from_source(script.clone()), coding);
            let (mut coded, mut begun) = (Vec::new(), 0);
            for (end, pauses) in &places {
                script.say(&plain[begun..*end]);
                if *pauses {
                    drain(&mut body, &mut coded);
                }
                begun = *end;
            }
            script.say(&plain[begun..]);
            script.end();
            prop_assert!(drain(&mut body, &mut coded));
            prop_assert!(decode(coding, &coded) == plain);
        }
    }
}
