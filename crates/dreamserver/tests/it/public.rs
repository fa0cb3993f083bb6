//! Certificates of a public authority, which here is Pebble: ordered for what is announced, shown, and redirected to.

use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime};

use dream_testkit::{
    Authority, Client, DEADLINE, Dns, Folder, KeyKind, Origin, Pebble, Security, eventually,
    free_port, respond,
};

use crate::announce::{Core, saying};
use crate::certs::write_ending;
use crate::peers::has;

/// A server that orders from an authority, at ports that the authority knows.
struct Town {
    core: Core,
    dns: Dns,
    pebble: Pebble,
    http: u16,
    https: u16,
    home: Folder,
}

/// Nothing where a program is missing, and may be.
fn town(sites: &str) -> Option<Town> {
    town_with(sites, Looks::Everywhere, &[], |_| {})
}

/// At which ports an authority looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looks {
    Everywhere,
    /// At that of TLS, and where it asks by HTTP nobody listens.
    AtTls,
}

/// The same with an authority that looks there and has these settings, and with more in the folder before the server starts.
fn town_with(
    sites: &str,
    looks: Looks,
    settings: &[(&str, &str)],
    furnish: impl FnOnce(&Folder),
) -> Option<Town> {
    if !has("sh", &["-c", "command -v pebble"]) || !has("curl", &["--version"]) {
        return None;
    }
    let (http, https, home) = (free_port(), free_port(), Folder::new("public"));
    let asked = match looks {
        Looks::Everywhere => http,
        Looks::AtTls => 1,
    };
    let dns = Dns::start();
    let pebble = Pebble::start(&dns, asked, https, settings);
    let config = format!(
        "listen = {{ addresses = '127.0.0.1:{http}', tls = '127.0.0.1:{https}' }}\n\
         [acme]\ndirectory = '{}'\nroot = '{}'\nresolver = '{}'\nhttp_port = {asked}\ntls_port = {https}\n{sites}",
        pebble.directory(),
        pebble.root().display(),
        dns.address(),
    );
    let file = home.write("dreamserver.toml", config);
    home.write("roots.pem", pebble.issuer());
    furnish(&home);
    let core = start(&home, file.to_str().unwrap());
    Some(Town {
        core,
        dns,
        pebble,
        http,
        https,
        home,
    })
}

fn start(home: &Folder, file: &str) -> Core {
    let arguments = ["--config", file, "--control", "127.0.0.1:0"];
    Core::run(home, &crate::start::binary(), &arguments)
}

impl Town {
    /// Asks as a browser that trusts the authority.
    fn curl(&self, url: &str, more: &[&str]) -> Output {
        let host = url
            .split(['/', ':'])
            .find(|part| part.contains('.'))
            .unwrap();
        let roots = self.home.join("roots.pem");
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "--http1.1",
            "--max-time",
            "40",
            "--noproxy",
            "*",
            "--cacert",
        ]);
        command.arg(&roots).args(more).arg(url);
        for port in [self.http, self.https] {
            command.args(["--resolve", &format!("{host}:{port}:127.0.0.1")]);
        }
        command.output().unwrap()
    }

    #[track_caller]
    fn text(&self, url: &str, more: &[&str]) -> String {
        let output = self.curl(url, more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{url}: {said}\n{}",
            self.core.server.messages()
        );
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn announce(&self, name: &str, origin: &Origin) {
        self.dns.point(name, "127.0.0.1");
        let port = origin.address().port();
        let reply = self.core.say(format!("add {name} {port}"));
        assert!(reply.starts_with("ok "), "{reply}");
    }
}

