//! Compression over the wire: what is made smaller, for whom, and what must stay as it is.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use dream_testkit::{Body, Client, DEADLINE, Folder, Origin, Response, pattern, respond};

use crate::start::{binary, configured, files, get, get_with, proxy};

/// What a browser says.
const BROWSER: &str = "Accept-Encoding: gzip, deflate, br, zstd\r\n";

/// Text that is worth it, of about `size` bytes.
fn text(size: usize) -> String {
    let mut text = String::with_capacity(size + 64);
    for number in 0.. {
        if text.len() >= size {
            break;
        }
        text += &format!(
            "{{\"id\":{number},\"name\":\"somebody {}\"}},",
            number * 7919 % 1000
        );
    }
    text
}

/// The body as the client understands it.
#[track_caller]
fn decoded(response: &Response) -> Vec<u8> {
    decode(response.field("Content-Encoding"), &response.body)
}

/// The content of what came in this coding.
#[track_caller]
pub(crate) fn decode(coding: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = match coding {
        None => return body.to_vec(),
        Some("gzip") => flate2::read::GzDecoder::new(body).read_to_end(&mut plain),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_end(&mut plain),
        Some("zstd") => zstd::Decoder::new(body).unwrap().read_to_end(&mut plain),
        Some(other) => panic!("{other} is no coding of ours"),
    };
    read.unwrap();
    plain
}

/// What a client with these fields gets of this answer of an endpoint.
#[track_caller]
fn through(answer: impl AsRef<[u8]>, fields: &str) -> Response {
    let origin = Origin::answering(answer);
    proxy(&origin).client().ask(get_with("/", fields))
}

/// A response with a length, and more fields.
fn answer(status: u16, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{fields}\r\n{body}")
}

#[test]
fn each_coding_comes_through_as_it_was() {
    let page = text(100_000);
    let root = Folder::new("compress");
    root.write("small.json", &page[..20_000]);
    root.write("large.json", &page);
    let origin = Origin::answering(respond(200, "application/json", page.as_bytes()));
    let (files, proxy) = (files(&root), proxy(&origin));
    for coding in ["gzip", "br", "zstd"] {
        let fields = format!("Accept-Encoding: {coding}\r\n");
        for (server, path, expected) in [
            (&proxy, "/", page.as_str()),
            (&files, "/small.json", &page[..20_000]),
            (&files, "/large.json", page.as_str()),
        ] {
            let got = server.client().ask(get_with(path, &fields));
            assert_eq!(got.field("Content-Encoding"), Some(coding), "{path}");
            assert_eq!(got.field("Vary"), Some("Accept-Encoding"));
            assert_eq!(got.field("Content-Type"), Some("application/json"));
            assert!(got.body.len() < expected.len() / 3, "{}", got.body.len());
            assert!(decoded(&got) == expected.as_bytes(), "{path} by {coding}");
        }
    }
}

#[test]
fn the_clients_word_counts_and_then_ours() {
    let page = answer(200, "Content-Type: text/html\r\n", &text(2000));
    for (accepts, expected) in [
        ("Accept-Encoding: gzip, deflate, br, zstd\r\n", Some("zstd")),
        ("Accept-Encoding: gzip, br\r\n", Some("br")),
        ("Accept-Encoding: gzip, br;q=0.5\r\n", Some("gzip")),
        ("Accept-Encoding: x-gzip\r\n", Some("gzip")),
        ("Accept-Encoding: gzip;q=0\r\n", None),
        ("Accept-Encoding: identity, gzip;q=0.5\r\n", None),
        ("Accept-Encoding: deflate\r\n", None),
        ("Accept-Encoding:\r\n", None),
        ("", None),
    ] {
        let got = through(&page, accepts);
        assert_eq!(got.field("Content-Encoding"), expected, "{accepts}");
        // Caches have to know also where nothing was compressed.
        assert_eq!(got.field("Vary"), Some("Accept-Encoding"), "{accepts}");
        assert_eq!(decoded(&got), text(2000).as_bytes());
    }
}

