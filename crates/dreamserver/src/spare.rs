//! Memory that was used and will be used again, kept by each thread: steady traffic allocates nothing, and an idle
//! connection holds nothing.

use dream_http::{RequestHead, ResponseHead};
use std::cell::RefCell;

/// Of each kind, at most so many are kept.
const MOST: usize = 256;
/// What took more memory than this was unusual, and is not kept.
const LARGEST: usize = INPUT;
/// The size of an [`input`] buffer: room for a head with cookies, and small enough for thousands of connections.
pub const INPUT: usize = 8 * 1024;

thread_local! {
    static INPUTS: Kept<Vec<u8>> = const { Kept::new() };
    static BUFFERS: Kept<Vec<u8>> = const { Kept::new() };
    static REQUESTS: Kept<Box<RequestHead>> = const { Kept::new() };
    static RESPONSES: Kept<Box<ResponseHead>> = const { Kept::new() };
}

/// A buffer of [`INPUT`] bytes to receive into; what it holds means nothing.
pub fn input() -> Vec<u8> {
    let mut input = INPUTS.with(Kept::take);
    input.resize(INPUT, 0);
    input
}

/// Keeps the memory of a buffer that was received into, unless it has grown.
pub fn keep_input(input: Vec<u8>) {
    let size = input.len();
    INPUTS.with(|kept| kept.put(input, size));
}

/// An empty buffer.
pub fn buffer() -> Vec<u8> {
    let mut buffer = BUFFERS.with(Kept::take);
    buffer.clear();
    buffer
}

/// Keeps the memory of a buffer.
pub fn keep_buffer(buffer: Vec<u8>) {
    let size = buffer.capacity();
    BUFFERS.with(|kept| kept.put(buffer, size));
}

/// A head to be filled; what it holds means nothing.
pub fn request_head() -> Box<RequestHead> {
    REQUESTS.with(Kept::take)
}

/// Keeps the memory of a head.
pub fn keep_request_head(head: Box<RequestHead>) {
    let size = head.fields.memory();
    REQUESTS.with(|kept| kept.put(head, size));
}

/// A head to be filled; what it holds means nothing.
pub fn response_head() -> Box<ResponseHead> {
    RESPONSES.with(Kept::take)
}

/// Keeps the memory of a head.
pub fn keep_response_head(head: Box<ResponseHead>) {
    let size = head.fields.memory();
    RESPONSES.with(|kept| kept.put(head, size));
}

struct Kept<T>(RefCell<Vec<T>>);

impl<T: Default> Kept<T> {
    const fn new() -> Kept<T> {
        Kept(RefCell::new(Vec::new()))
    }

    fn take(&self) -> T {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps `thing`, which holds `size` bytes.
    fn put(&self, thing: T, size: usize) {
        let mut kept = self.0.borrow_mut();
        if (1..=LARGEST).contains(&size) && kept.len() < MOST {
            kept.push(thing);
        }
    }
}
