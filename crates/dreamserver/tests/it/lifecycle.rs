//! The server as a process: how it starts, is told things by signals, holds its limits, and ends.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use dream_testkit::{
    Client, DEADLINE, Folder, Origin, ReadError, Server, Signal, eventually, free_port, poll_until,
    raise_descriptor_limit, respond,
};

use crate::start::{binary, configured, files, get, get_with, proxy, run, site_before};

/// An endpoint that answers each request after the test's word, or after [`DEADLINE`].
fn held_origin() -> (Origin, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::each(move |_| {
        let _ = released.lock().unwrap().recv_timeout(DEADLINE);
        respond(200, "text/plain", b"at last")
    });
    (origin, release)
}

#[test]
fn sigterm_lets_a_request_in_flight_end() {
    let (origin, release) = held_origin();
    let mut server = proxy(&origin);
    let mut client = server.client();
    client.send(get("/"));
    let mut idle = server.client();
    eventually("the request arrives", || origin.requests().len() == 1);
    server.signal(Signal::TERM);
    eventually("no new connections are taken", || refuses(&server));
    assert!(idle.closes_within(DEADLINE), "an idle connection is closed");
    assert!(server.is_running());
    release.send(()).unwrap();
    let answer = client.answer();
    assert_eq!(answer.text(), "at last");
    assert!(answer.says_close());
    let status = server
        .wait(DEADLINE)
        .expect("it ends after the last request");
    assert_eq!(status.code(), Some(0));
}

fn refuses(server: &Server) -> bool {
    match Client::try_connect(server.address()) {
        // Accepted by the kernel, for a listener that is being closed.
        Ok(mut client) => client.is_closed(),
        Err(_) => true,
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let (origin, _release) = held_origin();
    let mut server = proxy(&origin);
    let mut client = server.client();
    client.send(get("/"));
    eventually("the request arrives", || origin.requests().len() == 1);
    server.signal(Signal::TERM);
    eventually("no new connections are taken", || refuses(&server));
    assert!(server.is_running());
    server.signal(Signal::TERM);
    assert!(
        server.wait(Duration::from_secs(5)).is_some(),
        "it goes on after the second signal"
    );
}

#[test]
fn sigint_without_work_ends() {
    let folder = Folder::new("empty");
    let mut server = files(&folder);
    server.signal(Signal::INT);
    let status = server.wait(DEADLINE).expect("it ends");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn the_drain_has_an_end() {
    let (origin, _release) = held_origin();
    let mut server = configured(&site_before(&origin, "[timeouts]\ndrain = \"300ms\"\n"));
    let mut client = server.server.client();
    client.send(get("/"));
    eventually("the request arrives", || origin.requests().len() == 1);
    server.server.signal(Signal::TERM);
    assert!(server.server.wait(Duration::from_secs(10)).is_some());
}

#[test]
fn sigterm_under_load_loses_no_request_in_flight() {
    let origin = Origin::each(|request| {
        // An application that works for a moment.
        thread::sleep(Duration::from_millis(5));
        respond(200, "text/plain", request.target.as_bytes())
    });
    let mut server = proxy(&origin);
    let answered = Arc::new(Mutex::new(HashSet::new()));
    let clients: Vec<_> = (0..16)
        .map(|number| {
            let (address, answered) = (server.address(), Arc::clone(&answered));
            thread::spawn(move || load(number, address, &answered))
        })
        .collect();
    eventually("the load is on", || answered.lock().unwrap().len() > 100);
    server.signal(Signal::TERM);
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(server.wait(DEADLINE).expect("it ends").code(), Some(0));
    let answered = answered.lock().unwrap();
    for request in origin.requests() {
        assert!(
            answered.contains(&request.target),
            "{} reached the endpoint and got no answer",
            request.target
        );
    }
}

/// Asks until the server takes no more connections; remembers every target that was answered whole.
fn load(client: usize, address: std::net::SocketAddr, answered: &Mutex<HashSet<String>>) {
    let mut connection = None;
    for number in 0.. {
        let Some(mut open) = connection
            .take()
            .or_else(|| Client::try_connect(address).ok())
        else {
            return;
        };
        let target = format!("/{client}/{number}");
        if open.try_send(get(&target)).is_err() {
            continue;
        }
        match open.read_response("GET") {
            Ok(answer) => {
                assert_eq!((answer.status, answer.text()), (200, target.clone()));
                answered.lock().unwrap().insert(target);
                connection = (!answer.says_close()).then_some(open);
            }
            // Closed while idle, just before our request came: not in flight, if not one byte of an answer came.
            Err(ReadError::Closed(bytes)) => assert_eq!(bytes, b""),
            Err(ReadError::Reset) => {}
            Err(error) => panic!("{target}: {error}"),
        }
    }
}

#[test]
fn sighup_takes_a_new_configuration_and_refuses_a_bad_one() {
    let home = Folder::new("reload");
    home.write("one/index.html", "one");
    home.write("two/index.html", "two");
    let config = |folder: &str| format!("[sites.\"*\"]\nfiles = \"{}/{folder}\"\n", home.text());
    home.write("dreamserver.toml", config("one"));
    let arguments = ["--config", "dreamserver.toml", "--listen", "127.0.0.1:0"];
    let server = Server::start_in(&binary(), home.path(), &arguments);
    let mut kept = server.client();
    assert_eq!(kept.ask(get("/")).text(), "one");

    home.write("dreamserver.toml", "[sites.\"*\"]\nfils = \"x\"\n");
    server.signal(Signal::HUP);
    let said = server.message(|line| line.contains("fils"));
    assert!(!said.is_empty());
    assert_eq!(server.client().ask(get("/")).text(), "one");

    home.write("dreamserver.toml", config("two"));
    server.signal(Signal::HUP);
    eventually("the new configuration holds", || {
        server.client().ask(get("/")).text() == "two"
    });
    eventually("also on connections that were open", || {
        kept.ask(get("/")).text() == "two"
    });
}

#[test]
fn a_reload_under_load_loses_nothing() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let server = configured(&site_before(&origin, ""));
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, done) = (server.server.address(), Arc::clone(&done));
            thread::spawn(move || {
                let mut client = Client::connect(address);
                while !done.load(Ordering::SeqCst) {
                    assert_eq!(client.ask(get("/")).status, 200);
                }
            })
        })
        .collect();
    for number in 1..=5 {
        let before = origin.requests().len();
        server.server.signal(Signal::HUP);
        eventually("requests go on", || {
            origin.requests().len() > before + 100 * number
        });
    }
    done.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("no request is lost");
    }
}

