//! The arguments, and the help that teaches them.

use super::Mode;
use crate::address::{EndpointAddress, ListenAddress};
use crate::log;
use crate::options::parse_size;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The front door of a machine: a web server for folders and a reverse proxy for programs.
///
/// Without a configuration file it serves the folder `staticfiles` on port 8080.
#[derive(Debug, Parser)]
#[command(name = "dreamserver", version, after_help = EXAMPLES, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) shared: Shared,
    /// This process is the one that stays: see `crate::detach`.
    #[arg(long, hide = true)]
    pub(super) detached: bool,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

impl Arguments {
    /// Those of this process; where they are wrong, or ask for help, it ends here.
    pub(super) fn read() -> Arguments {
        let matches = Arguments::described().get_matches();
        Arguments::from_arg_matches(&matches).unwrap_or_else(|wrong| wrong.exit())
    }

    /// All commands. The help of each shows what it has a use for: the others of [`Shared`] are taken by all, so that they may
    /// stand before or behind the command.
    pub(super) fn described() -> clap::Command {
        let all = Arguments::command();
        let shared: Vec<Arg> = all.get_arguments().filter(is_global).cloned().collect();
        USEFUL.iter().fold(all, |all, (command, useful)| {
            let others = shared
                .iter()
                .filter(|arg| !useful.contains(&arg.get_id().as_str()));
            let hidden: Vec<Arg> = others.cloned().map(|arg| arg.hide(true)).collect();
            all.mut_subcommand(command, |command| command.args(hidden))
        })
    }
}

fn is_global(arg: &&Arg) -> bool {
    arg.is_global_set()
}

/// What each command has a use for, of [`Shared`]; those that are not here have one for all of it.
const USEFUL: [(&str, &[&str]); 18] = {
    const SERVES: &[&str] = &[
        "listen",
        "listen_tls",
        "pid_file",
        "control",
        "state",
        "authority",
    ];
    const ASKS: &[&str] = &["control"];
    [
        ("files", SERVES),
        ("proxy", SERVES),
        ("demo", SERVES),
        ("core", SERVES),
        ("add", ASKS),
        ("remove", ASKS),
        ("list", ASKS),
        ("status", ASKS),
        ("stop", ASKS),
        ("logs", ASKS),
        ("certs", &["control", "state"]),
        ("trust", &["authority"]),
        ("untrust", &["authority"]),
        ("check", &["config"]),
        ("routes", &["config"]),
        ("reload", &["config", "pid_file"]),
        ("completions", &[]),
        ("man", &[]),
    ]
};

#[derive(Debug, Args)]
pub(super) struct Shared {
    /// The configuration file [default: ./dreamserver.toml, else /etc/dreamserver/dreamserver.toml]
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Listen here instead of where the file says; may be repeated. Such as :8080 or 127.0.0.1:80
    #[arg(long, short, global = true, value_name = "ADDRESS")]
    pub(super) listen: Vec<ListenAddress>,
    /// Listen here for HTTPS; may be repeated. `off` for nowhere [default: 443 beside 80, 8443 beside 8080, once there are certificates]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(super) listen_tls: Vec<TlsAddress>,
    /// Where the server writes its process number, for `reload` [default: one for each configuration file]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) pid_file: Option<PathBuf>,
    /// Where announcements come in, by UDP and TCP; `off` for nowhere
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        env = "DREAM_CONTROL",
        default_value_t = ControlAddress::usual()
    )]
    pub(super) control: ControlAddress,
    /// Where what was announced is kept [default: $STATE_DIRECTORY, else $XDG_STATE_HOME/dreamserver, else ~/.local/state/dreamserver]
    #[arg(long, global = true, value_name = "DIR", env = "DREAM_STATE")]
    pub(super) state: Option<PathBuf>,
    /// Where the CAs of `dreamserver trust` are kept [default: $XDG_DATA_HOME/dreamserver/authority, else ~/.local/share/dreamserver/authority]
    #[arg(long, global = true, value_name = "DIR", env = "DREAM_AUTHORITY")]
    pub(super) authority: Option<PathBuf>,
}

/// Where clients speak HTTPS; none for `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TlsAddress(Option<ListenAddress>);

