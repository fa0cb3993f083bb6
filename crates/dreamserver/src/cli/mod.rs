//! The command line: from arguments to a plan, and the commands that need no server.

mod announce;
mod args;
mod certs;
mod demo;
mod list;
mod logs;
mod plan;
mod routes;
mod status_of_trust;
mod trust;

pub use args::ControlAddress;
pub use plan::{Base, LogFile, Mode, Overrides, Plan};

use crate::{config, detach, pid_file, systemd};
use announce::Speaker;
use args::{Arguments, Command, TlsAddress};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Does what the arguments of the process say; gives its exit code: 0 for success, 1 for a failure at
/// run time, 2 for wrong arguments or a wrong configuration.
pub fn main() -> ExitCode {
    let arguments = Arguments::read();
    let shared = arguments.shared;
    let speaker = Speaker::new(shared.control);
    match arguments
        .command
        .unwrap_or(Command::Run { take_over: false })
    {
        Command::Run { take_over } => {
            let chosen = Chosen {
                take_over,
                ..Chosen::default()
            };
            serve(Base::of_file(shared.config.as_deref()), chosen, shared)
        }
        Command::Files { folder } => {
            serve_without_file(Base::Files(folder), Chosen::default(), shared)
        }
        Command::Proxy { to } => serve_without_file(Base::Proxy(to), Chosen::default(), shared),
        Command::Demo { directory } => match demo::folder(directory) {
            Ok(folder) => serve_without_file(Base::Demo(folder), Chosen::default(), shared),
            Err(error) => fail(&error.to_string()),
        },
        Command::Core(core) => serve_core(&core, &speaker, arguments.detached, shared),
        Command::Add(arguments) => speaker.add(&arguments),
        Command::Remove { domain } => speaker.remove(&domain),
        Command::List { json } => speaker.list(json),
        Command::Status { json } => speaker.status(json),
        Command::Certs(arguments) => certs::certs(&speaker, shared.state.as_deref(), &arguments),
        Command::Logs(arguments) => logs::show(&speaker, &arguments),
        Command::Trust(arguments) => trust::trust(shared.authority.as_deref(), &arguments),
        Command::Untrust(arguments) => trust::untrust(shared.authority.as_deref(), &arguments),
        Command::Stop => speaker.stop(),
        Command::Check => check(shared),
        Command::Routes => list_routes(shared),
        Command::Reload => reload(shared),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(
                shell,
                &mut Arguments::described(),
                "dreamserver",
                &mut script,
            );
            print(&script)
        }
        Command::Man => man_page(),
        Command::Reference => print(config::reference::markdown().as_bytes()),
        Command::Schema => print(config::reference::schema().as_bytes()),
    }
}

/// How a server is to run, as far as somebody has chosen it.
#[derive(Default)]
struct Chosen {
    take_over: bool,
    mode: Option<Mode>,
    log: Option<LogFile>,
}

/// A server in release mode is started by a process that waits until it serves, unless it stays in the foreground. If nobody
/// chose a mode, that of the server whose place this one takes goes on.
fn serve_core(
    core: &args::CoreArguments,
    speaker: &Speaker,
    detached: bool,
    shared: args::Shared,
) -> ExitCode {
    let mode = match detached {
        true => Some(Mode::Release),
        false => core.mode().or_else(|| speaker.running_mode()),
    };
    let detaches = mode == Some(Mode::Release) && !core.foreground;
    if detaches && !detached {
        return detach();
    }
    if detaches && let Err(error) = detach::leave_session() {
        return fail(&format!("it cannot leave the terminal: {error}"));
    }
    let chosen = Chosen {
        take_over: true,
        mode,
        log: detaches.then(|| LogFile::here(core.log_size)),
    };
    serve_without_file(Base::Core, chosen, shared)
}

fn detach() -> ExitCode {
    if systemd::has_passed_sockets() {
        let _ = fail(
            "sockets that systemd passes stay with this process: use --foreground with --release",
        );
        return ExitCode::from(USAGE);
    }
    match detach::start() {
        Ok(code) => code,
        Err(error) => fail(&format!(
            "the server cannot be started in the background: {error}"
        )),
    }
}