#[test]
fn a_reload_moves_listeners_and_logs() {
    let home = Folder::new("moves");
    home.write("site/index.html", "here");
    let config = |ports: &str, log: &str| {
        let site = home.join("site");
        format!(
            "listen = [{ports}]\n[log]\naccess = \"{log}\"\n[sites.\"*\"]\nfiles = \"{}\"\n",
            site.display()
        )
    };
    home.write("dreamserver.toml", config("\"127.0.0.1:0\"", "stdout"));
    let server = Server::start_in(&binary(), home.path(), &["--config", "dreamserver.toml"]);
    let mut kept = server.client();
    assert_eq!(kept.ask(get("/first")).status, 404);
    server.log_line(|line| line.contains("path=/first"));

    let other = free_port();
    let file = home.join("access.log");
    let log = file.display().to_string();
    home.write(
        "dreamserver.toml",
        config(&format!("\"127.0.0.1:{other}\""), &log),
    );
    server.signal(Signal::HUP);
    eventually("the new listener answers", || {
        Client::try_connect(("127.0.0.1", other)).is_ok()
    });
    eventually("the old one is gone", || {
        Client::try_connect(server.address()).is_err()
    });
    assert_eq!(kept.ask(get("/second")).status, 404, "its connections stay");
    eventually("the new log has the line, the old one has not", || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains("path=/second"))
    });
    assert!(!server.log().contains("path=/second"));
}

#[test]
fn a_taken_port_is_explained() {
    let folder = Folder::new("taken");
    let server = files(&folder);
    let listen = format!("127.0.0.1:{}", server.port());
    let exit = run(folder.path(), &["files", ".", "--listen", &listen]);
    assert_ne!(exit.code, Some(0));
    let port = server.port().to_string();
    assert!(exit.stderr.contains(&port), "{exit}");
    assert!(
        exit.stderr.contains("--listen"),
        "what to type instead: {exit}"
    );
    assert!(exit.stderr.contains("dreamserver"), "who has it: {exit}");
    assert!(
        exit.stderr.contains(&server.id().to_string()),
        "which process has it: {exit}"
    );
    // The first goes on.
    assert_eq!(server.client().ask(get("/")).status, 404);
}

#[test]
fn without_its_folder_it_starts_and_says_what_to_do() {
    let home = Folder::new("fresh");
    let server = Server::start_in(&binary(), home.path(), &["--listen", "127.0.0.1:0"]);
    let page = server.client().ask(get_with("/", "Accept: text/html\r\n"));
    assert!(page.text().contains("staticfiles"), "{}", page.text());
    assert!(
        page.field("Content-Type")
            .unwrap_or_default()
            .starts_with("text/html")
    );
    home.write("staticfiles/index.html", "made");
    eventually("the folder is found once it is made", || {
        server.client().ask(get("/")).text() == "made"
    });
}

#[test]
fn in_a_folder_with_staticfiles_it_serves_them() {
    let home = Folder::new("zero");
    home.write("staticfiles/index.html", "zero configuration");
    let server = Server::start_in(&binary(), home.path(), &["--listen", "127.0.0.1:0"]);
    assert_eq!(server.client().ask(get("/")).text(), "zero configuration");
}

