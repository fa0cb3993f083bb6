//! `dreamserver demo`: a small server for trying out HTTP clients.

use crate::config::{Config, Errors, HandlerConfig};
use std::env;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What it serves, with the files of `folder`.
pub(super) fn config(folder: &Path) -> Result<Config, Errors> {
    let mut config = Config::parse(ROUTES, Path::new("demo.toml"))?;
    let routes = config.sites.iter_mut().flat_map(|site| &mut site.routes);
    for route in routes {
        if let HandlerConfig::Files(files) = &mut route.handler {
            files.root = folder.to_owned();
        }
    }
    Ok(config)
}

/// The folder that was chosen, or a new one for this server alone.
///
/// # Errors
/// The folder is not there, or none can be made.
pub(super) fn folder(chosen: Option<PathBuf>) -> io::Result<PathBuf> {
    match chosen {
        Some(folder) if folder.is_dir() => Ok(folder),
        Some(folder) => Err(io::Error::other(format!(
            "there is no folder {0}: make it with `mkdir -p {0}`, or leave out --directory",
            folder.display()
        ))),
        None => {
            let name = format!("dreamserver-demo-{}", Uuid::now_v7().simple());
            let folder = env::temp_dir().join(name);
            DirBuilder::new().mode(0o700).create(&folder)?;
            Ok(folder)
        }
    }
}

/// The routes, which may as well stand in a file of one's own.
const ROUTES: &str = include_str!("demo.toml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routes_are_fine_and_serve_the_folder() {
        let config = config(Path::new("/srv/demo"));
        let config = config.unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        let routes = &config.sites[0].routes;
        let served = routes.iter().filter(|route| {
            matches!(&route.handler, HandlerConfig::Files(files) if files.root == Path::new("/srv/demo"))
        });
        assert_eq!(served.count(), 1);
    }
}
