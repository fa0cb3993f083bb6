//! Certificates: what there is, and what may be done about it.

use super::answer::{Answer, Control, refusal};
use super::name;
use crate::acme::{Refusal, Which};
use crate::admin;
use crate::authority::{Certificate, Kind as CaKind};
use crate::certificates::{NoOffice, Row, SOON};
use crate::credential::Credential;
use crate::sockets::Sender;
use dream_control::{Certs, Domain, Reply};
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// Certificates of a page: with long errors they still fit into a datagram.
const PAGE: usize = 20;
/// So long a renewal is waited for: who asks waits for two seconds, and a take-over for us.
const PATIENCE: Duration = Duration::from_secs(1);
/// `status` warns of so many certificates.
const WARNED: usize = 10;
/// So many names are looked at for one without a CA: `status` takes a moment.
const LOOKED_AT: usize = 10_000;
/// Of those without one so many are told.
const LACKING: usize = 3;
/// Letters of a text that are told.
const LONGEST: usize = 600;

impl Control {
    /// A page of the certificates, each a line of JSON.
    pub(super) async fn certs(&self, which: &Certs) -> Answer {
        let name = |domain: &Domain| name::ascii(domain).map(String::from);
        let wanted = match which {
            Certs::All => Which::After(String::new()),
            Certs::After(domain) => Which::After(name(domain)?),
            Certs::Only(domain) => Which::Only(name(domain)?),
        };
        let mut listed = self.certificates.find(&wanted, PAGE).await;
        let next = match listed.is_part {
            true => last_domain(&mut listed.rows),
            false => None,
        };
        let next = next.map_or(String::new(), |next| format!(" next={next}"));
        let lines = listed.rows.iter().map(|row| {
            // It holds nothing that JSON could not say.
            serde_json::to_string(&described(row)).unwrap_or_default()
        });
        Ok(Reply::ok(&format!("certs {}{next}", listed.total)).with_lines(lines))
    }

    /// Orders a new certificate; what takes longer goes on.
    pub(super) async fn renew(&self, domain: &Domain, sender: Sender) -> Answer {
        let name = name::ascii(domain)?;
        let what = format!("renew the certificate of {name}");
        self.may_act(&name, &what, sender).await?;
        let only = Which::Only(name.to_string());
        let found = self.certificates.find(&only, 1).await;
        if let Some(file) = found.rows.iter().find_map(|row| row.file.as_ref()) {
            let file = file.display();
            let detail = format!(
                "{name} has its certificate from {file}: replace it there, and it is read again by itself"
            );
            return Err(refusal("in-file", &detail));
        }
        let waiting = Reply::ok(&format!("renew {name} waiting"));
        let Ok(renewed) = timeout(PATIENCE, self.certificates.renew(&name)).await else {
            return Ok(waiting);
        };
        match renewed.map_err(|none| no_office(&none))? {
            Ok(credential) => Ok(done("renew", &name, &credential)),
            Err(Refusal::Slow) => Ok(waiting),
            Err(Refusal::NotServed) => {
                let detail = format!("nothing is served by the name {name}");
                Err(refusal("unknown-domain", &detail))
            }
            Err(why) => Err(refusal("no-certificate", &visible(&why.to_string()))),
        }
    }

    /// Takes the certificate that was left for a name. Only our own user and root can leave one, so that anybody may say it.
    pub(super) async fn import(&self, domain: &Domain) -> Answer {
        let name = name::ascii(domain)?;
        let imported = self.certificates.import(&name).await;
        match imported.map_err(|none| no_office(&none))? {
            Ok(credential) => Ok(done("import", &name, &credential)),
            Err(error) => Err(refusal("no-certificate", &visible(&error.to_string()))),
        }
    }

    /// What somebody should look at.
    pub(super) async fn warnings(&self) -> Vec<String> {
        let now = SystemTime::now();
        let rows = self.certificates.pressing(now, WARNED + 1).await;
        let mut warnings: Vec<String> = rows
            .iter()
            .take(WARNED)
            .map(|row| warning(row, now))
            .collect();
        if rows.len() > WARNED {
            warnings.push("there is more like that: `dreamserver certs` lists all".into());
        }
        warnings.extend(self.warnings_of_ca(now));
        warnings
    }

