//! Files that change while they are sent: what arrives whole is what was announced, and what is not breaks off and says why.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use dream_testkit::{
    Checksum, Client, Folder, Head, ReadError, Security, Server, eventually, pattern,
};

use crate::start::{files, get, get_with};
use crate::tls::Ground;

/// More than what the buffers of both sockets take.
const LARGE: usize = 48 << 20;

struct Site {
    root: Folder,
    server: Server,
    sum: Checksum,
}

fn site() -> Site {
    let root = Folder::new("changing");
    let sum = large(&root);
    let server = files(&root);
    Site { root, server, sum }
}

/// Writes a large file that nobody has touched for long; gives the sum of its bytes.
fn large(root: &Folder) -> Checksum {
    let mut bytes = vec![0; LARGE];
    pattern(0, &mut bytes);
    root.write("large.bin", &bytes);
    age(root);
    let mut sum = Checksum::new();
    sum.update(&bytes);
    sum
}

fn age(root: &Folder) {
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    writing(root).set_modified(old).unwrap();
}

fn writing(root: &Folder) -> File {
    let mut options = File::options();
    options.write(true).open(root.join("large.bin")).unwrap()
}

/// Reads the rest of an answer's body.
fn rest(client: &mut Client) -> Result<Checksum, ReadError> {
    let head = client.read_head()?;
    body(client, &head)
}

fn body(client: &mut Client, head: &Head) -> Result<Checksum, ReadError> {
    let mut sum = Checksum::new();
    let framing = head.response_body("GET").unwrap();
    client.read_body(framing, |bytes| sum.update(bytes))?;
    Ok(sum)
}

impl Site {
    /// A client that has asked for the file, of which a part is on its way already.
    fn asked(&self, fields: &str) -> Client {
        let mut client = Client::connect_narrow(self.server.address());
        client.send(get_with("/large.bin", fields));
        eventually("something comes", || client.has_bytes());
        client
    }

    /// The answer arrives as it was announced.
    #[track_caller]
    fn assert_whole(&self, change: impl FnOnce(&Folder)) {
        let mut client = self.asked("");
        change(&self.root);
        assert_eq!(rest(&mut client).unwrap(), self.sum);
    }

    /// The answer breaks off, and the log says that it is because of `why`.
    #[track_caller]
    fn assert_broken(&self, fields: &str, why: &str, change: impl FnOnce(&Folder)) {
        let mut client = self.asked(fields);
        change(&self.root);
        assert!(rest(&mut client).is_err(), "it arrived as if it were whole");
        let line = self.server.log_line(|line| line.contains("/large.bin"));
        assert!(line.contains(why), "{line}");
    }
}

const SHORTER: &str = "the file became shorter while it was sent";
const WRITTEN: &str = "the file was written to while it was sent";

#[test]
fn a_file_that_is_replaced_or_removed_is_sent_as_it_was() {
    let site = site();
    site.assert_whole(|root| {
        root.write("new.bin", "new");
        fs::rename(root.join("new.bin"), root.join("large.bin")).unwrap();
    });
    eventually("the new one is served", || {
        site.server.client().ask(get("/large.bin")).text() == "new"
    });
    // With a server of its own: a core may know the replaced file for another second.
    self::site().assert_whole(|root| fs::remove_file(root.join("large.bin")).unwrap());
}

#[test]
fn a_file_that_nobody_may_read_any_more_is_sent_as_it_was() {
    let site = site();
    site.assert_whole(|root| {
        let nobody = fs::Permissions::from_mode(0o000);
        fs::set_permissions(root.join("large.bin"), nobody).unwrap();
    });
}

#[test]
fn a_file_that_grows_is_sent_as_far_as_it_was_announced() {
    let site = site();
    site.assert_whole(|root| {
        writing(root).write_all_at(b"more", LARGE as u64).unwrap();
    });
}

#[test]
fn a_file_that_becomes_shorter_breaks_off() {
    site().assert_broken("", SHORTER, |root| {
        writing(root).set_len(LARGE as u64 / 2).unwrap();
    });
    site().assert_broken("", SHORTER, |root| writing(root).set_len(0).unwrap());
}

#[test]
fn a_file_that_is_rewritten_in_place_breaks_off() {
    site().assert_broken("", WRITTEN, |root| {
        writing(root).write_all_at(b"x", LARGE as u64 - 1).unwrap();
    });
    site().assert_broken("", WRITTEN, |root| {
        root.write("large.bin", vec![b'x'; LARGE + 10]);
    });
}

#[test]
fn parts_of_a_file_break_off_too() {
    let half = LARGE / 2;
    let ranges = format!("Range: bytes=0-{},{}-\r\n", half - 1, half + 1);
    site().assert_broken(&ranges, WRITTEN, |root| {
        writing(root).write_all_at(b"x", LARGE as u64 - 1).unwrap();
    });
    site().assert_broken(&ranges, SHORTER, |root| {
        writing(root).set_len(half as u64).unwrap();
    });
}

#[test]
fn over_tls_too() {
    for (change, why) in [("shorter", SHORTER), ("rewritten", WRITTEN)] {
        let ground = Ground::new();
        ground.issue("site", &["localhost"]);
        large(&ground.home);
        let house = ground.start(
            "[sites.\"*\"]\nfiles = \".\"\ntls = { cert = \"site.pem\", key = \"site.key\" }\n",
        );
        let mut client = Client::secure(house.tls, &Security::new(&house.ca, "localhost"));
        client.send(get("/large.bin"));
        // Not just any bytes: those of a session ticket come before anybody has looked at the file.
        let head = client.read_head().unwrap();
        let file = writing(&house.home);
        match change {
            "shorter" => file.set_len(1 << 20).unwrap(),
            _ => file.write_all_at(b"x", LARGE as u64 - 1).unwrap(),
        }
        assert!(body(&mut client, &head).is_err(), "{change}");
        let line = house.server.log_line(|line| line.contains("/large.bin"));
        assert!(line.contains(why), "{line}");
    }
}
