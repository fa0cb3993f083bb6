//! What the fuzz targets call, and the tests that replay their corpora: whole conversations, with the
//! properties that hold for every input. A breach panics.

use crate::h1::{
    BodyDecoder, BodyEncoder, Framing, Limits, Persistence, RequestParser, ResponseParser,
    encode_request, encode_response,
};
use crate::{Fields, Method, Name, Reason, Reject, RequestHead, ResponseHead, target};
use alloc::vec::Vec;

/// Any bytes as the head of a request.
pub fn head_request(input: &[u8]) {
    let parse = |parser: &mut RequestParser, input: &[u8], head: &mut RequestHead| {
        parser.parse(input, head)
    };
    heads_agree(input, RequestParser::new, parse, RequestHead::default);
}

/// Any bytes as the head of a response.
pub fn head_response(input: &[u8]) {
    let parse = |parser: &mut ResponseParser, input: &[u8], head: &mut ResponseHead| {
        parser.parse(input, Method::Get, head)
    };
    heads_agree(input, ResponseParser::new, parse, ResponseHead::default);
}

/// Any bytes as a chunked body.
pub fn chunked(input: &[u8]) {
    let whole = decode(input, &[]);
    assert_eq!(
        whole,
        decode(input, &random_cuts(input)),
        "cut at random places"
    );
    let every_byte: Vec<usize> = (0..input.len()).collect();
    assert_eq!(whole, decode(input, &every_byte), "cut at every byte");
}

/// Any bytes as what a client sends on one connection.
pub fn connection_server(input: &[u8]) {
    let whole = requests(input, &[]);
    assert_eq!(
        whole,
        requests(input, &random_cuts(input)),
        "cut differently"
    );
    for message in whole.messages.iter().filter(|message| message.whole) {
        // We send HTTP/1.1, which a request without Host cannot be.
        if message.head.fields.has(Name::Host) {
            let encoded = encoded_request(message);
            survives_encoding(message, &requests_within(ROOMY, &encoded, &[]));
        }
    }
}

/// Any bytes as what an endpoint sends on one connection; the first byte chooses the requests.
pub fn connection_client(input: &[u8]) {
    let Some((&first, input)) = input.split_first() else {
        return;
    };
    let method = match first {
        b'H' => Method::Head,
        b'C' => Method::Connect,
        _ => Method::Get,
    };
    let whole = responses(input, method, &[]);
    assert_eq!(
        whole,
        responses(input, method, &random_cuts(input)),
        "cut differently"
    );
    for message in whole.messages.iter().filter(|message| message.whole) {
        let encoded = encoded_response(message);
        survives_encoding(message, &responses_within(ROOMY, &encoded, method, &[]));
    }
}

/// Any bytes as a path.
pub fn clean_path(path: &[u8]) {
    let mut clean = Vec::new();
    match target::clean_path(path, &mut clean) {
        Err(reject) => assert!(reject.at <= path.len()),
        Ok(None) => assert_is_clean(path),
        Ok(Some(())) => {
            assert_ne!(clean, path);
            assert_is_clean(&clean);
        }
    }
}

/// All that one side said on a connection, as it was understood.
#[derive(Debug)]
pub struct Conversation<Head> {
    /// The messages whose head is whole.
    pub messages: Vec<Message<Head>>,
    /// What ended the conversation: a fault, or nothing.
    pub reject: Option<Reject>,
    /// Bytes behind the last whole message that are another head or not looked at; none behind a faulty body.
    pub left: usize,
}

impl<Head: Meaning> PartialEq for Conversation<Head> {
    fn eq(&self, other: &Conversation<Head>) -> bool {
        self.messages == other.messages && self.reject == other.reject && self.left == other.left
    }
}

/// One message. Heads compare by what they mean.
#[derive(Debug)]
pub struct Message<Head> {
    /// The head.
    pub head: Head,
    /// The body; empty if a fault ended it.
    pub body: Vec<u8>,
    /// The trailer section.
    pub trailers: Fields,
    /// Did the body come to its end?
    pub whole: bool,
}

impl<Head: Meaning> PartialEq for Message<Head> {
    fn eq(&self, other: &Message<Head>) -> bool {
        self.head.same(&other.head)
            && self.body == other.body
            && self.trailers.iter().eq(other.trailers.iter())
            && self.whole == other.whole
    }
}

/// What two heads have in common that mean the same.
pub trait Meaning {
    /// Are both equal but for what belongs to the connection?
    fn same_for_all(&self, other: &Self) -> bool;
    /// Are both equal?
    fn same(&self, other: &Self) -> bool;
}

impl Meaning for RequestHead {
    fn same_for_all(&self, other: &RequestHead) -> bool {
        self.method_text() == other.method_text()
            && self.target() == other.target()
            && self.framing == other.framing
            && self.keep_alive == other.keep_alive
            && end_to_end(&self.fields).eq(end_to_end(&other.fields))
    }

    fn same(&self, other: &RequestHead) -> bool {
        self.same_for_all(other)
            && self.version == other.version
            && self.expects_continue == other.expects_continue
            && self.fields.iter().eq(other.fields.iter())
    }
}