#[test]
fn some_things_stay_as_they_are() {
    let page = text(2000);
    for fields in [
        "Content-Type: image/png\r\n",
        "Content-Type: application/octet-stream\r\n",
        "",
        "Content-Type: text/plain\r\nContent-Encoding: deflate\r\n",
        "Content-Type: text/plain\r\nContent-Encoding: identity\r\n",
        "Content-Type: text/plain\r\nCache-Control: public, no-transform\r\n",
        "Content-Type: text/plain\r\nContent-Range: bytes 0-1/5\r\n",
        "Content-Type: text/plain\r\nContent-Digest: sha-256=:AA==:\r\n",
    ] {
        let fields = format!("{fields}ETag: \"one\"\r\n");
        let got = through(answer(200, &fields, &page), BROWSER);
        assert_eq!(got.text(), page, "{fields}");
        assert_eq!(got.field("ETag"), Some("\"one\""), "{fields}");
        // A digest is looked for only where a coding is wanted, and then caches hear so.
        let vary = fields.contains("Digest").then_some("Accept-Encoding");
        assert_eq!(got.field("Vary"), vary, "{fields}");
        assert_eq!(got.framing, Body::Length(page.len() as u64), "{fields}");
    }
    let part = "Content-Type: text/plain\r\nContent-Range: bytes 0-1999/9999\r\n";
    assert_eq!(through(answer(206, part, &page), BROWSER).text(), page);
    let short = answer(200, "Content-Type: text/plain\r\n", &page[..511]);
    assert_eq!(through(short, BROWSER).field("Content-Encoding"), None);
    let enough = answer(200, "Content-Type: text/plain\r\n", &page[..512]);
    let got = through(enough, BROWSER);
    assert_eq!(got.field("Content-Encoding"), Some("zstd"));
}

#[test]
fn a_request_body_is_nobodys_to_change() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let server = proxy(&origin);
    let request = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\
                   Accept-Encoding: gzip\r\n\r\nnope";
    assert_eq!(server.client().ask(request).status, 200);
    let got = origin.last();
    assert_eq!(got.field("Content-Encoding"), Some("gzip"));
    assert_eq!(got.field("Accept-Encoding"), Some("gzip"));
    assert_eq!(got.body, b"nope");
}

#[test]
fn tags_become_weak_and_conditions_hold() {
    let page = text(2000);
    let fields = "Content-Type: text/plain\r\nETag: \"one\"\r\nAccept-Ranges: bytes\r\n";
    let origin = Origin::answering(answer(200, fields, &page));
    let server = proxy(&origin);
    let got = server.client().ask(get_with("/", BROWSER));
    assert_eq!(got.field("ETag"), Some("W/\"one\""));
    assert_eq!(got.field("Accept-Ranges"), None);
    // This endpoint knows nothing of conditions, and yet the tag that was made here holds.
    for (named, status) in [
        ("W/\"one\"", 304),
        ("\"zero\", W/\"one\"", 304),
        ("\"one\"", 200),
        ("W/\"two\"", 200),
    ] {
        let got = server.client().ask(get_with(
            "/",
            &format!("{BROWSER}If-None-Match: {named}\r\n"),
        ));
        assert_eq!(got.status, status, "{named}");
        assert_eq!(got.field("ETag"), Some("W/\"one\""));
        assert_eq!(got.field("Vary"), Some("Accept-Encoding"));
        assert_eq!(got.body.is_empty(), status == 304);
    }
    // And where strong tags are compared, the endpoint gets its own back.
    let lock = format!("{BROWSER}If-Match: \"aW/\", W/\"one\"\r\n");
    server.client().ask(get_with("/", &lock));
    assert_eq!(origin.last().field("If-Match"), Some("\"aW/\", \"one\""));
}

#[test]
fn a_file_that_the_client_has_is_304_whichever_way_it_came() {
    let root = Folder::new("compress");
    root.write("page.html", text(5000));
    let server = files(&root);
    let plain = server.client().ask(get("/page.html"));
    let strong = plain.field("ETag").unwrap().to_owned();
    assert!(strong.starts_with('"'));
    assert_eq!(plain.field("Vary"), Some("Accept-Encoding"));
    let coded = server.client().ask(get_with("/page.html", BROWSER));
    assert_eq!(coded.field("ETag"), Some(format!("W/{strong}").as_str()));
    for tag in [strong.clone(), format!("W/{strong}")] {
        let fields = format!("{BROWSER}If-None-Match: {tag}\r\n");
        let got = server.client().ask(get_with("/page.html", &fields));
        assert_eq!((got.status, got.field("ETag")), (304, Some(tag.as_str())));
        assert!(got.body.is_empty());
    }
    let part = format!("{BROWSER}Range: bytes=0-9\r\n");
    let got = server.client().ask(get_with("/page.html", &part));
    assert_eq!((got.status, got.text()), (206, text(5000)[..10].to_owned()));
    assert_eq!(got.field("Content-Encoding"), None);
    assert_eq!(got.field("ETag"), Some(strong.as_str()));
}