    /// In development: the CA ends soon, or does not do for a name.
    fn warnings_of_ca(&self, now: SystemTime) -> Vec<String> {
        let Some(ca) = self.certificates.ca() else {
            return Vec::new();
        };
        let ending = ca
            .certificates()
            .filter(|found| found.not_after() < now + SOON);
        let mut warnings: Vec<String> = ending.map(warning_of_end).collect();
        let table = self.table.borrow();
        let announced = table.entries().iter().map(|(name, _)| name.to_owned());
        let mut lacking: Vec<String> = self
            .certificates
            .hosts()
            .into_iter()
            .chain(announced)
            .take(LOOKED_AT)
            .filter(|name| !ca.covers(name))
            .map(|name| name.trim_start_matches("*.").to_owned())
            .take(LACKING + 1)
            .collect();
        lacking.dedup();
        let is_more = lacking.len() > LACKING;
        lacking.truncate(LACKING);
        warnings.extend(lacking.iter().map(|name| {
            format!("there is no certificate for {name}, because no CA here may sign for it: `dreamserver trust --name {name}` makes one")
        }));
        if is_more {
            warnings.push("other names lack a CA too".into());
        }
        warnings
    }
}

/// Ends the page with a name that the next one can begin behind; gives it.
fn last_domain(rows: &mut Vec<Row>) -> Option<String> {
    let is_domain = |row: &Row| Domain::parse(&row.name).is_ok();
    let last = rows.iter().rposition(is_domain)?;
    rows.truncate(last + 1);
    rows.last().map(|row| row.name.clone())
}

fn done(verb: &str, name: &str, credential: &Credential) -> Reply {
    let end = milliseconds(credential.not_after());
    Reply::ok(&format!("{verb} {name} not_after={end}"))
}

fn no_office(none: &NoOffice) -> Reply {
    match none {
        NoOffice::Development => refusal(
            "development",
            "a CA of this machine makes the certificates here, and renews them by itself; `dreamserver core --release` or a table \
             `[acme]` uses public ones",
        ),
        NoOffice::Closed => refusal(
            "closed",
            "no certificates are ordered now; the log says why",
        ),
    }
}

/// What the next step is.
fn warning(row: &Row, now: SystemTime) -> String {
    let name = &row.name;
    let end = row.not_after.map(httpdate::fmt_http_date);
    let is_over = row.not_after.is_none_or(|end| end <= now);
    let text = match (&row.trouble, end, &row.file) {
        (Some(trouble), end, _) => {
            let what = match (is_over, end) {
                (false, Some(end)) => {
                    format!("the certificate of {name} is not renewed, and ends on {end}")
                }
                _ => format!("there is no certificate for {name}"),
            };
            let advice = trouble.advice.iter().map(|advice| format!("; {advice}"));
            let next = trouble
                .next
                .map(|next| format!(" (tried again on {})", httpdate::fmt_http_date(next)));
            format!(
                "{what}: {}{}{}",
                trouble.error,
                advice.collect::<String>(),
                next.unwrap_or_default()
            )
        }
        (None, Some(end), Some(file)) => {
            let ends = if is_over { "has ended" } else { "ends" };
            format!(
                "the certificate of {name} {ends} on {end}: put another one to {}",
                file.display()
            )
        }
        (None, end, _) => format!(
            "the certificate of {name} ends on {}, and nothing renews it: `dreamserver certs renew {name}`",
            end.unwrap_or_default()
        ),
    };
    visible(&text)
}

fn warning_of_end(certificate: &Certificate) -> String {
    let end = httpdate::fmt_http_date(certificate.not_after());
    let next = match certificate.kind() {
        CaKind::Mkcert => "remove it and run `mkcert -install`".to_owned(),
        CaKind::Own => "`dreamserver trust` makes another one".to_owned(),
        CaKind::Named(name) => format!("`dreamserver trust --name {name}` makes another one"),
    };
    format!(
        "the CA in {} ends on {end}: {next}",
        certificate.path().display()
    )
}