#[test]
fn the_first_request_after_an_announcement_has_a_valid_chain() {
    let Some(mut town) = town("") else { return };
    let origin = saying("hello");
    town.announce("shop.dream.net", &origin);
    let secure = format!("https://shop.dream.net:{}/", town.https);
    assert_eq!(town.text(&secure, &[]), "hello");
    // From the disk, and without the authority.
    let file = town.home.join("dreamserver.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let nowhere = text.replace(&town.pebble.directory(), "https://127.0.0.1:1/dir");
    town.home.write("dreamserver.toml", nowhere);
    town.core.server.signal(rustix::process::Signal::KILL);
    let Town { core, .. } = &mut town;
    assert!(core.server.wait(DEADLINE).is_some());
    town.core = start(&town.home, file.to_str().unwrap());
    assert_eq!(town.text(&secure, &[]), "hello");
}

#[test]
fn clients_are_sent_to_https_once_there_is_a_certificate() {
    let sites = "[sites.'one.dream.net']\nrespond = 'one'\n";
    let Some(town) = town(sites) else { return };
    town.dns.point("one.dream.net", "127.0.0.1");
    let origin = saying("hello");
    town.announce("shop.dream.net", &origin);
    let secure = format!("https://shop.dream.net:{}/", town.https);
    town.text(&secure, &[]);
    let plain = format!("http://shop.dream.net:{}", town.http);
    let told = |path: &str| {
        let told = "%{http_code} %{redirect_url}";
        town.text(&format!("{plain}{path}"), &["-o", "/dev/null", "-w", told])
    };
    assert_eq!(told("/a%20b?c=d"), format!("308 {secure}a%20b?c=d"));
    assert_eq!(told("/.well-known/acme-challenge/theirs"), "200 ");
    let body = town.text(&format!("{plain}/"), &["-L", "--data", "kept"]);
    assert_eq!(body, "hello");
}

#[test]
fn nothing_is_ordered_for_names_that_are_not_served_or_lead_elsewhere() {
    let Some(town) = town("") else { return };
    let origin = saying("hello");
    let stranger = format!("https://stranger.dream.net:{}/", town.https);
    assert!(!town.curl(&stranger, &[]).status.success());
    town.dns.point("lost.dream.net", "127.0.0.2");
    let reply = town
        .core
        .say(format!("add lost.dream.net {}", origin.address().port()));
    assert!(reply.starts_with("ok "), "{reply}");
    let lost = format!("https://lost.dream.net:{}/", town.https);
    assert!(!town.curl(&lost, &[]).status.success());
    let told = town
        .core
        .server
        .message(|line| line.contains("lost.dream.net"));
    assert!(told.contains("advice="), "{told}");
    eventually("what failed is remembered", || {
        town.home
            .join("state/acme/failures/lost.dream.net")
            .exists()
    });
    assert!(
        !town
            .home
            .join("state/acme/failures/stranger.dream.net")
            .exists()
    );
    // It is served in the clear all the same.
    let plain = format!("http://lost.dream.net:{}/", town.http);
    assert_eq!(town.text(&plain, &[]), "hello");
}

#[test]
fn below_an_announced_wildcard_there_are_the_names_that_its_program_knows() {
    let Some(town) = town("") else { return };
    let origin = Origin::each(|request| {
        let known = request
            .head
            .field("Host")
            .is_some_and(|host| host.starts_with("known."));
        respond(if known { 200 } else { 404 }, "text/plain", b"hello")
    });
    let port = origin.address().port();
    let reply = town.core.say(format!("add *.dream.net {port}"));
    assert!(reply.starts_with("ok "), "{reply}");
    let page = |name: &str| format!("https://{name}.dream.net:{}/", town.https);
    // Nobody is there to ask.
    assert!(!town.curl(&page("known"), &[]).status.success());
    let reply = town.core.say(format!("add *.dream.net {port} check=/"));
    assert!(reply.starts_with("ok "), "{reply}");
    assert_eq!(town.text(&page("known"), &[]), "hello");
    assert!(!town.curl(&page("stranger"), &[]).status.success());
    let reply = town.core.say("remove *.dream.net");
    assert!(reply.starts_with("ok "), "{reply}");
    assert!(!town.curl(&page("known.other"), &[]).status.success());
    assert_eq!(town.pebble.orders(), 1);
}

#[test]
fn where_nobody_can_ask_by_http_the_handshake_shows_it() {
    let Some(town) = town_with("", Looks::AtTls, &[], |_| {}) else {
        return;
    };
    let origin = saying("hello");
    town.announce("shop.dream.net", &origin);
    let secure = format!("https://shop.dream.net:{}/", town.https);
    assert_eq!(town.text(&secure, &[]), "hello");
    // The way is remembered with the certificate, and is tried first the next time.
    let kept = town.home.join("state/acme/certificates/shop.dream.net");
    let kept = std::fs::read_to_string(kept).unwrap();
    assert!(
        kept.lines().any(|line| line.ends_with("tls-alpn-01")),
        "{kept}"
    );
    // Nobody else is shown what the authority was.
    let looking = Security::trusting(&town.pebble.issuer(), "shop.dream.net");
    let refused =
        Client::connect(("127.0.0.1", town.https)).try_secured(&looking.offering(&["acme-tls/1"]));
    assert!(refused.is_err());
}

#[test]
fn a_certificate_is_renewed_while_clients_come_and_none_of_them_notices() {
    let (ca, name) = (Authority::new("before"), "shop.dream.net");
    let day = Duration::from_secs(86_400);
    let (from, until) = (SystemTime::now() - 80 * day, SystemTime::now() + 10 * day);
    let old = ca.issue_between(&[name], from, until);
    let kept = format!("{}{}", old.chain_pem(), old.key_pem());
    // The authority takes its time, so that clients come before the new one does.
    let slow = [("PEBBLE_VA_NOSLEEP", "0"), ("PEBBLE_VA_SLEEPTIME", "3")];
    let sites = format!("[sites.'{name}']\nrespond = 'hello'\n");
    let town = town_with(&sites, Looks::Everywhere, &slow, |home| {
        home.write(&format!("state/acme/certificates/{name}"), kept);
    });
    let Some(town) = town else { return };
    let roots = format!("{}{}", ca.pem(), town.pebble.issuer());
    let security = Security::trusting(&roots, name);
    let visit = || {
        let mut client = Client::secure(("127.0.0.1", town.https), &security);
        let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"));
        assert_eq!(answer.text(), "hello");
        client.agreed().peer_certificates().unwrap()[0].clone()
    };
    // What each client sees, until it has been shown something new.
    let watch = || {
        let (mut seen, end) = (vec![visit()], Instant::now() + Duration::from_secs(60));
        while seen.len() == 1 && Instant::now() < end {
            let leaf = visit();
            if !seen.contains(&leaf) {
                seen.push(leaf);
            }
        }
        // And on: nobody is shown the old one again.
        (0..50).for_each(|_| assert_eq!(visit(), *seen.last().unwrap()));
        seen
    };
    let seen: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(watch)).collect();
        clients.into_iter().map(|client| client.join()).collect()
    });
    let seen = seen
        .into_iter()
        .map(|seen| seen.unwrap_or_else(|_| panic!("{}", town.core.server.messages())))
        .collect::<Vec<_>>();
    for seen in &seen {
        assert_eq!(seen.len(), 2, "{}", town.core.server.messages());
        assert_eq!(seen[0], *old.leaf());
    }
    assert_eq!(town.pebble.orders(), 1);
}

