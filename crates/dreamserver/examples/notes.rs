//! A JSON API with uploads: `cargo run --example notes`, then
//!
//! ```sh
//! curl http://127.0.0.1:8080/notes -d '{"text": "buy milk"}'
//! curl http://127.0.0.1:8080/notes
//! curl -T milk.png http://127.0.0.1:8080/notes/0/picture
//! curl http://127.0.0.1:8080/notes/0/picture -o milk.png
//! ```

use dreamserver::{Mux, Request, Response, Server, error};
use serde::{Deserialize, Serialize};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Deserialize)]
struct Draft {
    text: String,
}

#[derive(Clone, Serialize)]
struct Note {
    id: usize,
    text: String,
    #[serde(skip)]
    picture: Option<Vec<u8>>,
}

/// What all handlers share.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Note>>>);

impl Notes {
    fn with<R>(&self, change: impl FnOnce(&mut Vec<Note>) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn add(&self, request: &mut Request) -> Result<Response, Response> {
        let body = request.read_body(64 * 1024).await;
        let body = body.map_err(|wrong| error::body(&wrong, request))?;
        let draft: Draft = serde_json::from_slice(&body)
            .map_err(|wrong| error::page(400, request, &wrong.to_string()))?;
        let note = self.with(|notes| {
            let (id, text) = (notes.len(), draft.text);
            notes.push(Note {
                id,
                text,
                picture: None,
            });
            notes[id].clone()
        });
        Ok(Response::json(&note).with_status(201))
    }

    async fn set_picture(&self, request: &mut Request) -> Result<Response, Response> {
        let body = request.read_body(5_000_000).await;
        let body = body.map_err(|wrong| error::body(&wrong, request))?;
        let id = id(request)?;
        let found = self.with(|notes| notes.get_mut(id).map(|note| note.picture = Some(body)));
        found
            .map(|()| Response::new(204))
            .ok_or_else(|| missing(request))
    }

    fn picture(&self, request: &Request) -> Result<Response, Response> {
        let id = id(request)?;
        let picture = self.with(|notes| notes.get(id).and_then(|note| note.picture.clone()));
        let picture = picture.ok_or_else(|| missing(request))?;
        Ok(Response::new(200).with_body(picture))
    }
}

fn id(request: &Request) -> Result<usize, Response> {
    let id = request.value("id").and_then(|id| id.parse().ok());
    id.ok_or_else(|| missing(request))
}

fn missing(request: &Request) -> Response {
    error::page(404, request, "There is no such note.")
}

fn main() -> ExitCode {
    let notes = Notes::default();
    let mut mux = Mux::new();
    let all = notes.clone();
    mux.handle("GET /notes", async move |_: &mut Request| {
        all.with(|notes| Response::json(notes))
    });
    let adding = notes.clone();
    mux.handle("POST /notes", async move |request: &mut Request| {
        adding.add(request).await
    });
    let setting = notes.clone();
    mux.handle(
        "PUT /notes/{id}/picture",
        async move |request: &mut Request| setting.set_picture(request).await,
    );
    mux.handle(
        "GET /notes/{id}/picture",
        async move |request: &mut Request| notes.picture(request),
    );
    let address = std::env::args().nth(1);
    Server::new(mux)
        .listen(address.as_deref().unwrap_or("127.0.0.1:8080"))
        .run()
}