#[test]
fn unknown_hosts_get_404_once_a_site_is_configured() {
    let home = Folder::new("hosts");
    home.write("site/index.html", "a site");
    home.write("deep/index.html", "deeper");
    let config = format!(
        "[sites.\"example.com\"]\nfiles = \"{0}/site\"\n\n[[sites.\"example.com\".routes]]\npath = \"/v1/*\"\n\
         files = \"{0}/deep\"\nstrip = \"/v1\"\n\n[sites.\"*.example.org\"]\nfiles = \"{0}/deep\"\n",
        home.text()
    );
    let server = configured(&config).server;
    let ask = |host: &str, path: &str| {
        let answer = server
            .client()
            .ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        (answer.status, answer.text())
    };
    for host in [
        "example.com",
        "EXAMPLE.com",
        "example.com:8080",
        "example.com.",
    ] {
        assert_eq!(ask(host, "/"), (200, "a site".to_string()), "{host}");
    }
    assert_eq!(ask("a.example.org", "/").1, "deeper");
    assert_eq!(ask("example.com", "/v1/").1, "deeper");
    for host in ["example.net", "www.example.com", "127.0.0.1"] {
        assert_eq!(ask(host, "/").0, 404, "{host}");
    }
}

#[test]
fn a_bad_configuration_is_refused_with_all_its_errors() {
    let home = Folder::new("bad");
    home.write(
        "dreamserver.toml",
        "[sites.\"a\"]\nproxi = \"localhost:1\"\n\n[timeouts]\nhead = \"soon\"\n",
    );
    for arguments in [
        &["check", "--config", "dreamserver.toml"][..],
        &["--config", "dreamserver.toml"],
    ] {
        let exit = run(home.path(), arguments);
        assert_ne!(exit.code, Some(0), "{exit}");
        let said = format!("{}{}", exit.stdout, exit.stderr);
        assert!(
            said.contains("proxi") && said.contains("soon") && said.contains("dreamserver.toml"),
            "{exit}"
        );
    }
    home.write(
        "dreamserver.toml",
        "[sites.\"a\"]\nproxy = \"localhost:1\"\n",
    );
    let exit = run(home.path(), &["check", "--config", "dreamserver.toml"]);
    assert_eq!(exit.code, Some(0), "{exit}");
}

#[test]
fn five_thousand_connections_are_held() {
    let limit = raise_descriptor_limit();
    // Ours, and as many in the server, which keeps half of what it may open for the endpoints' side, and some for its cores.
    let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
    let count = 5000.min(limit.saturating_sub(300 + 192 * cores) / 2 - 10) as usize;
    let folder = Folder::new("many");
    folder.write("index.html", "held");
    let server = files(&folder);
    let mut clients: Vec<Client> = (0..count).map(|_| server.client()).collect();
    for round in 0..2 {
        for client in &mut clients {
            assert_eq!(client.ask(get("/")).text(), "held", "round {round}");
        }
    }
    println!("{count} connections held, {} MiB", server.rss() >> 20);
    drop(clients);
    eventually("they are let go", || server.descriptors() < 200);
}

#[test]
fn connections_have_a_limit() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let server = configured(&site_before(&origin, "[limits]\nconnections = 5\n")).server;
    let mut clients: Vec<Client> = (0..5).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(get("/")).status, 200);
    }
    let mut one_more = server.client();
    one_more.send(get("/"));
    one_more.set_patience(Duration::from_millis(500));
    match one_more.read_response("GET") {
        Ok(answer) => {
            assert_eq!(answer.status, 503);
            assert!(answer.head.has("Retry-After"));
        }
        Err(ReadError::TimedOut(_)) => {
            // Not accepted yet; it is served once another one goes.
            clients.pop();
            one_more.set_patience(DEADLINE);
            assert_eq!(one_more.answer().status, 200);
        }
        Err(error) => panic!("{error}"),
    }
    clients.clear();
    let served = poll_until(DEADLINE, || {
        let mut client = server.client();
        client.try_send(get("/")).ok()?;
        client
            .read_response("GET")
            .ok()
            .filter(|answer| answer.status == 200)
    });
    assert!(served.is_some(), "there is room again");
}

#[test]
fn loopback_has_no_limit_an_address() {
    let origin = Origin::answering(respond(200, "text/plain", b"ok"));
    let server = configured(&site_before(
        &origin,
        "[limits]\nconnections_per_address = 2\n",
    ))
    .server;
    let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(get("/")).status, 200);
    }
}

#[test]
fn it_knows_its_own_options() {
    let home = Folder::new("help");
    let help = run(home.path(), &["--help"]);
    assert_eq!(help.code, Some(0));
    assert!(
        help.stdout.contains("proxy") && help.stdout.contains("files"),
        "{help}"
    );
    let version = run(home.path(), &["--version"]);
    assert!(
        version.stdout.contains(env!("CARGO_PKG_VERSION")),
        "{version}"
    );
    assert_ne!(run(home.path(), &["--no-such-option"]).code, Some(0));
}
