//! Caddy as an authority: another ACME server than Pebble, by other people.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use crate::folder::Folder;
use crate::pebble::{Process, until_open};
use crate::server::free_port;
use crate::wait::eventually;

/// An ACME server; killed when dropped.
#[derive(Debug)]
pub struct Caddy {
    _process: Process,
    port: u16,
    folder: Folder,
}

impl Caddy {
    /// Starts `caddy`, whose http-01 knows port 80 only, and finds names as the system does.
    #[track_caller]
    pub fn start() -> Caddy {
        let (folder, port, unused) = (Folder::new("caddy"), free_port(), free_port());
        let config = folder.write("Caddyfile", caddyfile(folder.text(), port, unused));
        let process = Process::start(
            Command::new("caddy")
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(config)
                .env("HOME", folder.path())
                .env("XDG_DATA_HOME", folder.path())
                .env("XDG_CONFIG_HOME", folder.path())
                .current_dir(folder.path()),
        );
        until_open(port);
        let caddy = Caddy {
            _process: process,
            port,
            folder,
        };
        eventually("Caddy has its root", || caddy.root().exists());
        caddy
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!(
            "https://{}:{}/acme/local/directory",
            Ipv4Addr::LOCALHOST,
            self.port
        )
    }

    /// What its own HTTPS is to be trusted by, and the certificates that it gives.
    pub fn root(&self) -> PathBuf {
        self.folder.join("store/pki/authorities/local/root.crt")
    }
}

fn caddyfile(folder: &str, port: u16, unused: u16) -> String {
    format!(
        "{{
            admin off
            storage file_system {folder}/store
            skip_install_trust
            auto_https disable_redirects
            local_certs
            http_port {unused}
            https_port {port}
            default_sni 127.0.0.1
        }}
        https://127.0.0.1:{port} {{
            bind 127.0.0.1
            acme_server
        }}"
    )
}