#[test]
fn head_says_what_get_would() {
    let root = Folder::new("compress");
    root.write("page.html", text(5000));
    root.write("short.html", "short");
    let server = files(&root);
    for path in ["/page.html", "/short.html"] {
        for fields in [BROWSER, "Accept-Encoding: gzip\r\n", ""] {
            let get = server.client().ask(get_with(path, fields));
            let mut client = server.client();
            client.send(get_with(path, fields).replacen("GET", "HEAD", 1));
            let head = client.answer_to("HEAD");
            assert_eq!(head.status, get.status);
            for name in [
                "Content-Encoding",
                "Content-Type",
                "Vary",
                "ETag",
                "Accept-Ranges",
                "Content-Length",
                "Transfer-Encoding",
            ] {
                assert_eq!(head.field(name), get.field(name), "{name} of {path}");
            }
        }
    }
}

#[test]
fn where_nothing_fits_the_answer_is_406() {
    let page = answer(200, "Content-Type: text/plain\r\n", &text(2000));
    for (accepts, status, coding) in [
        ("identity;q=0", 406, None),
        ("compress, *;q=0", 406, None),
        ("*;q=0, gzip;q=0.1", 200, Some("gzip")),
        ("identity;q=0, br", 200, Some("br")),
    ] {
        let got = through(&page, &format!("Accept-Encoding: {accepts}\r\n"));
        assert_eq!(
            (got.status, got.field("Content-Encoding")),
            (status, coding),
            "{accepts}"
        );
    }
    // Who refuses what is there as it is gets it coded, whatever it is and however short.
    let image = answer(200, "Content-Type: image/png\r\n", "pixels");
    let got = through(&image, "Accept-Encoding: identity;q=0, gzip\r\n");
    assert_eq!(decoded(&got), b"pixels");
    assert_eq!(got.field("Content-Encoding"), Some("gzip"));
    // What was done was done.
    let origin = Origin::answering(&page);
    let request = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAccept-Encoding: identity;q=0\r\n\r\n";
    assert_eq!(proxy(&origin).client().ask(request).status, 200);
}

#[test]
fn a_route_says_whether_and_how() {
    let page = text(2000);
    let origin = Origin::answering(respond(200, "text/plain", page.as_bytes()));
    let url = origin.url();
    let config = format!(
        "[sites.\"*\"]\nproxy = \"{url}\"\ncompress = {{ codings = [\"gzip\", \"br\"], min_size = 1000 }}\n\
         [[sites.\"*\".routes]]\npath = \"/secret/*\"\nproxy = \"{url}\"\ncompress = false\n\
         [[sites.\"*\".routes]]\npath = \"/far\"\nproxy = \"{url}\"\ncompress = {{ min_size = \"1 MB\" }}\n"
    );
    let configured = configured(&config);
    let ask = |path: &str| configured.server.client().ask(get_with(path, BROWSER));
    assert_eq!(ask("/").field("Content-Encoding"), Some("gzip"));
    for path in ["/secret/page", "/far"] {
        let got = ask(path);
        assert_eq!(
            (got.field("Content-Encoding"), got.field("Vary")),
            (None, None)
        );
        assert_eq!(got.text(), page);
    }
}

