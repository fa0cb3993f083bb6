//! What the program, its tests and its benches use of the rooms. It is no part of the API: it changes without notice.

pub use crate::cli::main;

pub mod acme {
    pub use crate::acme::{
        Announce, Check, Clock, Office, Opening, Permission, Permit, Refusal, Wildcard,
    };
}

pub mod challenges {
    pub use crate::challenges::Challenges;
}

pub mod coding {
    pub use crate::coding::CompressOptions;
}

pub mod config {
    pub use crate::config::{AcmeOptions, Authority, Eab};
}

pub mod credential {
    pub use crate::credential::Credential;
}

pub mod exchange {
    pub use crate::exchange::{Ends, FileBody, FileState, SharedFile};

    /// The two ends of a connection without addresses.
    pub fn nobody() -> crate::Peer {
        crate::Peer::local()
    }
}

pub mod handler {
    pub use crate::handler::{Handler, State};

    pub mod files {
        pub use crate::handler::files::{Files, Kept, Options, Store, Versions};
    }

    pub mod fixed {
        pub use crate::handler::fixed::Respond;
    }

    pub mod proxy {
        pub use crate::handler::proxy::{Options, Proxy};
    }
}

pub mod limits {
    pub use crate::limits::{Limits, Timeouts};
}

pub mod listener {
    pub use crate::listener::{Gate, Place, bind, run};
}

pub mod log {
    pub use crate::log::{Format, Options, Target, Writer};
}

pub mod metrics {
    pub use crate::metrics::{Accounts, Metrics};
}

pub mod middleware {
    pub use crate::middleware::{Compress, Middleware};
}

pub mod protocol {
    pub use crate::protocol::h1::serve_connection;
}

pub mod router {
    pub use crate::router::{
        Found, Host, HostPattern, Matcher, Names, PathPattern, SiteRoutes, Table,
    };
}

pub mod serve {
    pub use crate::serve::{Announced, Core, Named, Route, Snapshot};
}

pub mod state {
    pub use crate::state::{Change, Entry, Folder, Recovered, Store};
}

pub mod stream {
    pub use crate::stream::Stream;
}

pub mod time {
    pub use crate::time::{Clock, TICK};
}

pub mod upstream {
    pub use crate::upstream::{Pools, Reach, Registry};
}
