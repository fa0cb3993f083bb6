//! Uploads: what the options mean, and what they need where more than this machine reaches the server.

use super::UploadConfig;
use super::file::{FilesTable, SiteTable};
use crate::handler::files::TagOf;
use crate::options::{Located, Problem, Problems};

/// What clients may change, if they may change anything.
pub(super) fn options(table: &FilesTable) -> Option<UploadConfig> {
    table.upload.value.then(|| UploadConfig {
        max_body: table.max_body.value,
        max_total: table.max_total.as_ref().map(|size| size.value),
        delete: table.delete.value,
    })
}

/// Options that contradict each other.
pub(super) fn check(table: &FilesTable, problems: &mut Problems<'_>) {
    if !table.upload.value && table.delete.value {
        problems.push(
            Problem::new(table.delete.span.clone(), "`delete` without `upload`")
                .help("who may remove files may upload them too: add `upload = true`"),
        );
    }
    if table.upload.value && table.etag == TagOf::Content {
        let message = "`upload` does not go together with tags made of the content";
        problems.push(
            Problem::new(table.upload.span.clone(), message)
                .help("uploads are compared by time and size: take `etag` out"),
        );
    }
    if table.upload.value && table.hidden {
        problems.push(
            Problem::new(
                table.upload.span.clone(),
                "`upload` and `hidden` do not go together",
            )
            .help("uploads have hidden names until they are whole: take `hidden` out"),
        );
    }
}

/// What is missing where others than programs on this machine can reach the server.
pub(super) fn exposed(sites: &[(Located<String>, Located<SiteTable>)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (_, site) in sites {
        let site = &site.value;
        let clients = site.tls.as_ref().map(|tls| &tls.value);
        let knows_clients =
            clients.is_some_and(|tls| tls.client_ca.is_some() && !tls.client_optional);
        let routes = site.routes.iter().map(|route| &route.value.files);
        let all = [&site.files].into_iter().chain(routes);
        for files in all.flatten().filter(|files| files.value.upload.value) {
            let table = &files.value;
            if !knows_clients && !table.anonymous {
                let message = "anybody who reaches this server could upload";
                problems.push(Problem::new(table.upload.span.clone(), message).help(WHO));
            }
            if table.max_total.is_none() {
                let message = "uploads could fill the disk";
                problems.push(Problem::new(table.upload.span.clone(), message).help(HOW_MUCH));
            }
        }
    }
    problems
}

const WHO: &str = "let clients show a certificate (`tls = { client_ca = \"ca.pem\" }` in the site), \
    or write `anonymous = true`, or listen for this machine only: `listen = \"localhost:8080\"`";

const HOW_MUCH: &str = "write beside it how large all files may be together, such as `max_total = \"10 GB\"`, \
    or listen for this machine only: `listen = \"localhost:8080\"`";