impl TlsAddress {
    /// What all of these say together; nothing if nobody said anything.
    pub(super) fn all(said: &[TlsAddress]) -> Option<Vec<ListenAddress>> {
        let addresses = said.iter().filter_map(|address| address.0).collect();
        (!said.is_empty()).then_some(addresses)
    }
}

impl FromStr for TlsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<TlsAddress, String> {
        match text {
            "off" => Ok(TlsAddress(None)),
            address => Ok(TlsAddress(Some(address.parse()?))),
        }
    }
}

/// Where announcements come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlAddress(Option<ListenAddress>);

impl ControlAddress {
    /// Where every sender sends them.
    pub(super) fn usual() -> ControlAddress {
        ControlAddress(Some(ListenAddress::Loopback(dream_control::PORT)))
    }

    /// Is it where every sender looks?
    pub fn is_usual(&self) -> bool {
        *self == ControlAddress::usual()
    }

    /// The address; none for `off`.
    pub fn address(&self) -> Option<ListenAddress> {
        self.0
    }
}

impl FromStr for ControlAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ControlAddress, String> {
        if text == "off" {
            return Ok(ControlAddress(None));
        }
        let address: ListenAddress = text.parse()?;
        match address
            .sockets()
            .iter()
            .all(|socket| socket.ip().is_loopback())
        {
            true => Ok(ControlAddress(Some(address))),
            false => Err(
                "announcements come from this machine only: write localhost:40608 or another port"
                    .into(),
            ),
        }
    }
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("off"),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct CoreArguments {
    /// For development, which is usual: stays in the foreground and logs to the terminal
    #[arg(long, conflicts_with = "release")]
    dev: bool,
    /// For good: returns once the server serves, which stays in the background and logs to logs/core.log here
    #[arg(long)]
    release: bool,
    /// With --release: stays in the foreground and logs to the terminal or the journal, as services of systemd do
    #[arg(long)]
    pub(super) foreground: bool,
    /// With --release: all files of the log together have at most this size, such as 50MB; the oldest lines go first
    #[arg(long, value_name = "SIZE", value_parser = log_size, default_value = "200 MB")]
    pub(super) log_size: u64,
}

impl CoreArguments {
    /// The mode, if somebody chose one.
    pub(super) fn mode(&self) -> Option<Mode> {
        match (self.dev, self.release) {
            (_, true) => Some(Mode::Release),
            (true, false) => Some(Mode::Dev),
            (false, false) => None,
        }
    }
}

fn log_size(text: &str) -> Result<u64, String> {
    let least = log::Options::MIN_SIZE;
    match parse_size(text) {
        Some(size) if size >= least => Ok(size),
        Some(_) => Err("2 MiB is the least that holds a few of the longest lines".into()),
        None => Err("that is not a size such as 50MB".into()),
    }
}

#[derive(Debug, Args)]
pub(super) struct LogsArguments {
    /// Go on with what is written from now on, until Ctrl-C
    #[arg(long, short)]
    pub(super) follow: bool,
    /// So many lines of what was written before
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20)]
    pub(super) lines: usize,
}

#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// The name, such as example.com or *.example.com
    domain: String,
    /// The port of this machine that it is to reach
    port: String,
    /// Ends after this time unless it is announced again, such as 30s or 12h
    #[arg(long, value_name = "TIME")]
    ttl: Option<String>,
    /// Ends when this process does
    #[arg(long, value_name = "NUMBER")]
    pid: Option<String>,
    /// Requests go there only once this path answers with success, such as /up
    #[arg(long, value_name = "PATH")]
    check: Option<String>,
}

impl AddArguments {
    /// As any other program would announce it.
    pub(super) fn line(&self) -> String {
        let mut line = format!("add {} {}", self.domain, self.port);
        for (key, value) in [
            ("ttl", &self.ttl),
            ("pid", &self.pid),
            ("check", &self.check),
        ] {
            if let Some(value) = value {
                line.push_str(&format!(" {key}={value}"));
            }
        }
        line
    }
}

#[derive(Debug, Args)]
pub(super) struct CertsArguments {
    /// Only those for this name
    pub(super) name: Option<String>,
    /// As JSON, for programs
    #[arg(long)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Option<CertsCommand>,
}

