//! Uploads and listings in every [`Way`] that this system has; `tests/it/uploads.rs` does the rest over the wire.

use bytes::Bytes;
use dream_http::{Name, RequestHead};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::task::{Context, Poll};
use tempfile::TempDir;

use super::super::root::Way;
use super::super::{Files, Options, Store, UploadOptions};
use crate::exchange::{Body, Request, Response, Source};

/// A root that may be changed, beside a `secret` that may not.
struct Site {
    folder: TempDir,
    files: Files,
    store: Store,
    runtime: tokio::runtime::Runtime,
}

fn each_way(test: impl Fn(Site)) {
    for way in [Way::Walk, Way::detect()] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("docs")).unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        let options = Options {
            root,
            browse: true,
            upload: Some(UploadOptions {
                max_body: 1000,
                max_total: Some(1_000_000),
                delete: true,
            }),
            ..Options::default()
        };
        test(Site {
            files: Files::with_way(options, way),
            folder,
            store: Store::new(1024 * 1024),
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
        });
    }
}

impl Site {
    fn ask(&self, method: &str, path: &str, body: Body) -> Response {
        let mut request = request(method, path, body);
        let path = path.as_bytes();
        self.runtime.block_on(async {
            match self.files.changes_by(request.head.method) {
                true => self.files.change(&mut request, path).await,
                false => self.files.answer(&self.store, &request, path).await,
            }
        })
    }

    fn put(&self, path: &str, text: &'static str) -> u16 {
        let body = Body::Bytes(Bytes::from_static(text.as_bytes()));
        self.ask("PUT", path, body).head.status
    }

    fn get(&self, path: &str) -> String {
        match self.ask("GET", path, Body::Empty).body {
            Body::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => String::new(),
        }
    }
}

fn request(method: &str, path: &str, body: Body) -> Request {
    let mut head = RequestHead::new();
    head.set_method(method.as_bytes());
    head.set_path(path.as_bytes(), None);
    let json = b"application/json";
    head.fields.append(Name::Accept, json).unwrap();
    Request {
        body,
        ..Request::of_nobody(head)
    }
}

#[test]
fn files_come_change_and_go() {
    each_way(|site| {
        assert_eq!(site.put("/docs/a", "one"), 201);
        assert_eq!(site.get("/docs/a"), "one");
        assert_eq!(site.put("/docs/a", "two"), 204);
        assert_eq!(site.get("/docs/a"), "two");
        assert!(site.get("/docs/").contains("\"name\":\"a\""));
        assert_eq!(site.ask("DELETE", "/docs/a", Body::Empty).head.status, 204);
        assert_eq!(site.get("/docs/"), "[\n]\n");
        assert_eq!(site.put("/none/a", "one"), 409);
    });
}

#[test]
fn no_link_leads_out() {
    each_way(|site| {
        let root = site.folder.path().join("root");
        symlink("..", root.join("up")).unwrap();
        symlink(site.folder.path(), root.join("out")).unwrap();
        symlink("../secret", root.join("secret")).unwrap();
        symlink("docs", root.join("in")).unwrap();
        for path in ["/up/secret", "/up/new", "/out/secret", "/secret"] {
            assert_eq!(site.put(path, "mine"), 409, "{path}");
            assert_eq!(site.ask("DELETE", path, Body::Empty).head.status, 409);
        }
        assert_eq!(site.put("/in/a", "fine"), 201);
        let secret = fs::read(site.folder.path().join("secret")).unwrap();
        assert_eq!(secret, b"secret");
        assert_eq!(fs::read_dir(site.folder.path()).unwrap().count(), 2);
        let listed = site.get("/");
        assert!(listed.contains("\"in\"") && !listed.contains("secret") && !listed.contains("out"));
    });
}

/// A body that says something, and then fails or never goes on.
struct Halting(Option<&'static [u8]>, bool);

impl Source for Halting {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match (self.0.take(), self.1) {
            (Some(bytes), _) => Poll::Ready(Some(Ok(Bytes::from_static(bytes)))),
            (None, true) => Poll::Ready(Some(Err(io::Error::other("it breaks off")))),
            (None, false) => Poll::Pending,
        }
    }
}

#[test]
fn what_breaks_off_or_is_given_up_leaves_nothing() {
    each_way(|site| {
        let root = site.folder.path().join("root");
        let left = || fs::read_dir(&root).unwrap().count() - 1;
        let broken = Body::from_source(Halting(Some(b"half"), true));
        assert_eq!(site.ask("PUT", "/a", broken).head.status, 400);
        site.runtime.block_on(async {
            let body = Body::from_source(Halting(Some(b"half"), false));
            let mut request = request("PUT", "/a", body);
            let mut upload = Box::pin(site.files.change(&mut request, b"/a"));
            while left() == 0 {
                let polled = std::future::poll_fn(|cx| Poll::Ready(upload.as_mut().poll(cx)));
                assert!(polled.await.is_pending());
                tokio::task::yield_now().await;
            }
            // Nobody waits for it any more.
        });
        drop(site.runtime);
        assert_eq!(left(), 0);
    });
}

#[test]
fn what_is_too_large_is_refused() {
    each_way(|site| {
        let body = || Body::from(vec![0; 1001]);
        assert_eq!(site.ask("PUT", "/a", body()).head.status, 413);
        assert_eq!(
            fs::read_dir(site.folder.path().join("root"))
                .unwrap()
                .count(),
            1
        );
    });
}
