//! Servers and a client that no one here wrote: nginx, Python's http.server, Node's http, a WebSocket server of the
//! Python package `websockets`, and curl.
//!
//! Where one is missing the test says so and leaves it out; in CI (`CI`, or `DREAM_PEERS=required`) it fails.
//! `DREAM_PYTHON` names the Python that has `websockets`.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

use dream_testkit::{Folder, Server, eventually};

use crate::compress::decode;
use crate::start::{files, get_with, proxy_to};

/// Whether `program` can be used; where it must be there and is not, the test fails.
pub(crate) fn has(program: &str, probe: &[&str]) -> bool {
    let found = Command::new(program)
        .args(probe)
        .output()
        .is_ok_and(|output| output.status.success());
    let required = env::var_os("CI").is_some()
        || env::var("DREAM_PEERS").is_ok_and(|value| value == "required");
    assert!(
        found || !required,
        "{program} {probe:?} is missing, and peers are required"
    );
    if !found {
        println!("LEFT OUT: {program} {probe:?} is missing");
    }
    found
}

fn curl(arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command
        .args(["-sS", "--http1.1", "--max-time", "20", "--noproxy", "*"])
        .args(arguments);
    command.output().expect("curl runs")
}

#[track_caller]
fn curl_text(arguments: &[&str]) -> String {
    let output = curl(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn url(server: &Server, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", server.port())
}

/// Starts a peer that says `http://127.0.0.1:PORT/` on its standard error.
fn peer(folder: &Path, script: &str) -> Server {
    Server::start_in("/bin/sh", folder, &["-c", script])
}

/// A download, a 404, a range, an upload and 20 requests on one connection, all by curl, through the proxy.
#[track_caller]
fn curl_drives(server: &Server, big: &[u8], folder: &Folder) {
    let saved = folder.join("saved.bin");
    curl_text(&[
        "-f",
        "-o",
        saved.to_str().unwrap(),
        &url(server, "/big.bin"),
    ]);
    assert!(
        std::fs::read(&saved).unwrap() == big,
        "the download is not what was served"
    );
    assert_eq!(
        curl_text(&[
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            &url(server, "/none")
        ]),
        "404"
    );
    let many: Vec<String> = (0..20).map(|_| url(server, "/hello.txt")).collect();
    let mut arguments = vec!["-f", "-w", "\n%{num_connects}\n"];
    arguments.extend(many.iter().map(String::as_str));
    let text = curl_text(&arguments);
    assert_eq!(text.matches("hello from a peer").count(), 20);
    assert_eq!(
        text.lines().filter(|line| *line == "1").count(),
        1,
        "curl needs one connection: {text}"
    );
}

fn content(folder: &Folder) -> Vec<u8> {
    let mut big = vec![0; 3 << 20];
    dream_testkit::pattern(11, &mut big);
    folder.write("www/big.bin", &big);
    folder.write("www/hello.txt", "hello from a peer");
    big
}

#[test]
fn nginx_behind_us() {
    if !has("nginx", &["-v"]) || !has("curl", &["--version"]) {
        return;
    }
    let folder = Folder::new("nginx");
    let big = content(&folder);
    let socket = folder.join("nginx.sock");
    let config = format!(
        "pid {0}/pid;\nerror_log stderr;\nmaster_process off;\nevents {{}}\nhttp {{\n  access_log off;\n  client_body_temp_path {0}/body;\n  \
         proxy_temp_path {0}/proxy;\n  fastcgi_temp_path {0}/fastcgi;\n  uwsgi_temp_path {0}/uwsgi;\n  scgi_temp_path {0}/scgi;\n  \
         server {{\n    listen unix:{1};\n    root {0}/www;\n    gzip on;\n    gzip_vary on;\n    gzip_proxied any;\n    gzip_types text/plain;\n    \
         default_type text/plain;\n    location = /echo-host {{ return 200 \"$host $http_x_forwarded_for\"; }}\n  }}\n}}\n",
        folder.text(),
        socket.display()
    );
    folder.write("nginx.conf", config);
    let user = "chmod 755 . www; [ $(id -u) = 0 ] && set -- -g 'daemon off; user root;' || set -- -g 'daemon off;'";
    let script = format!(
        "{user}; echo http://nowhere:1/ >&2; exec nginx -p {0} -c {0}/nginx.conf \"$@\"",
        folder.text()
    );
    let _nginx = peer(folder.path(), &script);
    eventually("nginx listens", || socket.exists());
    let server = proxy_to(&[&format!("unix:{}", socket.display())]);
    curl_drives(&server, &big, &folder);
    let part = curl_text(&["-f", "-r", "6-9", &url(&server, "/hello.txt")]);
    assert_eq!(part, "from");
    let said = curl_text(&[
        "-f",
        "-H",
        "Host: example.com",
        "-H",
        "X-Forwarded-For: 6.6.6.6",
        &url(&server, "/echo-host"),
    ]);
    assert_eq!(said, "example.com 127.0.0.1");
    let tag = curl_text(&["-fI", &url(&server, "/hello.txt")]);
    let tag = tag
        .lines()
        .find_map(|line| line.strip_prefix("ETag: "))
        .expect("nginx gives an ETag");
    let condition = format!("If-None-Match: {tag}");
    assert_eq!(
        curl_text(&[
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            &condition,
            &url(&server, "/hello.txt")
        ]),
        "304"
    );
    folder.write("www/long.txt", LONG.repeat(300));
    for accepted in ["gzip, br", "br, zstd;q=0.5", "identity"] {
        comes_coded_once(&server, accepted);
    }
}

const LONG: &str = "what becomes smaller, by whoever does it; ";

/// What nginx has compressed is passed on; what it cannot give is made of what it gives. Either is known again.
fn comes_coded_once(server: &Server, accepted: &str) {
    let asked = |fields: &str| {
        let request = get_with(
            "/long.txt",
            &format!("Accept-Encoding: {accepted}\r\n{fields}"),
        );
        server.client().ask(request)
    };
    let answer = asked("");
    let coding = answer.field("Content-Encoding");
    let expected = accepted.split([',', ';']).next();
    assert_eq!(coding.or(Some("identity")), expected);
    assert_eq!(answer.head.all("Vary"), ["Accept-Encoding"]);
    assert!(decode(coding, &answer.body) == LONG.repeat(300).as_bytes());
    let tag = answer.field("ETag").expect("nginx gives an ETag");
    let again = asked(&format!("If-None-Match: {tag}\r\n"));
    assert_eq!((again.status, again.body.len()), (304, 0), "{accepted}");
}

#[test]
fn pythons_http_server_behind_us() {
    if !has("python3", &["--version"]) || !has("curl", &["--version"]) {
        return;
    }
    let folder = Folder::new("python");
    let big = content(&folder);
    // It speaks HTTP/1.0 and closes after each answer.
    let python = peer(
        folder.path(),
        "exec python3 -u -m http.server 0 --bind 127.0.0.1 --directory www >&2",
    );
    let server = proxy_to(&[&format!("http://{}", python.address())]);
    curl_drives(&server, &big, &folder);
    // Python redirects folders to their slash with an absolute path.
    std::fs::create_dir(folder.join("www/folder")).unwrap();
    let target = curl_text(&[
        "-o",
        "/dev/null",
        "-w",
        "%{redirect_url}",
        &url(&server, "/folder"),
    ]);
    assert_eq!(target, url(&server, "/folder/"));
}

const NODE: &str = r#"
const http = require('http'), fs = require('fs'), crypto = require('crypto');
const server = http.createServer((request, response) => {
  if (request.method === 'POST') {
    const hash = crypto.createHash('md5');
    let size = 0;
    request.on('data', part => { hash.update(part); size += part.length; });
    request.on('end', () => response.end(`${size} ${hash.digest('hex')}`));
    return;
  }
  fs.readFile('www' + request.url, (error, bytes) => {
    response.writeHead(error ? 404 : 200, { 'Content-Type': 'application/octet-stream', 'Trailer': 'X-End' });
    response.addTrailers({ 'X-End': 'yes' });
    response.end(error ? 'none' : bytes);
  });
});
server.keepAliveTimeout = 1000;
server.listen(0, '127.0.0.1', () => console.error(`http://127.0.0.1:${server.address().port}/`));
"#;

#[test]
fn nodes_http_behind_us() {
    if !has("node", &["--version"]) || !has("curl", &["--version"]) {
        return;
    }
    let folder = Folder::new("node");
    let big = content(&folder);
    folder.write("server.js", NODE);
    let node = peer(folder.path(), "exec node server.js");
    let server = proxy_to(&[&format!("http://{}", node.address())]);
    curl_drives(&server, &big, &folder);
    let file = folder.join("www/big.bin");
    let upload = format!("@{}", file.display());
    let with_length = curl_text(&["-f", "--data-binary", &upload, &url(&server, "/up")]);
    let chunked = curl_text(&[
        "-f",
        "-H",
        "Transfer-Encoding: chunked",
        "--data-binary",
        &upload,
        &url(&server, "/up"),
    ]);
    let waiting = curl_text(&[
        "-f",
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        &upload,
        &url(&server, "/up"),
    ]);
    assert!(
        with_length.starts_with(&format!("{} ", big.len())),
        "{with_length}"
    );
    assert_eq!((&with_length, &with_length), (&chunked, &waiting));
}

#[test]
fn curl_reads_our_files() {
    if !has("curl", &["--version"]) {
        return;
    }
    let folder = Folder::new("curl");
    let big = content(&folder);
    let root = Folder::new("curl-root");
    root.write("big.bin", &big);
    root.write("hello.txt", "hello from a peer");
    let server = files(&root);
    curl_drives(&server, &big, &folder);
    // What was cut off goes on where it stopped.
    let saved = folder.write("part.bin", &big[..1 << 20]);
    curl_text(&[
        "-f",
        "-C",
        "-",
        "-o",
        saved.to_str().unwrap(),
        &url(&server, "/big.bin"),
    ]);
    assert!(std::fs::read(&saved).unwrap() == big);
    let when = curl_text(&[
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-z",
        saved.to_str().unwrap(),
        &url(&server, "/big.bin"),
    ]);
    assert_eq!(when, "304");
}

const WEBSOCKETS: &str = r#"
import asyncio, sys, websockets
async def talk(socket):
    async for message in socket:
        await socket.send(message)
async def main():
    async with websockets.serve(talk, '127.0.0.1', 0, max_size=2**24) as server:
        port = server.sockets[0].getsockname()[1]
        print(f'http://127.0.0.1:{port}/', file=sys.stderr, flush=True)
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
"#;

/// Sends messages to where its argument leads, and wants each back.
pub(crate) const WEBSOCKET_CLIENT: &str = r#"
import asyncio, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1], max_size=2**24, proxy=None) as socket:
        for message in ['hello', 'x' * 100000, b'\x00\xff' * 1000000, '']:
            await socket.send(message)
            assert await socket.recv() == message
        pong = await socket.ping()
        await asyncio.wait_for(pong, 10)
    print('closed', socket.close_code)
asyncio.run(main())
"#;

#[test]
fn a_websocket_server_behind_us() {
    let python = websockets_python();
    if !has(&python, &["-c", "import websockets.asyncio.client"]) {
        return;
    }
    let folder = Folder::new("websockets");
    folder.write("server.py", WEBSOCKETS);
    folder.write("client.py", WEBSOCKET_CLIENT);
    let peer = peer(folder.path(), &format!("exec {python} server.py"));
    let server = proxy_to(&[&format!("http://{}", peer.address())]);
    let target = format!("ws://127.0.0.1:{}/chat", server.port());
    let client = folder.join("client.py");
    let output = Command::new(&python)
        .arg(client)
        .arg(target)
        .output()
        .expect("the client runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "closed 1000",
        "{said}"
    );
}

/// A Python that has `websockets`, where it is there.
pub(crate) fn websockets_python() -> String {
    env::var("DREAM_PYTHON").unwrap_or_else(|_| "python3".to_string())
}
