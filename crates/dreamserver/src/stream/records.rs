//! The library's side of a TLS connection: it is given what was received, and says what to send and what was meant.
//!
//! It keeps the keys and the state of the handshake, and no buffers: all bytes are in ours, where it decrypts them.

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, Error};

/// One of the two sides of a connection.
pub(super) enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What the library is to tell the other side.
#[derive(Clone, Copy)]
pub(super) enum Words<'a> {
    Data(&'a [u8]),
    /// That no more comes (RFC 8446 §6.1).
    Farewell,
}

/// How far one step went.
pub(super) enum Step {
    /// On to the next one.
    Again,
    /// Plaintext was found.
    Plaintext,
    /// The other side has said that it sends no more.
    Ended,
    /// More must be received before anything can happen.
    Blocked,
    /// The words are encrypted, in so many bytes.
    Said(usize),
}

/// Where a step puts what it finds.
pub(super) struct Sinks<'a> {
    /// Decrypted.
    pub(super) plaintext: &'a mut dyn FnMut(&[u8]),
    /// Encrypted, of the library's own.
    pub(super) unsent: &'a mut dyn FnMut(&[u8]),
}

impl Side {
    pub(super) fn state(&self) -> &CommonState {
        match self {
            Side::Server(connection) => connection,
            Side::Client(connection) => connection,
        }
    }

    /// Goes one step, and says how many of the received bytes are done with. What is not must be there again the next time.
    pub(super) fn step(
        &mut self,
        received: &mut [u8],
        sinks: &mut Sinks<'_>,
        words: Option<(Words<'_>, &mut [u8])>,
    ) -> (usize, Result<Step, Error>) {
        match self {
            Side::Server(connection) => {
                done(connection.process_tls_records(received), sinks, words)
            }
            Side::Client(connection) => {
                done(connection.process_tls_records(received), sinks, words)
            }
        }
    }
}

fn done<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    sinks: &mut Sinks<'_>,
    words: Option<(Words<'_>, &mut [u8])>,
) -> (usize, Result<Step, Error>) {
    let mut used = status.discard;
    let step = status.state.and_then(|state| match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record?;
                used += record.discard;
                (sinks.plaintext)(record.payload);
            }
            Ok(Step::Plaintext)
        }
        ConnectionState::EncodeTlsData(message) => {
            encode(message, sinks)?;
            Ok(Step::Again)
        }
        // It leaves with what is sent next.
        ConnectionState::TransmitTlsData(transmitted) => {
            transmitted.done();
            Ok(Step::Again)
        }
        ConnectionState::PeerClosed => Ok(Step::Ended),
        ConnectionState::WriteTraffic(traffic) => match words {
            Some((words, out)) => say(traffic, words, out).map(Step::Said),
            None => Ok(Step::Blocked),
        },
        ConnectionState::BlockedHandshake | ConnectionState::Closed => Ok(Step::Blocked),
        // Early data is not offered.
        state => Err(Error::General(format!("{state:?} is not expected"))),
    });
    (used, step)
}

/// A message of the library's own. Only it knows how long that is.
fn encode<Data>(mut message: EncodeTlsData<'_, Data>, sinks: &mut Sinks<'_>) -> Result<(), Error> {
    let mut bytes = Vec::new();
    while let Err(error) = message.encode(&mut bytes) {
        match error {
            EncodeError::InsufficientSize(size) if size.required_size > bytes.len() => {
                bytes.resize(size.required_size, 0);
            }
            error => return Err(Error::General(error.to_string())),
        }
    }
    (sinks.unsent)(&bytes);
    Ok(())
}

fn say<Data>(
    mut traffic: WriteTraffic<'_, Data>,
    words: Words<'_>,
    out: &mut [u8],
) -> Result<usize, Error> {
    let said = match words {
        Words::Data(data) => traffic.encrypt(data, out),
        Words::Farewell => traffic.queue_close_notify(out),
    };
    said.map_err(|error| match error {
        EncryptError::EncryptExhausted => Error::EncryptError,
        error => Error::General(error.to_string()),
    })
}