#[derive(Debug, Subcommand)]
pub(super) enum CertsCommand {
    /// Order a new certificate for a name now; the one that there is serves until the new one has come
    #[command(
        after_help = "Certificates are renewed by themselves: this is for one that was revoked, or after what kept it from coming was mended.\nWhere names have owners, only the owner of the name, the server's user and root may say it. Exits with 1 if there is no new certificate, and says why and what to do.\n\nExample:\n  dreamserver certs renew example.com"
    )]
    Renew {
        /// The name
        name: String,
    },
    /// Use a certificate that you have already, until it is due for renewal
    #[command(after_help = IMPORT)]
    Import(ImportArguments),
}

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The names to use it for, if not all that the certificate is for
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
    /// The certificate and those of who signed it, as PEM
    #[arg(
        long,
        value_name = "FILE",
        requires = "key",
        required_unless_present = "from"
    )]
    pub(super) cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(super) key: Option<PathBuf>,
    /// A folder with fullchain.pem and privkey.pem, or one of such folders, as certbot keeps them
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cert", "key"])]
    pub(super) from: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct TrustArguments {
    /// Instead of the CA for this machine, one for this name and all below it, or for this address; may be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "status")]
    pub(super) name: Vec<String>,
    /// Only into stores of this kind; may be repeated
    #[arg(long, value_name = "KIND", value_parser = ["system", "keychain", "nss"])]
    pub(super) store: Vec<String>,
    /// Change nothing; show the CAs there are, and who trusts them
    #[arg(long)]
    pub(super) status: bool,
    /// With --status: as JSON, for programs
    #[arg(long, requires = "status")]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct UntrustArguments {
    /// Only the CA for this name or address; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) name: Vec<String>,
    /// Delete the keys too: the next `dreamserver trust` makes new ones
    #[arg(long)]
    pub(super) delete: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve what the configuration file says (this is what no command means)
    Run {
        /// Take the place of the server that runs with the same state: it hands its listeners over and finishes what it has
        #[arg(long)]
        take_over: bool,
    },
    /// Serve a folder, without a configuration file
    #[command(after_help = "Example:\n  dreamserver files ./public --listen :3000")]
    Files {
        /// The folder
        #[arg(default_value = ".", value_name = "DIR")]
        folder: PathBuf,
    },
    /// Pass all requests to a program on another port, without a configuration file
    #[command(
        after_help = "Examples:\n  dreamserver proxy 5665\n  dreamserver proxy --listen :80 10.0.0.1:80 10.0.0.2:80\n  dreamserver proxy https://backend.example:8443\n  dreamserver proxy unix:/run/app.sock"
    )]
    Proxy {
        /// Where to: a port of this machine, host:port, http://host:port or unix:/path; of several, each gets its turn
        #[arg(required = true)]
        to: Vec<EndpointAddress>,
    },
    /// A small server for trying out HTTP clients, on 127.0.0.1:4221
    #[command(
        after_help = "What it serves stands at its address: echo, user-agent, files, what you sent, any status, waits, streams, a WebSocket.\n\nExamples:\n  dreamserver demo\n  curl -i http://127.0.0.1:4221/echo/hello\n  curl http://127.0.0.1:4221/anything -d name=value"
    )]
    Demo {
        /// The folder of /files [default: a new one below the system's temporary folder, which stays]
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Serve the names that programs on this machine announce, on port 80
    #[command(
        after_help = "A program announces itself with one UDP datagram to 127.0.0.1:40608, such as `add example.com 5665`:\n  echo -n 'add example.com 5665' > /dev/udp/127.0.0.1/40608\n  dreamserver add example.com 5665\n\nIn the background, until `dreamserver stop`:\n  dreamserver core --release\n\nStarted again it takes the place of the one that runs, which finishes what it has: that is how to upgrade."
    )]
    Core(CoreArguments),
    /// Announce a name: requests for it go to a port of this machine
    #[command(
        after_help = "Examples:\n  dreamserver add example.com 5665\n  dreamserver add shop.localhost 3000 --pid $$"
    )]
    Add(AddArguments),
    /// Take an announced name back
    Remove {
        /// The name
        domain: String,
    },
    /// Show the names that were announced
    List {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show how the running server is
    Status {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show the certificates of the running server, renew one, or import one from elsewhere
    #[command(after_help = CERTS)]
    Certs(CertsArguments),
    /// Show what the running server has written to its log
    #[command(
        after_help = "Examples:\n  dreamserver logs -f\n  dreamserver logs -n 1000 | grep status=5"
    )]
    Logs(LogsArguments),
    /// Have your browsers trust the certificates that the server makes in development
    #[command(after_help = TRUST)]
    Trust(TrustArguments),
    /// Undo what `dreamserver trust` did
    #[command(
        after_help = "It removes the certificates of CAs that `dreamserver trust` has made, and no others, from the system's store and from those of browsers. Exits with 1 if one is left, and says how to remove it."
    )]
    Untrust(UntrustArguments),
    /// End the running server, once it has served what it has
    Stop,
    /// Tell everything that is wrong with the configuration file; exits with 2 if something is
    Check,
    /// Show what goes where, in the order in which it is tried
    Routes,
    /// Make the running server read its configuration file again, without losing a connection
    Reload,
    /// Print the completions for a shell
    #[command(
        after_help = "Example:\n  dreamserver completions bash > ~/.local/share/bash-completion/completions/dreamserver"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  dreamserver man > ~/.local/share/man/man1/dreamserver.1")]
    Man,
    /// Print the reference of the configuration file, in Markdown
    #[command(hide = true)]
    Reference,
    /// Print the JSON Schema of the configuration file
    #[command(hide = true)]
    Schema,
}