/// What the server may hold beyond what it held.
const HELD: u64 = 16 << 20;

/// How many clients come for names that nobody here has, and how many at once.
const STRANGERS: usize = 10_000;
const AT_ONCE: usize = 4;

/// How many clients of a name that is served tell what one of them costs.
const KNOWN: u32 = 300;

/// How much slower the others are is not asked: on a busy machine that says more about the machine. What they are slowed down
/// by is the processor's time, and that is.
#[test]
fn ten_thousand_clients_for_unknown_names_cost_little_and_order_nothing() {
    let (ca, pair) = (Authority::new("Test CA"), Folder::new("pair"));
    ca.issue(KeyKind::Ecdsa, &["known.dream.net"])
        .write(pair.path(), "a");
    let site = format!(
        "[sites.'known.dream.net']\nrespond = 'known'\ntls = {{ cert = '{0}/a.pem', key = '{0}/a.key' }}\n",
        pair.text()
    );
    let Some(town) = town(&site) else { return };
    let (server, https) = (&town.core.server, town.https);
    let known = Security::new(&ca, "known.dream.net");
    let visit = || {
        let mut client = Client::secure(("127.0.0.1", https), &known);
        let answer = client.ask("GET / HTTP/1.1\r\nHost: known.dream.net\r\n\r\n");
        assert_eq!(answer.text(), "known");
    };
    visit();
    let begin = server.processor_time();
    (0..KNOWN).for_each(|_| visit());
    let of_known = (server.processor_time() - begin) / KNOWN;
    let (begin, held) = (server.processor_time(), server.rss());
    let mut visits = 0;
    std::thread::scope(|scope| {
        let knocking: Vec<_> = (0..AT_ONCE)
            .map(|part| scope.spawn(move || knock(https, part)))
            .collect();
        while !knocking.iter().all(|knocking| knocking.is_finished()) {
            visit();
            visits += 1;
        }
    });
    let all = server.processor_time() - begin;
    let of_stranger = all.saturating_sub(of_known * visits) / STRANGERS as u32;
    println!("{of_stranger:?} for a stranger, {of_known:?} for a client; {visits} came meanwhile");
    assert!(
        of_stranger < of_known / 2,
        "{of_stranger:?} for a stranger, {of_known:?} for a client"
    );
    let more = server.peak_rss().saturating_sub(held);
    assert!(more < HELD, "{more}");
    assert_eq!(town.pebble.orders(), 0);
    for kind in ["accounts", "orders", "failures", "certificates"] {
        let folder = town.home.join("state/acme").join(kind);
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "{kind}");
    }
}