fn serve(base: Base, chosen: Chosen, shared: args::Shared) -> ExitCode {
    match plan(base, chosen, shared) {
        Ok(plan) => crate::server::run(plan),
        Err(code) => code,
    }
}

fn serve_without_file(base: Base, chosen: Chosen, shared: args::Shared) -> ExitCode {
    match shared.config {
        None => serve(base, chosen, shared),
        Some(_) => {
            let _ = fail(match base {
                Base::Core => {
                    "this command takes no configuration file: leave out --config; with one, `dreamserver` takes announcements too, and `dreamserver run --take-over` takes the place of a running one"
                }
                _ => {
                    "this command takes no configuration file: leave out --config, or write the route there"
                }
            });
            ExitCode::from(USAGE)
        }
    }
}

fn check(shared: args::Shared) -> ExitCode {
    let plan = match plan(
        Base::of_file(shared.config.as_deref()),
        Chosen::default(),
        shared,
    ) {
        Ok(plan) => plan,
        Err(code) => return code,
    };
    let sites = plan.config.sites.len();
    let routes: usize = plan.config.sites.iter().map(|site| site.routes.len()).sum();
    let message = match plan.base.file() {
        Some(file) => format!(
            "{} is fine: sites: {sites}, routes: {routes}\n",
            file.display()
        ),
        None => "there is no configuration file; the folder staticfiles would be served\n".into(),
    };
    print(message.as_bytes())
}

fn list_routes(shared: args::Shared) -> ExitCode {
    match plan(
        Base::of_file(shared.config.as_deref()),
        Chosen::default(),
        shared,
    ) {
        Ok(plan) => print(routes::list(&plan.config).as_bytes()),
        Err(code) => code,
    }
}

fn reload(shared: args::Shared) -> ExitCode {
    let file = config::find(shared.config.as_deref());
    // A wrong configuration is shown here, where a person looks, and not only in the server's log.
    if let Err(errors) = file.as_deref().map(config::Config::load).transpose() {
        report(&errors);
        return ExitCode::from(USAGE);
    }
    let path = shared
        .pid_file
        .unwrap_or_else(|| pid_file::usual_path(file.as_deref()));
    match pid_file::reload(&path) {
        Ok(pid) => {
            print(format!("told process {pid} to read its configuration again\n").as_bytes())
        }
        Err(reason) => fail(&format!(
            "{reason} (looked at {})\nstart one with `{}`, or name its file with --pid-file",
            path.display(),
            start_command(shared.config),
        )),
    }
}

fn start_command(config: Option<PathBuf>) -> String {
    match config {
        Some(path) => format!("dreamserver --config {}", path.display()),
        None => "dreamserver".into(),
    }
}

fn plan(base: Base, chosen: Chosen, shared: args::Shared) -> Result<Plan, ExitCode> {
    let overrides = Overrides {
        listen: shared.listen,
        listen_tls: TlsAddress::all(&shared.listen_tls),
        instead: Vec::new(),
        control: shared.control,
        state: shared.state,
        authority: shared.authority,
        take_over: chosen.take_over,
        mode: chosen.mode,
        log: chosen.log,
    };
    Plan::new(base, overrides, shared.pid_file).map_err(|errors| {
        report(&errors);
        ExitCode::from(USAGE)
    })
}

fn man_page() -> ExitCode {
    let mut page = Vec::new();
    match clap_mangen::Man::new(Arguments::described()).render(&mut page) {
        Ok(()) => print(&page),
        Err(error) => fail(&error.to_string()),
    }
}

fn report(errors: &config::Errors) {
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let count = match errors.count() {
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    };
    // Nobody is left to tell if standard error is closed.
    let _ = writeln!(
        io::stderr(),
        "{}\n\ndreamserver: {count} in the configuration",
        errors.render(colours)
    );
}

/// Prints to standard output. A reader that left early, such as `head`, is no failure.
fn print(bytes: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "dreamserver: {message}");
    ExitCode::FAILURE
}

/// The exit code for wrong arguments and a wrong configuration, which clap uses too.
const USAGE: u8 = 2;
