"""Who takes part, and how each is started. Their configurations are the templates in bench/peers/."""
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Server:
    name: str
    command: tuple  # with {binary}, {config}, {folder} and {port}
    handlers: frozenset  # what it can do of proxy, files, routes
    codings: frozenset = frozenset()  # in which it can compress
    template: str = ""
    package: str = ""  # Debian's
    version: tuple = ()  # the command that tells it
    floor: bool = False  # what is physically possible, not a server that one would choose
    fast: bool = False  # counts when the fixed rate is chosen
    output: str = "output.log"  # where its standard output goes
    environment: dict = field(default_factory=dict)


OURS = Server(
    name="dreamserver",
    command=("{binary}", "--config", "{config}", "--pid-file", "{folder}/pid"),
    handlers=frozenset(["proxy", "files", "routes"]),
    codings=frozenset(["gzip", "br", "zstd"]),
    template="dreamserver.toml",
    version=("{binary}", "--version"),
)

PEERS = (
    Server(
        name="nginx",
        command=("nginx", "-c", "{config}", "-e", "{folder}/error.log"),
        handlers=frozenset(["proxy", "files"]),
        codings=frozenset(["gzip"]),
        template="nginx.conf",
        package="nginx",
        version=("nginx", "-v"),
        fast=True,
    ),
    Server(
        name="haproxy",
        command=("haproxy", "-db", "-f", "{config}"),
        handlers=frozenset(["proxy"]),
        codings=frozenset(["gzip"]),
        template="haproxy.cfg",
        package="haproxy",
        version=("haproxy", "-v"),
        fast=True,
        output="access.log",
    ),
    Server(
        name="h2o",
        command=("h2o", "-c", "{config}"),
        handlers=frozenset(["proxy", "files"]),
        codings=frozenset(["gzip", "br"]),
        template="h2o.conf",
        package="h2o",
        version=("h2o", "--version"),
        fast=True,
    ),
    Server(
        name="caddy",
        command=("caddy", "run", "--config", "{config}", "--adapter", "caddyfile"),
        handlers=frozenset(["proxy", "files"]),
        codings=frozenset(["gzip", "zstd"]),
        template="Caddyfile",
        package="caddy",
        version=("caddy", "version"),
        environment={"GOMAXPROCS": "1", "HOME": "{folder}", "XDG_DATA_HOME": "{folder}", "XDG_CONFIG_HOME": "{folder}"},
    ),
    Server(
        name="forwarder",
        command=("haproxy", "-db", "-f", "{config}"),
        handlers=frozenset(["proxy"]),
        template="haproxy-tcp.cfg",
        package="haproxy",
        floor=True,
    ),
    Server(
        name="answer",
        command=("{floor}", "{port}", "{orders}"),
        handlers=frozenset(["files"]),
        floor=True,
    ),
)

NAMES = tuple(server.name for server in (OURS, *PEERS))
NO_FILES = "does not serve files"
NO_PROXY = "does not pass requests on"
NO_CODING = "does not compress"


def why_not(server, scenario):
    """The reason why a server cannot take part; None if it can."""
    if scenario.handler not in server.handlers:
        return {"files": NO_FILES, "proxy": NO_PROXY}[scenario.handler]
    if scenario.coding and scenario.coding not in server.codings:
        return f"does not compress with {scenario.coding}" if server.codings else NO_CODING
    return None
