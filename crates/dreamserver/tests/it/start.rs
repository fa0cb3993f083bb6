//! The ways in which the tests start the server.

use std::env;
use std::path::Path;

use dream_testkit::{Exit, Folder, Origin, Server};

/// The program under test; `DREAM_BINARY` names another build of it, such as the released one.
pub(crate) fn binary() -> String {
    env::var("DREAM_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_dreamserver").to_string())
}

/// `dreamserver proxy` before `origin`.
#[track_caller]
pub(crate) fn proxy(origin: &Origin) -> Server {
    proxy_to(&[&origin.url()])
}

/// `dreamserver proxy` before each of `endpoints`.
#[track_caller]
pub(crate) fn proxy_to(endpoints: &[&str]) -> Server {
    Server::start(
        &binary(),
        &[&["proxy", "--listen", "127.0.0.1:0"], endpoints].concat(),
    )
}

/// `dreamserver files` over `folder`.
#[track_caller]
pub(crate) fn files(folder: &Folder) -> Server {
    Server::start(
        &binary(),
        &["files", folder.text(), "--listen", "127.0.0.1:0"],
    )
}

/// A server with a configuration file.
#[track_caller]
pub(crate) fn configured(config: &str) -> Configured {
    let home = Folder::new("configured");
    home.write("dreamserver.toml", config);
    let arguments = ["--config", "dreamserver.toml", "--listen", "127.0.0.1:0"];
    let server = Server::start_in(&binary(), home.path(), &arguments);
    Configured {
        server,
        _home: home,
    }
}

/// A server, and the folder where its `dreamserver.toml` is, which lives as long.
pub(crate) struct Configured {
    pub(crate) server: Server,
    _home: Folder,
}

/// Runs the program until it ends by itself.
#[track_caller]
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Exit {
    Server::run(&binary(), folder, arguments)
}

/// A `GET` for `path` that keeps its connection.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A `GET` for `path` with more fields, each with its line end.
pub(crate) fn get_with(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

/// A `POST` of `body`, framed by its length.
pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// A configuration whose only site takes every host to `origin`, with more tables before it.
pub(crate) fn site_before(origin: &Origin, tables: &str) -> String {
    format!("{tables}\n[sites.\"*\"]\nproxy = \"{}\"\n", origin.url())
}