impl Meaning for ResponseHead {
    fn same_for_all(&self, other: &ResponseHead) -> bool {
        self.status == other.status
            && self.reason() == other.reason()
            && self.framing == other.framing
            && self.keep_alive == other.keep_alive
            && end_to_end(&self.fields).eq(end_to_end(&other.fields))
    }

    fn same(&self, other: &ResponseHead) -> bool {
        self.same_for_all(other)
            && self.version == other.version
            && self.content_length == other.content_length
            && self.fields.iter().eq(other.fields.iter())
    }
}

/// Reads `input`, which arrives in parts that end at `cuts`, in the server's role.
pub fn requests(input: &[u8], cuts: &[usize]) -> Conversation<RequestHead> {
    requests_within(Limits::default(), input, cuts)
}

fn requests_within(limits: Limits, input: &[u8], cuts: &[usize]) -> Conversation<RequestHead> {
    let mut parser = RequestParser::new(limits);
    converse(input, cuts, |bytes, head: &mut RequestHead| {
        let len = parser.parse(bytes, head)?;
        Ok(len.map(|len| Parsed {
            len,
            framing: head.framing,
            // What follows a CONNECT is for whoever answers it.
            last: !head.keep_alive || head.method == Method::Connect,
        }))
    })
}

/// Reads `input` in the client's role, as answers to requests with `method`.
pub fn responses(input: &[u8], method: Method, cuts: &[usize]) -> Conversation<ResponseHead> {
    responses_within(Limits::default(), input, method, cuts)
}

fn responses_within(
    limits: Limits,
    input: &[u8],
    method: Method,
    cuts: &[usize],
) -> Conversation<ResponseHead> {
    let mut parser = ResponseParser::new(limits);
    converse(input, cuts, |bytes, head: &mut ResponseHead| {
        let len = parser.parse(bytes, method, head)?;
        Ok(len.map(|len| Parsed {
            len,
            framing: head.framing,
            last: !head.keep_alive,
        }))
    })
}

/// What [`converse`] must know of a head.
struct Parsed {
    len: usize,
    framing: Framing,
    last: bool,
}

/// Reads heads and bodies from `input`, of which more becomes visible at each of `cuts`.
fn converse<Head: Default>(
    input: &[u8],
    cuts: &[usize],
    mut parse: impl FnMut(&[u8], &mut Head) -> Result<Option<Parsed>, Reject>,
) -> Conversation<Head> {
    let mut conversation = Conversation {
        messages: Vec::new(),
        reject: None,
        left: 0,
    };
    let mut ends = cuts.iter().copied().chain([input.len()]);
    let mut seen = ends.next().unwrap_or_default();
    let mut at = 0;
    let mut head = Head::default();
    loop {
        let parsed = match parse(&input[at..seen], &mut head) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => match ends.next() {
                Some(end) => {
                    seen = end;
                    continue;
                }
                None => break,
            },
            Err(reject) => {
                conversation.reject = Some(reject);
                break;
            }
        };
        let mut body = BodyReader::new(parsed.framing, at + parsed.len);
        let ended = body.read(input, &mut seen, &mut ends);
        at = if ended.is_ok() { body.at } else { input.len() };
        conversation
            .messages
            .push(body.message(core::mem::take(&mut head), ended.is_ok()));
        conversation.reject = ended.err();
        if parsed.last || conversation.reject.is_some() {
            break;
        }
    }
    conversation.left = input.len() - at;
    conversation
}

/// A body that is being read out of a conversation.
struct BodyReader {
    decoder: BodyDecoder,
    body: Vec<u8>,
    at: usize,
}

impl BodyReader {
    fn new(framing: Framing, at: usize) -> BodyReader {
        BodyReader {
            decoder: BodyDecoder::new(framing),
            body: Vec::new(),
            at,
        }
    }

    /// Reads to the end of the body, or of the input.
    fn read(
        &mut self,
        input: &[u8],
        seen: &mut usize,
        ends: &mut impl Iterator<Item = usize>,
    ) -> Result<(), Reject> {
        loop {
            let mut part = input[self.at..*seen].to_vec();
            let decoded = self.decoder.decode(&mut part);
            if decoded.is_err() {
                let again = self.decoder.decode(&mut part);
                assert_eq!(again, decoded, "what is refused stays refused");
            }
            let decoded = decoded?;
            assert!(decoded.produced <= decoded.consumed && decoded.consumed <= part.len());
            assert!(decoded.done || decoded.consumed == part.len());
            self.body.extend_from_slice(&part[..decoded.produced]);
            self.at += decoded.consumed;
            if decoded.done {
                return Ok(());
            }
            match ends.next() {
                Some(end) => *seen = end,
                None => return self.decoder.end_of_input(),
            }
        }
    }

    fn message<Head>(self, head: Head, whole: bool) -> Message<Head> {
        Message {
            head,
            // What stood before a fault in the same part is lost.
            body: if whole { self.body } else { Vec::new() },
            trailers: self.decoder.trailers().clone(),
            whole,
        }
    }
}

