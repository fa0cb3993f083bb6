//! A core on a thread of its own, which shows authorities what they look for, and an office beside it.

use dream_testkit::Folder;
use dreamserver::inside::acme::{Announce, Clock, Office, Opening, Permission, Permit, Refusal};
use dreamserver::inside::challenges::Challenges;
use dreamserver::inside::config::{AcmeOptions, Authority};
use dreamserver::inside::credential::Credential;
use dreamserver::inside::handler::{Handler, State, files, fixed::Respond};
use dreamserver::inside::limits::{Limits, Timeouts};
use dreamserver::inside::listener::{self, Gate, Place, bind};
use dreamserver::inside::log;
use dreamserver::inside::router::{HostPattern, Matcher, PathPattern, SiteRoutes, Table};
use dreamserver::inside::serve::{Core, Route, Snapshot};
use dreamserver::inside::time::{Clock as CoreClock, TICK};
use dreamserver::inside::upstream::Pools;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Notify, oneshot};

/// A core that answers every request with its site, but for what authorities look for.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) challenges: Challenges,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl House {
    pub(crate) fn new() -> House {
        House::at(0)
    }

    /// At this port.
    pub(crate) fn at(port: u16) -> House {
        let mut bound = bind((Ipv4Addr::LOCALHOST, port).into(), 1).unwrap();
        let bound = bound.remove(0);
        let (address, challenges) = (bound.address, Challenges::default());
        let (stop, stopped) = oneshot::channel();
        let shown = challenges.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default())
                .unwrap();
            runtime.block_on(async {
                let core = core(shown);
                let place = Place {
                    core: core.clone(),
                    terms: Rc::default(),
                    gate: Gate::new(1000, 1000),
                };
                let running = listener::run(place, bound, None, Rc::new(Notify::new()));
                tokio::select! {
                    ended = running => ended.unwrap(),
                    () = tick(&core) => {}
                    _ = stopped => {}
                }
            });
        });
        House {
            address,
            challenges,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

fn core(challenges: Challenges) -> Rc<Core> {
    let route = Route {
        strip: 0,
        chain: Vec::new(),
        handler: Handler::Respond(Respond::new(200, "the site".into(), "text/plain".into())),
    };
    let site = SiteRoutes {
        hosts: vec![HostPattern::Any],
        routes: vec![(Matcher::path(PathPattern::all()), Arc::new(route))],
    };
    let snapshot = Snapshot {
        table: Table::build(vec![site]).unwrap_or_else(|_| panic!("no conflict")),
        not_found: None,
        pages: None,
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        trusted: Vec::new(),
    };
    let clock = CoreClock::new(Instant::now());
    let state = State {
        files: files::Store::new(0),
        pools: Pools::new(clock.clone(), &snapshot.limits, &snapshot.timeouts),
    };
    let off = log::Options {
        target: log::Target::Off,
        ..log::Options::default()
    };
    let log = log::Writer::start(&off).unwrap().sink();
    let core = Core::new(clock, state, log, Arc::new(snapshot));
    Rc::new(core.with_challenges(challenges))
}

async fn tick(core: &Core) {
    let mut beat = tokio::time::interval(TICK);
    loop {
        beat.tick().await;
        core.clock.advance(Instant::now(), SystemTime::now());
    }
}

/// What an office is opened with, to be changed before it is.
pub(crate) struct Plan {
    pub(crate) options: AcmeOptions,
    pub(crate) challenges: Challenges,
    pub(crate) permit: Permit,
    pub(crate) clock: Clock,
    pub(crate) folder: PathBuf,
    pub(crate) came: Arc<Mutex<Vec<String>>>,
}

impl Plan {
    /// An office for this house, with this authority; every name is served.
    pub(crate) fn new(house: &House, folder: &Folder, directory: &str, root: PathBuf) -> Plan {
        let options = AcmeOptions {
            authority: authority(directory, root),
            http_port: house.address.port(),
            wait: Duration::from_secs(15),
            ..AcmeOptions::default()
        };
        Plan {
            options,
            challenges: house.challenges.clone(),
            permit: Arc::new(|_| Permission::Exact),
            clock: Clock::system(),
            folder: folder.join("acme"),
            came: Arc::default(),
        }
    }

    pub(crate) fn open(&self) -> Office {
        let came = self.came.clone();
        let announce: Announce =
            Box::new(move |name: &str, _: &Credential| came.lock().unwrap().push(name.to_owned()));
        Office::start(Opening {
            options: self.options.clone(),
            folder: self.folder.clone(),
            challenges: self.challenges.clone(),
            permit: self.permit.clone(),
            announce,
            clock: self.clock.clone(),
        })
        .unwrap()
    }
}

pub(crate) fn authority(directory: &str, root: PathBuf) -> Authority {
    Authority {
        directory: directory.to_owned(),
        root: Some(root),
        eab: None,
        profile: None,
    }
}

/// Waits for what an office does.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// The error and the advice of a refusal.
#[track_caller]
pub(crate) fn failed(answer: Result<Credential, Refusal>) -> (String, String) {
    match answer {
        Err(Refusal::Failed { error, advice, .. }) => (error, advice),
        other => panic!("{other:?}"),
    }
}

/// Wants all of these at once.
pub(crate) fn wait_all(
    office: &Office,
    names: impl Iterator<Item = String>,
) -> Vec<Result<Credential, Refusal>> {
    wait(async {
        let mut asked = tokio::task::JoinSet::new();
        for name in names {
            let office = office.clone();
            asked.spawn(async move { office.want(&name).await });
        }
        asked.join_all().await
    })
}