#[test]
fn a_body_without_a_length_and_its_trailers_come_through() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunk in [1, 7, 1000, 4096, 70_000] {
        let page = text(100_000);
        let mut raw = head.as_bytes().to_vec();
        for piece in page.as_bytes().chunks(chunk) {
            raw.extend(format!("{:x}\r\n", piece.len()).bytes());
            raw.extend(piece);
            raw.extend(b"\r\n");
        }
        raw.extend(b"0\r\nX-Sum: 1\r\n\r\n");
        for coding in ["gzip", "br", "zstd"] {
            let fields = format!("TE: trailers\r\nAccept-Encoding: {coding}\r\n");
            let got = through(&raw, &fields);
            assert!(decoded(&got) == page.as_bytes(), "{coding} in {chunk}");
            assert_eq!(got.framing, Body::Chunked);
            assert_eq!(got.trailers, [("X-Sum".to_owned(), "1".to_owned())]);
        }
    }
}

/// Reads an event stream that arrives in chunks.
struct Events<'a> {
    client: &'a mut Client,
    raw: Vec<u8>,
}

impl Events<'_> {
    /// What of the coded body has come.
    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut rest = &self.raw[..];
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let size = std::str::from_utf8(&rest[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            let Some(chunk) = rest.get(end + 2..end + 2 + size) else {
                break;
            };
            body.extend(chunk);
            rest = rest.get(end + 4 + size..).unwrap_or_default();
        }
        body
    }

    /// Waits until `event` can be decoded from what has come.
    fn wait_for(&mut self, coding: &str, event: &str) {
        while !String::from_utf8_lossy(&readable(coding, &self.body())).contains(event) {
            let more = self.client.read_some(1);
            self.raw
                .extend(more.expect("the event comes before the next"));
        }
    }
}

/// What can be read of the beginning of a coded body.
fn readable(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut decoder: Box<dyn Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(body)),
        "br" => Box::new(brotli::Decompressor::new(body, 4096)),
        _ => Box::new(zstd::Decoder::new(body).unwrap()),
    };
    let mut byte = [0; 1];
    while let Ok(1) = decoder.read(&mut byte) {
        plain.push(byte[0]);
    }
    plain
}

#[test]
fn each_event_arrives_when_it_is_sent() {
    for coding in ["gzip", "br", "zstd"] {
        let origin = Origin::start(|connection| {
            connection.read_head();
            connection.write(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            );
            for number in 0..20 {
                let event = format!("data: event number {number}\n\n");
                connection.write(format!("{:x}\r\n{event}\r\n", event.len()));
                // The client says that it has read it, by the only way that it has here: nothing more comes before.
                connection.read_some(1);
            }
            connection.write("0\r\n\r\n");
        });
        // The endpoint waits for a byte of the request's body after each event.
        let server = proxy(&origin);
        let mut client = server.client();
        client.set_patience(DEADLINE);
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\nContent-Length: 20\r\n\r\n"
        ));
        let head = client.read_head().unwrap();
        assert_eq!(head.field("Content-Encoding"), Some(coding));
        let mut events = Events {
            client: &mut client,
            raw: Vec::new(),
        };
        for number in 0..20 {
            events.wait_for(coding, &format!("event number {number}\n\n"));
            events.client.send("x");
        }
    }
}

#[test]
fn a_body_that_breaks_off_never_looks_whole() {
    let page = text(50_000);
    let origin = Origin::start(move |connection| {
        connection.read_request();
        connection.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            page.len() + 1
        ));
        connection.write(&page);
    });
    let server = proxy(&origin);
    let mut client = server.client();
    client.send(get_with("/", BROWSER));
    assert!(client.read_response("GET").is_err());
}

#[test]
fn slow_clients_hold_little_and_the_budget_is_kept() {
    let mut page = vec![0; 4 * 1024 * 1024];
    pattern(0, &mut page);
    let root = Folder::new("compress");
    root.write("random.json", &page);
    let server = files(&root);
    let mut clients: Vec<Client> = (0..400)
        .map(|_| {
            let mut client = Client::connect_narrow(server.address());
            client.send(get_with("/random.json", BROWSER));
            client
        })
        .collect();
    let mut coded = 0;
    for client in &mut clients {
        let head = client.read_head().unwrap();
        coded += usize::from(head.has("Content-Encoding"));
    }
    let held = server.rss() / 1024 / 1024;
    println!("400 slow clients, {coded} of them coded: {held} MiB");
    assert!(coded > 50, "{coded}");
    assert!(held < 500, "{held} MiB for {coded} encoders");
    // Those that go make room.
    drop(clients);
    dream_testkit::eventually("there is room again", || {
        let mut client = server.client();
        client.send(get_with("/random.json", BROWSER));
        client.read_head().unwrap().has("Content-Encoding")
    });
}