/// One head, whole, in random parts and byte by byte.
fn heads_agree<Parser, Head: Meaning + core::fmt::Debug>(
    input: &[u8],
    parser: impl Fn(Limits) -> Parser,
    parse: impl Fn(&mut Parser, &[u8], &mut Head) -> Result<Option<usize>, Reject>,
    head: impl Fn() -> Head,
) {
    let in_parts = |cuts: &[usize]| {
        let (mut parser, mut head) = (parser(Limits::default()), head());
        let result = cuts
            .iter()
            .copied()
            .chain([input.len()])
            .map(|end| parse(&mut parser, &input[..end], &mut head))
            .find(|result| *result != Ok(None));
        if let Some(Err(reject)) = result {
            let again = parse(&mut parser, input, &mut head);
            assert_eq!(again, Err(reject), "what is refused stays refused");
        }
        (result, head)
    };
    let whole = in_parts(&[]);
    let every_byte: Vec<usize> = (0..input.len()).collect();
    for cuts in [random_cuts(input), every_byte] {
        let cut = in_parts(&cuts);
        assert_eq!(whole.0, cut.0, "cut at {cuts:?}");
        if let Some(Ok(_)) = whole.0 {
            assert!(whole.1.same(&cut.1), "cut at {cuts:?}");
        }
    }
}

/// Body, bytes used, trailers; or the fault.
type DecodedBody = Result<(Vec<u8>, usize, Vec<u8>), Reject>;

fn decode(input: &[u8], cuts: &[usize]) -> DecodedBody {
    let mut reader = BodyReader::new(Framing::Chunked, 0);
    let mut ends = cuts.iter().copied().chain([input.len()]);
    let mut seen = ends.next().unwrap_or_default();
    match reader.read(input, &mut seen, &mut ends) {
        Err(reject) if reject.reason != Reason::Truncated => Err(reject),
        _ => {
            let mut trailers = Vec::new();
            if reader.decoder.is_done() {
                reader.decoder.trailers().write_to(&mut trailers);
            }
            Ok((reader.body, reader.at, trailers))
        }
    }
}

/// What was written anew must be read as the same message, and as nothing else.
fn survives_encoding<Head: Meaning>(message: &Message<Head>, again: &Conversation<Head>) {
    let [copy] = &again.messages[..] else {
        panic!("one message became {}", again.messages.len());
    };
    assert_eq!(again.reject, None);
    assert_eq!(again.left, 0);
    assert!(copy.whole);
    assert!(message.head.same_for_all(&copy.head), "the head changed");
    assert_eq!(message.body, copy.body);
    assert!(
        message.trailers.iter().eq(copy.trailers.iter()),
        "the trailers changed"
    );
}

fn encoded_request(message: &Message<RequestHead>) -> Vec<u8> {
    let head = &message.head;
    let mut out = Vec::new();
    encode_request(head, head.framing, persistence(head.keep_alive), &mut out);
    encode_body(head.framing, message, &mut out);
    out
}

fn encoded_response(message: &Message<ResponseHead>) -> Vec<u8> {
    let head = &message.head;
    let mut out = Vec::new();
    encode_response(head, head.framing, persistence(head.keep_alive), &mut out);
    encode_body(head.framing, message, &mut out);
    out
}

fn encode_body<Head>(framing: Framing, message: &Message<Head>, out: &mut Vec<u8>) {
    let mut encoder = BodyEncoder::new(framing);
    for part in message.body.chunks(1000) {
        encoder
            .data(part.len(), out)
            .expect("the decoder gave what the framing allows");
        out.extend_from_slice(part);
    }
    encoder
        .end(Some(&message.trailers), out)
        .expect("the decoder gave all that the framing announced");
}

fn persistence(keep_alive: bool) -> Persistence {
    if keep_alive {
        Persistence::Implied
    } else {
        Persistence::Close
    }
}

/// The fields that do not belong to the connection.
fn end_to_end(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields
        .iter()
        .filter(|field| {
            !matches!(
                field.name,
                Name::Connection
                    | Name::ContentLength
                    | Name::TransferEncoding
                    | Name::KeepAlive
                    | Name::ProxyConnection
            )
        })
        .map(|field| (field.text, field.value))
}

/// A clean path begins at the root, has no dot segment, and stays when it is cleaned again.
fn assert_is_clean(path: &[u8]) {
    assert_eq!(path.first(), Some(&b'/'));
    for segment in path.split(|&byte| byte == b'/') {
        assert!(segment != b"." && segment != b"..");
    }
    assert_eq!(target::clean_path(path, &mut Vec::new()), Ok(None));
}

/// A few places in `input`, in order, that depend on nothing but `input`.
fn random_cuts(input: &[u8]) -> Vec<usize> {
    let mut state = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let mut cuts: Vec<usize> = (0..state % 8)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize % (input.len() + 1)
        })
        .collect();
    cuts.sort_unstable();
    cuts
}

/// What we send may be a little larger than what we got: a Connection field is added, a blank stands behind each colon.
const ROOMY: Limits = Limits {
    head: 64 * 1024,
    fields: 200,
    target: 8 * 1024,
};
