"""What is measured. A scenario is one kind of request to one kind of handler, put to every server that can answer it."""
from dataclasses import dataclass, field, replace

from . import contents, routes

KIB, MIB = 1024, 1024 * 1024
MANY = (1000, 8000)  # connections, where their number is the question
HANDSHAKERS = 4  # clients that do one handshake after the other
BROWSER = (
    ("Host", "www.example.com"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", "https://www.example.com/articles/2026/a-long-walk"),
    ("Cookie", "session=3f1c9a52d7e84b0c9d6f; theme=dark; seen=1719850000"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Cache-Control", "max-age=0"),
)
CLOSE = (("Host", "localhost"), ("Connection", "close"))


def taking(coding):
    return ("Host", "localhost"), ("Accept-Encoding", coding)


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    handler: str  # proxy, files or routes
    path: str = "/1k.txt"
    status: int = 200
    length: int = KIB  # of the response's body
    driver: str = "wrk"  # or pace, handshakes or idle
    mode: str = "plain"  # what wrk asks, see bench/load/wrk.lua; or the kind of handshakes
    connections: int = 64
    fields: tuple = (("Host", "localhost"),)
    conditional: bool = False  # asks with If-None-Match
    weigh: str = "answers"  # large bodies are counted by their bytes: received ones, or those that the origin swallowed
    half_rate: bool = False  # at half of what the slowest fast peer can do
    more: int = 1  # times as many rounds
    log: bool = False
    bare: bool = False  # no server is told to write fields of its own
    tls: bool = False  # 1.3, to the client
    routes: str = ""  # DreamServer's table
    coding: str = ""  # the only content coding that the client takes, and gets
    gzip_level: int = 1  # nginx's, who has this one if nothing is said
    twins: tuple = ()  # (label, what is different): a second DreamServer to compare with
    twins_of_peers: dict = field(default_factory=dict)  # server → as the above
    without: dict = field(default_factory=dict)  # server → why it cannot take part

    @property
    def pool(self):
        """Connections to the origin that may be kept: enough that none is closed for want of room."""
        return 2 * self.connections


NO_LOG = (("dreamserver, log off", {"log": False}),)
NGINX_5 = {"nginx": (("nginx, level 5", {"gzip_level": 5}),)}  # its answers are then about as long as ours
ONE_ROUTE = (("dreamserver, 1 route", {"routes": routes.ONE}),)
FIXED = {"answer": "has one fixed answer for each path"}
NO_HEADS = {"forwarder": "does not read requests, so it writes no log"}
NO_TLS = {"answer": "knows no TLS", "forwarder": "knows no TLS"}
NO_POOL = {"forwarder": "opens a connection to the origin for each of the client's, so it is no floor here"}

COMPRESSED = tuple(
    Scenario(f"{name}-{coding}", f"{title}, {coding}", handler, path=path, length=contents.LENGTH, fields=taking(coding), coding=coding,
             twins_of_peers=NGINX_5 if coding == "gzip" else {})
    for name, title, handler, path in (("proxy-json", "proxied 100 KiB JSON", "proxy", f"/{contents.ORDERS}"),
                                       ("file-js", "file 100 KiB JavaScript", "files", f"/{contents.SCRIPT}"))
    for coding in ("gzip", "br", "zstd")
)
SCENARIOS = (
    Scenario("proxy-1k", "proxied 1 KiB", "proxy"),
    Scenario("proxy-1k-log", "proxied 1 KiB, access log on", "proxy", log=True, twins=NO_LOG, without=NO_HEADS),
    Scenario("proxy-1k-bare", "proxied 1 KiB, peers add no forwarding fields", "proxy", bare=True),
    Scenario("proxy-browser", "proxied 1 KiB, request of 12 fields", "proxy", fields=BROWSER),
    Scenario("proxy-100k", "proxied 100 KiB", "proxy", path="/100k.txt", length=100 * KIB),
    Scenario("proxy-10m", "proxied 10 MiB", "proxy", path="/10m.txt", length=10 * MIB, weigh="received"),
    Scenario("proxy-upload", "proxied upload of 10 MiB", "proxy", path="/upload", length=9, mode="upload",
             weigh="swallowed"),
    Scenario("proxy-chunked", "proxied chunked 16 KiB", "proxy", path="/chunked", length=16 * KIB),
    Scenario("file-1k", "file 1 KiB", "files"),
    Scenario("file-1k-log", "file 1 KiB, access log on", "files", log=True, twins=NO_LOG, without=FIXED),
    Scenario("file-100k", "file 100 KiB", "files", path="/100k.txt", length=100 * KIB),
    Scenario("file-1m", "file 1 MiB", "files", path="/1m.txt", length=MIB),
    Scenario("file-close", "file 1 KiB, a connection each", "files", fields=CLOSE),
    Scenario("proxy-close", "proxied 1 KiB, a client connection each", "proxy", fields=CLOSE, without=NO_POOL),
    Scenario("file-404", "404", "files", path="/missing.txt", status=404, length=0),
    Scenario("file-304", "304", "files", status=304, length=0, conditional=True, without=FIXED),
    Scenario("file-64", "file 1 KiB, 64 warm connections", "files", driver="pace"),
    Scenario("file-1000", "file 1 KiB, 1,000 warm connections", "files", driver="pace", connections=1000),
    Scenario("file-8000", "file 1 KiB, 8,000 warm connections", "files", driver="pace", connections=8000),
    Scenario("proxy-64", "proxied 1 KiB, 64 warm connections", "proxy", driver="pace"),
    Scenario("proxy-1000", "proxied 1 KiB, 1,000 warm connections", "proxy", driver="pace", connections=1000),
    Scenario("proxy-8000", "proxied 1 KiB, 8,000 warm connections", "proxy", driver="pace", connections=8000),
    Scenario("idle", "memory of an idle connection", "files", driver="idle", connections=max(MANY)),
    Scenario("tls-1k", "proxied 1 KiB over TLS", "proxy", tls=True, without=NO_TLS),
    Scenario("tls-100k", "proxied 100 KiB over TLS", "proxy", tls=True, path="/100k.txt", length=100 * KIB, without=NO_TLS),
    Scenario("tls-upload", "proxied upload of 10 MiB over TLS", "proxy", tls=True, path="/upload", length=9, mode="upload",
             weigh="swallowed", without=NO_TLS),
    Scenario("tls-file-100k", "file 100 KiB over TLS", "files", tls=True, path="/100k.txt", length=100 * KIB,
             without=NO_TLS),
    Scenario("tls-full", "proxied 1 KiB, a full TLS handshake each", "proxy", tls=True, driver="handshakes", mode="new",
             connections=HANDSHAKERS, without=NO_TLS),
    Scenario("tls-resumed", "proxied 1 KiB, a resumed TLS handshake each", "proxy", tls=True, driver="handshakes",
             mode="reuse", connections=HANDSHAKERS, without=NO_TLS),
    Scenario("tls-idle", "memory of an idle TLS connection", "proxy", tls=True, driver="idle", connections=max(MANY),
             without=NO_TLS),
    Scenario("latency", "proxied 1 KiB, one connection", "proxy", connections=1),
    Scenario("half-load", "proxied 1 KiB at half load", "proxy", driver="pace", half_rate=True, more=2),
    Scenario("pipelined", "file 1 KiB, pipelined 16 deep", "files", mode="pipelined"),
    Scenario("routes", "fixed response, 1,000 sites with 100,000 routes", "routes", mode="routes", path="/part-1/page",
             length=len(routes.BODY), fields=(("Host", "site-1.example.com"),), routes=routes.MANY, twins=ONE_ROUTE),
    *COMPRESSED,
)


def named(names):
    """The scenarios of these names, in the table's order; all if there is none."""
    return tuple(each for each in SCENARIOS if not names or each.name in names)


def changed(scenario, differences):
    return replace(scenario, **differences)
