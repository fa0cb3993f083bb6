//! What a client has sent, told back to it as JSON.

use crate::error;
use crate::exchange::{Body, BodyError, Peer, Request, Response, put};
use aws_lc_rs::digest;
use dream_http::{Fields, Name, Version};
use serde::Serialize;
use std::net::SocketAddr;

/// What came.
#[derive(Serialize)]
struct Facts<'a> {
    id: &'a str,
    method: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    version: &'static str,
    host: String,
    /// In their order, and as often as they came.
    fields: Vec<(String, String)>,
    body: Content,
    connection: Connection<'a>,
}

/// What is told of a body.
#[derive(Serialize)]
struct Content {
    bytes: u64,
    sha256: String,
    /// The body itself, where it is short and a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// How it came.
#[derive(Serialize)]
struct Connection<'a> {
    client: SocketAddr,
    server: SocketAddr,
    scheme: &'static str,
    /// The name that the client asked for in its handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    /// Who the client has proved to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_subject: Option<&'a str>,
}

/// What came, in an answer. The body is read to its end, and not kept.
pub(super) async fn answer(request: &mut Request) -> Response {
    let body = match read(request).await {
        Ok(body) => body,
        Err(error) => return error::body(&error, request),
    };
    let head = &request.head;
    let facts = Facts {
        id: request.id.as_str(),
        method: text(head.method_text()),
        path: text(head.path()),
        query: head.query().map(text),
        version: match head.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        },
        host: text(head.host()),
        fields: fields(&head.fields),
        body,
        connection: connection(&request.peer),
    };
    // Texts and numbers only: nothing in it can fail.
    let mut json = serde_json::to_vec_pretty(&facts).unwrap_or_default();
    json.push(b'\n');
    let mut response = Response::new(200);
    put(
        &mut response.head.fields,
        Name::ContentType,
        b"application/json",
    );
    put(
        &mut response.head.fields,
        Name::XContentTypeOptions,
        b"nosniff",
    );
    response.body = Body::from(json);
    response
}

async fn read(request: &mut Request) -> Result<Content, BodyError> {
    let mut digest = digest::Context::new(&digest::SHA256);
    let mut bytes = 0;
    let mut start = Vec::new();
    let each = |piece: &[u8]| {
        digest.update(piece);
        bytes += piece.len() as u64;
        let room = (SHORT + 1).saturating_sub(start.len());
        start.extend_from_slice(&piece[..room.min(piece.len())]);
    };
    request.read_pieces(MOST, each).await?;
    let digest = digest.finish();
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    let is_short = (1..=SHORT).contains(&start.len());
    Ok(Content {
        bytes,
        sha256: hex.collect(),
        text: String::from_utf8(start).ok().filter(|_| is_short),
    })
}

fn fields(fields: &Fields) -> Vec<(String, String)> {
    let pairs = fields.iter();
    pairs
        .map(|field| (text(field.text), text(field.value)))
        .collect()
}

fn connection(peer: &Peer) -> Connection<'_> {
    let security = peer.security.as_ref();
    let client = security.and_then(|security| security.client.as_ref());
    Connection {
        client: peer.remote,
        server: peer.local,
        scheme: peer.scheme.as_str(),
        server_name: security.and_then(|security| security.server_name.as_deref()),
        client_subject: client.map(|client| &*client.subject),
    }
}

/// Bytes of a client as JSON can hold them.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The longest body whose size is told.
const MOST: u64 = 100 * 1000 * 1000;

/// The longest body that is told back.
const SHORT: usize = 64 * 1024;