const EXAMPLES: &str = "\
Examples:
  dreamserver                          serve ./dreamserver.toml, or else the folder staticfiles
  dreamserver files ./public           serve a folder
  dreamserver proxy 5665               put a program on port 5665 behind port 8080
  dreamserver --listen :80 proxy 5665  the same on port 80
  dreamserver check                    is the configuration right?

A configuration file, dreamserver.toml:
  [sites.\"example.com\"]
  proxy = \"localhost:5665\"

  [sites.\"static.example.com\"]
  files = \"/var/www/static\"
";

const CERTS: &str = "\
It shows, for each name, where its certificate comes from: a `file` that the configuration names, a CA of this machine (`local`, in \
development), or a `public` authority. Below the table stands what failed, with the next step. `dreamserver status` warns of \
what somebody should look at.

Examples:
  dreamserver certs                      all of them
  dreamserver certs shop.example.com     one name
  dreamserver certs --json               for programs; times are milliseconds since 1970
  dreamserver certs renew example.com    a new one, now
  dreamserver certs import --cert site.pem --key site.key
  sudo dreamserver certs import --from /etc/letsencrypt/live";

const IMPORT: &str = "\
The certificate must fit the key, be for the name, and not have ended. It goes to the folder of the state, readable by its \
owner only, and a running server uses it at once; otherwise the next one that is started does. When it is due, the server orders its \
successor as for any other name. Say it as the user that the server runs as, or as root. A wildcard certificate is used for the \
names that you say.

Examples:
  dreamserver certs import --cert site.pem --key site.key
  dreamserver certs import app.example.com --cert wildcard.pem --key wildcard.key
  sudo dreamserver certs import --from /etc/letsencrypt/live";

const TRUST: &str = "\
It makes a CA, and puts its certificate into the store of the system (it asks for root's rights by sudo) and into those of Firefox \
and Chromium (with certutil). What is there already stays: run it again when another browser is installed.

The key of that CA never leaves this machine, and is good for nothing else: its certificate limits it to names below localhost, test, \
internal and home.arpa, and to addresses such as 127.0.0.1 and ::1. For a real domain there is --name, which makes a CA for that \
domain, and what is below it, alone. Whoever can read that key can pass for the domain, but only before you.

If mkcert has a CA here, that one signs, and `mkcert -install` is what installs it.

Exits with 1 if nothing trusts the CA afterwards; with --status, if no CA signs.

Examples:
  dreamserver trust                     for https://localhost and https://app.localhost
  dreamserver trust --name example.com  for a domain that is yours, while you develop for it
  dreamserver trust --store nss         only browsers, which needs no root
  dreamserver trust --status            what is trusted, and where
  dreamserver untrust                   all of it undone";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_stand_before_or_behind_the_command() {
        for line in [
            ["dreamserver", "--listen", ":1", "proxy", "5665"],
            ["dreamserver", "proxy", "--listen", ":1", "5665"],
            ["dreamserver", "proxy", "5665", "--listen", ":1"],
        ] {
            let arguments = Arguments::try_parse_from(line).unwrap();
            assert_eq!(arguments.shared.listen, [ListenAddress::Any(1)]);
        }
    }
}
