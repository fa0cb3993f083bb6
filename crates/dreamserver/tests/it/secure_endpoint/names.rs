//! By which name an endpoint is called, and what it hears of ours.

use dream_testkit::{Connection, Folder, Origin, respond};

use super::{Ca, Proxy, answering, before, site};
use crate::start::{get, get_with};

fn ok(connection: &mut Connection) {
    while connection.read_request().is_some() {
        connection.write(respond(200, "text/plain", b"ok"));
    }
}

#[test]
fn an_endpoint_gets_its_own_name_as_host_and_ours_beside_it() {
    let (origin, proxy) = before(ok);
    let own = format!("localhost:{}", origin.address().port());
    let mut client = proxy.server.client();
    client.ask("GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    client.ask("GET http://shop.example:81/b HTTP/1.1\r\nHost: shop.example:81\r\n\r\n");
    for (request, host) in origin
        .requests()
        .iter()
        .zip(["shop.example", "shop.example:81"])
    {
        assert_eq!(request.head.all("Host"), [own.as_str()]);
        assert_eq!(request.field("X-Forwarded-Host"), Some(host));
        assert_eq!(request.field("X-Forwarded-Proto"), Some("http"));
    }
    // HTTP/1.0 may name none.
    proxy.server.client().ask("GET /c HTTP/1.0\r\n\r\n");
    assert_eq!(origin.last().head.all("Host"), [own.as_str()]);
    let line = proxy.server.log_line(|line| line.contains("path=/a"));
    assert!(line.contains("host=shop.example |"), "{line}");
}

#[test]
fn a_server_name_is_what_the_certificate_is_for_and_the_host() {
    let ca = Ca::new();
    let origin = Origin::start_secure(ca.leaf(&["inner.example"]).config(), |connection| {
        while connection.read_request().is_some() {
            let sni = connection.with_tls(|tls| tls.server_name().map(str::to_owned));
            let sni = sni.flatten().unwrap_or_default();
            connection.write(respond(200, "text/plain", sni.as_bytes()));
        }
    });
    let folder = Folder::new("names");
    folder.write("ca.pem", &ca.pem);
    let tls = "ca = \"ca.pem\", server_name = \"inner.example\"";
    let proxy = Proxy::start(folder, &site(&[&origin], tls));
    assert_eq!(proxy.server.client().ask(get("/")).text(), "inner.example");
    let host = format!("inner.example:{}", origin.address().port());
    assert_eq!(origin.last().field("Host"), Some(host.as_str()));
}

#[test]
fn a_host_that_the_configuration_sets_stays() {
    let ca = Ca::new();
    let origin = answering(ca.leaf(&["localhost"]).config());
    let folder = Folder::new("names");
    folder.write("ca.pem", &ca.pem);
    let headers = "headers.request.set = { Host = \"localhost\" }\n";
    let config = site(&[&origin], "ca = \"ca.pem\"") + headers;
    let proxy = Proxy::start(folder, &config);
    proxy.server.client().ask(get("/"));
    assert_eq!(origin.last().head.all("Host"), ["localhost"]);
}

#[test]
fn redirects_to_the_endpoint_lead_to_us() {
    let (origin, proxy) = before(|connection| {
        while let Some(request) = connection.read_request() {
            let host = request.field("Host").unwrap_or_default().to_owned();
            connection.write(format!(
                "HTTP/1.1 302 Found\r\nLocation: https://{host}/next\r\nContent-Length: 0\r\n\r\n"
            ));
        }
    });
    let answer = proxy.server.client().ask(get_with("/", ""));
    assert_eq!(answer.field("Location"), Some("http://localhost/next"));
    assert_eq!(origin.requests().len(), 1);
}
