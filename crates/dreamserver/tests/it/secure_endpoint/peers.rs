//! Secure servers that no one here wrote: nginx and OpenSSL's.

use dream_testkit::{Folder, Server, eventually, free_port, pattern};

use super::{Ca, Proxy};
use crate::peers::has;
use crate::start::get;

/// Starts a peer in `folder` and waits until it listens on `port`.
fn peer(folder: &Folder, port: u16, command: &str) -> Server {
    let script = format!("echo http://nowhere:1/ >&2; {command}");
    let peer = Server::start_in("/bin/sh", folder.path(), &["-c", &script]);
    eventually("the peer listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    peer
}

/// A folder with a CA, a leaf of it for `localhost` and one for us.
fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    let ca = Ca::new();
    folder.write("ca.pem", &ca.pem);
    ca.leaf(&["localhost"]).write(folder.path(), "leaf");
    ca.leaf(&["front.example"]).write(folder.path(), "own");
    folder
}

fn config(port: u16) -> String {
    format!(
        "[sites.\"*\"]\nproxy = \"https://localhost:{port}\"\n\
         proxy_tls = {{ ca = \"ca.pem\", cert = \"own.pem\", key = \"own.key\" }}\n"
    )
}

#[test]
fn nginx_that_demands_a_certificate() {
    if !has("nginx", &["-v"]) {
        return;
    }
    let folder = folder("nginx-tls");
    let mut big = vec![0; 3 << 20];
    pattern(11, &mut big);
    folder.write("www/big.bin", &big);
    let port = free_port();
    let text = folder.text();
    folder.write(
        "nginx.conf",
        format!(
            "pid {text}/pid;\nerror_log stderr;\nmaster_process off;\nevents {{}}\nhttp {{\n  access_log off;\n  \
             client_body_temp_path {text}/body;\n  proxy_temp_path {text}/proxy;\n  fastcgi_temp_path {text}/fastcgi;\n  \
             uwsgi_temp_path {text}/uwsgi;\n  scgi_temp_path {text}/scgi;\n  ssl_certificate {text}/leaf.pem;\n  \
             ssl_certificate_key {text}/leaf.key;\n  ssl_client_certificate {text}/ca.pem;\n  ssl_verify_client on;\n  \
             ssl_session_cache shared:s:1m;\n  server {{\n    listen 127.0.0.1:{port} ssl;\n    root {text}/www;\n    \
             location = /said {{ return 200 \"$host $ssl_client_verify $ssl_session_reused $http_x_forwarded_host\"; }}\n    \
             location = /last {{ keepalive_timeout 0; return 200 \"$ssl_session_reused\"; }}\n  }}\n}}\n"
        ),
    );
    let user = "chmod 755 . www; [ $(id -u) = 0 ] && set -- -g 'daemon off; user root;' || set -- -g 'daemon off;'";
    let command = format!("{user}; exec nginx -p {text} -c {text}/nginx.conf \"$@\"");
    let _nginx = peer(&folder, port, &command);
    let proxy = Proxy::start(folder, &config(port));
    let mut client = proxy.server.client();
    assert_eq!(
        client.ask(get("/said")).text(),
        "localhost SUCCESS . localhost"
    );
    assert!(
        client.ask(get("/big.bin")).body == big,
        "the download is not what was served"
    );
    // Each of these needs a connection of its own; the core has tickets from the first on.
    client.ask(get("/last"));
    client.ask(get("/last"));
    assert_eq!(client.ask(get("/last")).text(), "r");
}

#[test]
fn openssl_with_tls_1_2_and_1_3() {
    if !has("openssl", &["version"]) {
        return;
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let folder = folder("s_server");
        folder.write("page.txt", "from openssl");
        let port = free_port();
        let command = format!(
            "exec openssl s_server -accept 127.0.0.1:{port} -cert leaf.pem -key leaf.key -CAfile ca.pem -Verify 2 \
             -verify_return_error -WWW -quiet {version}"
        );
        let _openssl = peer(&folder, port, &command);
        let proxy = Proxy::start(folder, &config(port));
        for _ in 0..3 {
            let answer = proxy.server.client().ask(get("/page.txt"));
            assert_eq!(answer.text(), "from openssl", "{version}");
        }
    }
}
