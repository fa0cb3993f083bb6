//! Certificates of a public authority, which here is Pebble: ordered for what is announced, shown, and redirected to.

use std::process::{Command, Output};

use dream_testkit::{DEADLINE, Dns, Folder, Origin, Pebble, eventually, free_port};

use crate::announce::{Core, saying};
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
    if !has("sh", &["-c", "command -v pebble"]) || !has("curl", &["--version"]) {
        return None;
    }
    let (http, https, home) = (free_port(), free_port(), Folder::new("public"));
    let dns = Dns::start();
    let pebble = Pebble::start(&dns, http, https, &[]);
    let config = format!(
        "listen = {{ addresses = '127.0.0.1:{http}', tls = '127.0.0.1:{https}' }}\n\
         [acme]\ndirectory = '{}'\nroot = '{}'\nresolver = '{}'\nhttp_port = {http}\ntls_port = {https}\n{sites}",
        pebble.directory(),
        pebble.root().display(),
        dns.address(),
    );
    let file = home.write("dreamserver.toml", config);
    home.write("roots.pem", pebble.issuer());
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