/// Real decoders, not those of the libraries that encode.
#[test]
fn programs_that_people_use_understand_it() {
    let page = text(60_000);
    let root = Folder::new("compress");
    root.write("page.json", &page);
    let server = files(&root);
    for (coding, program, arguments) in [
        ("gzip", "gzip", &["-dc"][..]),
        ("br", "brotli", &["-dc"]),
        ("zstd", "zstd", &["-dc"]),
    ] {
        let fields = format!("Accept-Encoding: {coding}\r\n");
        let got = server.client().ask(get_with("/page.json", &fields));
        assert_eq!(got.field("Content-Encoding"), Some(coding));
        assert!(
            piped(program, arguments, &got.body) == page.as_bytes(),
            "{program}"
        );
    }
    let url = format!("http://{}/page.json", server.address());
    let curl = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--compressed", &url])
        .output()
        .unwrap();
    assert!(curl.stdout == page.as_bytes(), "{curl:?}");
}

fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::process::{Command, Stdio};
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("scripts/test installs {program}: {error}"));
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output.stdout
}

/// Waits until the file was compressed beside the cores: then it has a length.
#[track_caller]
fn when_kept(server: &dream_testkit::Server, path: &str, coding: &str) -> Response {
    let mut kept = None;
    dream_testkit::eventually("the file is kept compressed", || {
        let fields = format!("Accept-Encoding: {coding}\r\n");
        let got = server.client().ask(get_with(path, &fields));
        assert_eq!(got.field("Content-Encoding"), Some(coding));
        let is_kept = matches!(got.framing, Body::Length(_));
        kept = Some(got);
        is_kept
    });
    kept.unwrap()
}

/// Writes a file as if it had been there for an hour.
fn write_old(root: &Folder, name: &str, content: &[u8], age: u64) {
    let path = root.write(name, content);
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
    std::fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(then)
        .unwrap();
}

#[test]
fn a_neighbour_is_taken_for_its_file() {
    let root = Folder::new("compress");
    write_old(&root, "app.js", text(3000).as_bytes(), 100);
    write_old(&root, "app.js.br", b"brotli, by its word", 50);
    write_old(&root, "app.js.gz", b"gzip, by its word", 50);
    write_old(&root, "stale.js", text(3000).as_bytes(), 50);
    write_old(&root, "stale.js.gz", b"of something else", 100);
    write_old(&root, "tiny.css", b"a{}", 100);
    write_old(&root, "tiny.css.gz", b"gzip of tiny", 100);
    write_old(&root, "sub/index.html", text(600).as_bytes(), 100);
    write_old(&root, "sub/index.html.zst", b"zstd of a page", 100);
    write_old(&root, "photo.png", &[1; 3000], 100);
    write_old(&root, "photo.png.gz", b"nobody wants it", 100);
    let server = files(&root);
    for round in 0..3 {
        let got = server.client().ask(get_with("/app.js", BROWSER));
        // zstd would have to be made; of what is wanted as much, what is there already.
        assert_eq!(got.text(), "brotli, by its word", "{round}");
        assert_eq!(got.field("Content-Encoding"), Some("br"));
        assert_eq!(
            got.field("Content-Type"),
            Some("text/javascript; charset=utf-8")
        );
        assert_eq!(got.field("Vary"), Some("Accept-Encoding"));
        let tag = got.field("ETag").unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.ends_with("-br\""), "{tag}");
        let known = format!("{BROWSER}If-None-Match: {tag}\r\n");
        let got = server.client().ask(get_with("/app.js", &known));
        assert_eq!((got.status, got.field("ETag")), (304, Some(tag.as_str())));
        assert_eq!(got.field("Vary"), Some("Accept-Encoding"));
    }
    let gzip = "Accept-Encoding: br;q=0.9, gzip\r\n";
    let got = server.client().ask(get_with("/app.js", gzip));
    assert_eq!(got.text(), "gzip, by its word");
    let got = server.client().ask(get_with("/tiny.css", BROWSER));
    assert_eq!(got.text(), "gzip of tiny");
    let got = server.client().ask(get_with("/sub/", BROWSER));
    assert_eq!(got.text(), "zstd of a page");
    let got = server.client().ask(get_with("/photo.png", BROWSER));
    assert_eq!((got.body.len(), got.field("Vary")), (3000, None));
    let got = server.client().ask(get_with("/stale.js", gzip));
    assert_eq!(got.field("Content-Encoding"), Some("gzip"));
    assert_eq!(decoded(&got), text(3000).as_bytes());
    // Without the field, and for a part, it is the file.
    assert_eq!(server.client().ask(get("/app.js")).text(), text(3000));
    let part = format!("{BROWSER}Range: bytes=0-3\r\n");
    let got = server.client().ask(get_with("/app.js", &part));
    assert_eq!((got.status, got.text()), (206, text(4)[..4].to_owned()));
    // By its own name it is what it is.
    let got = server.client().ask(get_with("/app.js.br", BROWSER));
    assert_eq!(got.field("Content-Encoding"), None);
}