/// Shakes hands as a part of the strangers, each for a name of its own, and is told each time that nobody has it.
fn knock(port: u16, part: usize) {
    let nobody = Security::new(&Authority::new("nobody"), "n00000.dream.net");
    let hello = crate::tls::hello(&nobody);
    let begins = |window: &[u8]| window == b"n00000";
    let at = hello.windows(6).position(begins).unwrap();
    for number in (part..STRANGERS).step_by(AT_ONCE) {
        let mut hello = hello.clone();
        hello[at..at + 6].copy_from_slice(format!("n{number:05}").as_bytes());
        let mut client = Client::connect(("127.0.0.1", port));
        client.send(&hello);
        assert_eq!(client.read_to_end(), UNRECOGNIZED_NAME);
    }
}

/// RFC 8446 §6.2: a fatal alert, `unrecognized_name`.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

#[test]
fn a_certificate_is_renewed_when_somebody_says_so_and_what_fails_is_told() {
    let Some(town) = town("") else { return };
    let origin = saying("hello");
    town.announce("shop.dream.net", &origin);
    let secure = format!("https://shop.dream.net:{}/", town.https);
    assert_eq!(town.text(&secure, &[]), "hello");
    let kept = town.home.join("state/acme/certificates/shop.dream.net");
    let before = std::fs::read(&kept).unwrap();
    let (code, said) = town.core.command(&["certs", "renew", "shop.dream.net"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.starts_with("shop.dream.net has a new certificate, until "),
        "{said}"
    );
    assert!(std::fs::read(&kept).unwrap() != before);
    assert_eq!(town.text(&secure, &[]), "hello");
    // Pebble says where its certificates come from.
    let (_, table) = town.core.command(&["certs"]);
    assert!(
        table.contains("Pebble") && table.contains("valid"),
        "{table}"
    );

    town.dns.point("shop.dream.net", "127.0.0.2");
    let (code, said) = town.core.command(&["certs", "renew", "shop.dream.net"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("shop.dream.net leads to 127.0.0.2") && said.contains("set the DNS"),
        "{said}"
    );
    let (_, status) = town.core.command(&["status"]);
    let warned = "warning: the certificate of shop.dream.net is not renewed, and ends on ";
    assert!(
        status.contains(warned) && status.contains("set the DNS"),
        "{status}"
    );
    let (_, table) = town.core.command(&["certs"]);
    assert!(
        table.contains("failing") && table.contains("  next step: set the DNS"),
        "{table}"
    );
    // The old one serves.
    assert_eq!(town.text(&secure, &[]), "hello");
}

#[test]
fn an_imported_certificate_that_ends_soon_is_followed_by_an_ordered_one() {
    let Some(town) = town("") else { return };
    let origin = saying("hello");
    let left = Duration::from_secs(2 * 24 * 3600);
    write_ending(&town.home, "old", "shop.dream.net", left);
    let file = |name: &str| town.home.join(name).display().to_string();
    let (cert, key) = (file("old.pem"), file("old.key"));
    let arguments = ["certs", "import", "--cert", &cert, "--key", &key];
    let (code, said) = town.core.command(&arguments);
    assert_eq!(code, Some(0), "{said}");
    let kept = town.home.join("state/acme/certificates/shop.dream.net");
    let is_ordered =
        || std::fs::read_to_string(&kept).is_ok_and(|text| text.starts_with("Directory: "));
    // Nothing is ordered for a name that is not served.
    assert!(kept.exists() && !is_ordered());
    town.announce("shop.dream.net", &origin);
    eventually("there is one of the authority", is_ordered);
    let secure = format!("https://shop.dream.net:{}/", town.https);
    // It is kept first, and shown then.
    eventually("it is shown", || town.curl(&secure, &[]).status.success());
    assert_eq!(town.text(&secure, &[]), "hello");
}