/// As programs and the live view get it.
pub(super) fn described(row: &Row) -> admin::Certificate {
    let trouble = row.trouble.as_ref();
    admin::Certificate {
        name: row.name.clone(),
        kind: row.kind.as_str(),
        issuer: row.issuer.as_deref().map(visible),
        not_after: row.not_after.map(milliseconds),
        renewal: row.renewal.map(milliseconds),
        ordered: row.is_ordered,
        file: row
            .file
            .as_ref()
            .map(|file| visible(&file.display().to_string())),
        error: trouble.map(|trouble| visible(&trouble.error)),
        advice: trouble.and_then(|trouble| trouble.advice.as_deref().map(visible)),
        failures: trouble.and_then(|trouble| trouble.failures),
        next: trouble.and_then(|trouble| trouble.next).map(milliseconds),
    }
}

/// What others wrote, on one line, of bounded length, and without what turns the direction of text or could not be seen. A reply
/// escapes that too, but within JSON it would no longer be JSON.
fn visible(text: &str) -> String {
    let is_plain =
        |letter: char| matches!(letter, '"' | '\'' | '\\') || letter.escape_debug().eq([letter]);
    let letters = text.chars().take(LONGEST);
    letters
        .map(|letter| if is_plain(letter) { letter } else { ' ' })
        .collect()
}

/// Since 1970, as everywhere in what programs read.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::{Kind, Trouble};

    fn row(name: &str) -> Row {
        Row {
            name: name.into(),
            kind: Kind::Public,
            issuer: Some("CN=\u{202e}x\n".into()),
            not_after: Some(SystemTime::UNIX_EPOCH + SOON),
            renewal: None,
            is_ordered: false,
            file: None,
            trouble: None,
        }
    }

    #[test]
    fn a_line_stays_json_whatever_others_wrote() {
        let error = "\"a\\\u{200b}\x1b[2J".to_owned() + &"é".repeat(5000);
        let trouble = Some(Trouble {
            error,
            advice: None,
            failures: Some(1),
            next: None,
        });
        let described = described(&Row {
            trouble,
            ..row("a.com")
        });
        let line = serde_json::to_string(&described).unwrap();
        let reply = Reply::ok("certs 1").with_lines([&line]);
        let reply = Reply::parse(reply.to_string().as_bytes()).unwrap();
        let read: serde_json::Value = serde_json::from_str(reply.body()).unwrap();
        assert_eq!(read["issuer"], "CN= x ");
        assert!(
            read["error"].as_str().unwrap().starts_with("\"a\\  [2J"),
            "{read}"
        );
        assert!(line.len() < 2000);
    }

    #[test]
    fn a_page_ends_with_a_name_that_can_be_asked_for() {
        let mut rows = vec![row("a.com"), row("b.com"), row("::1")];
        assert_eq!(last_domain(&mut rows).as_deref(), Some("b.com"));
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn warnings_say_the_next_step() {
        let now = SystemTime::UNIX_EPOCH;
        let file = Row {
            file: Some("/a.pem".into()),
            ..row("a.com")
        };
        let said = "the certificate of a.com ends on Thu, 15 Jan 1970 00:00:00 GMT: put another one to /a.pem";
        assert_eq!(warning(&file, now), said);
        assert!(warning(&file, now + 2 * SOON).contains("has ended"));
        let trouble = Some(Trouble {
            error: "no".into(),
            advice: Some("do".into()),
            failures: Some(1),
            next: Some(now),
        });
        let failed = Row {
            trouble,
            ..row("a.com")
        };
        let again = "no; do (tried again on Thu, 01 Jan 1970 00:00:00 GMT)";
        assert!(
            warning(&failed, now).ends_with(again),
            "{}",
            warning(&failed, now)
        );
        let none = Row {
            not_after: None,
            ..failed
        };
        assert!(warning(&none, now).starts_with("there is no certificate for a.com: no"));
        assert!(warning(&row("a.com"), now).contains("certs renew a.com"));
    }
}
