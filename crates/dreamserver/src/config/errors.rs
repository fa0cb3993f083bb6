//! Pages for errors: which file is for which, and reading them.

use super::ErrorPagesConfig;
use super::file::Names;
use crate::handler::files::content_type;
use crate::middleware::{ErrorPage, ErrorPages, InvalidStatuses, Statuses};
use crate::options::{Problem, Problems};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The pages that `names` lists, relative to `folder`; nothing if it lists none. What can be read now is checked now.
pub(super) fn error_pages(
    names: &Names,
    folder: &Path,
    problems: &mut Problems<'_>,
) -> Option<ErrorPagesConfig> {
    let mut pages = Vec::new();
    for (name, path) in names {
        let file = folder.join(&path.value);
        if let Err(error) = read_error_page(&file) {
            let message = format!("the page {} cannot be read: {error}", file.display());
            problems.push(Problem::new(path.span.clone(), message));
        }
        let statuses: Result<Statuses, InvalidStatuses> = name.value.parse();
        match statuses {
            Ok(statuses) => pages.push((statuses, file)),
            Err(invalid) => problems.push(Problem::new(name.span.clone(), invalid.to_string())),
        }
    }
    (!pages.is_empty()).then_some(ErrorPagesConfig { pages })
}

/// The pages of a route: its own, and those of its site for all other errors.
pub(super) fn with_defaults(
    own: Option<ErrorPagesConfig>,
    site: Option<&ErrorPagesConfig>,
) -> Option<ErrorPagesConfig> {
    let (Some(mut pages), Some(site)) = (own.clone(), site) else {
        return own.or_else(|| site.cloned());
    };
    let more = site.pages.iter();
    let more = more.filter(|(statuses, _)| !pages.pages.iter().any(|(own, _)| own == statuses));
    let more: Vec<_> = more.cloned().collect();
    pages.pages.extend(more);
    Some(pages)
}

/// Reads a page for an error; its type is that of its name.
///
/// # Errors
/// What the disk says, or that it is too large to be kept in memory.
pub fn read_error_page(path: &Path) -> io::Result<ErrorPage> {
    let mut body = Vec::new();
    File::open(path)?
        .take(ErrorPages::MAX_PAGE + 1)
        .read_to_end(&mut body)?;
    if body.len() as u64 > ErrorPages::MAX_PAGE {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    let name = path.file_name().unwrap_or_default();
    Ok(ErrorPage {
        content_type: content_type(name.as_encoded_bytes()).into_owned(),
        body: body.into(),
    })
}