/// Real text: of what repeats itself too much, more effort does not always make less.
fn prose(size: usize) -> Vec<u8> {
    let guide = include_bytes!("../../../../docs/guide.md");
    guide.iter().copied().cycle().take(size).collect()
}

#[test]
fn a_file_is_compressed_once_and_kept() {
    let root = Folder::new("compress");
    // One that a core keeps in memory, and one that it does not.
    let sizes = [("/small.json", 20_000), ("/large.json", 90_000)];
    for (path, size) in sizes {
        write_old(&root, &path[1..], &prose(size), 100);
    }
    let server = files(&root);
    for (path, size) in sizes {
        for coding in ["gzip", "br", "zstd"] {
            let fields = format!("Accept-Encoding: {coding}\r\n");
            let first = server.client().ask(get_with(path, &fields));
            let kept = when_kept(&server, path, coding);
            assert!(decoded(&kept) == prose(size), "{path} {coding}");
            assert!(kept.body.len() < first.body.len(), "{path} {coding}");
            for name in ["ETag", "Vary", "Content-Type", "Last-Modified"] {
                assert_eq!(kept.field(name), first.field(name), "{name}");
            }
            let known = format!("{fields}If-None-Match: {}\r\n", kept.field("ETag").unwrap());
            let got = server.client().ask(get_with(path, &known));
            assert_eq!((got.status, got.field("ETag")), (304, kept.field("ETag")));
            let head = server
                .client()
                .ask(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
            assert_eq!(head.field("Content-Encoding"), Some(coding));
            assert_eq!(head.field("Content-Length"), kept.field("Content-Length"));
        }
    }
    // A change is seen, and what was kept of the file before is nobody's any more.
    root.write("small.json", &prose(30_000)[10_000..]);
    dream_testkit::eventually("the new file is served", || {
        let got = server.client().ask(get_with("/small.json", BROWSER));
        decoded(&got) == prose(30_000)[10_000..]
    });
}

#[test]
fn a_restart_finds_what_was_compressed_before() {
    let home = Folder::new("compress");
    write_old(&home, "staticfiles/app.js", &prose(40_000), 100);
    let start = || {
        let places = ["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
        let arguments = [&places[..], &["--state", "state"]].concat();
        dream_testkit::Server::start_in(&binary(), home.path(), &arguments)
    };
    let folder = home.join("state/compressed");
    let before = when_kept(&start(), "/app.js", "br");
    let entries = || std::fs::read_dir(&folder).unwrap();
    let path = entries().next().unwrap().unwrap().path();
    let made = std::fs::metadata(&path).unwrap();
    assert_eq!(made.permissions().mode() & 0o777, 0o600);
    let after = when_kept(&start(), "/app.js", "br");
    assert!(after.body == before.body);
    let found = std::fs::metadata(&path).unwrap();
    assert_eq!((entries().count(), made.ino()), (1, found.ino()));
    // What was damaged meanwhile is not sent, but made again.
    std::fs::write(&path, b"something else").unwrap();
    let again = when_kept(&start(), "/app.js", "br");
    assert!(again.body == before.body);
    assert!(std::fs::metadata(&path).unwrap().len() > 1000);
}
