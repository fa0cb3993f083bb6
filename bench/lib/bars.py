"""The bars that DreamServer is to clear, and the goals beyond them, as data. Ratios below one are in its favour.

They judge figures of one run, so they say nothing when the scenarios that they need were not in it. No exit status
depends on them: times are measured here, not tested.
"""
from dataclasses import dataclass

from . import servers

OURS = servers.OURS.name
TWO = ("nginx", "haproxy")
PEERS = tuple(server.name for server in servers.PEERS if not server.floor)


@dataclass(frozen=True)
class Against:
    """A figure of ours, divided by the best one of others in the same scenario."""

    scenario: str
    others: tuple
    what: str = "cpu_us"

    def of(self, results):
        ours = results.figure(self.scenario, OURS, self.what)
        others = [figure for other in self.others if (figure := results.figure(self.scenario, other, self.what))]
        return ours / min(others) if ours and others else None


@dataclass(frozen=True)
class Growth:
    """What a request costs with many connections, divided by what it costs with few."""

    many: str
    few: str
    server: str = OURS

    def of(self, results):
        many, few = (results.figure(each, self.server, "cpu_us") for each in (self.many, self.few))
        return many / few if many and few else None


@dataclass(frozen=True)
class GrowthAgainst:
    """How much dearer many connections make ours, divided by how much dearer they make another."""

    many: str
    few: str
    other: str

    def of(self, results):
        ours, other = (Growth(self.many, self.few, server).of(results) for server in (OURS, self.other))
        if ours is None or other is None:
            return None
        return max(0.0, ours - 1) / max(0.01, other - 1)  # a peer that does not grow leaves a hundredth


@dataclass(frozen=True)
class IdleKib:
    """KiB of memory of an idle connection."""

    connections: str

    def of(self, results):
        sizes = results.figure("idle", OURS, "idle_bytes")
        return sizes[self.connections] / 1024 if sizes else None


@dataclass(frozen=True)
class IdleAgainst:
    """Memory of an idle connection, divided by another's."""

    scenario: str
    other: str
    connections: str

    def of(self, results):
        ours, other = (results.figure(self.scenario, server, "idle_bytes") for server in (OURS, self.other))
        return ours[self.connections] / other[self.connections] if ours and other else None


@dataclass(frozen=True)
class Bar:
    title: str
    unit: str
    figure: object
    bar: float = None
    goal: float = None
    size: Against = None  # without an answer at most as long as the other's, it does not count


def compressed(title, scenario, other):
    return Bar(title, f"× {other}", Against(scenario, (other,)), 0.80, size=Against(scenario, (other,), "body_bytes"))


BARS = (
    Bar("proxied 1 KiB, log off", "× nginx", Against("proxy-1k", ("nginx",)), 0.85),
    Bar("proxied 1 KiB, log off", "× forwarder", Against("proxy-1k", ("forwarder",)), 1.10, 1.00),
    Bar("proxied 1 KiB, access log on", "× nginx", Against("proxy-1k-log", ("nginx",)), 0.85),
    Bar("proxied 1 KiB, access log on", "× ours, log off", Against("proxy-1k-log", ("dreamserver, log off",)), None, 1.05),
    Bar("proxied 100 KiB", "× best peer", Against("proxy-100k", PEERS), 0.90),
    Bar("proxied 10 MiB", "× best peer", Against("proxy-10m", PEERS), 0.90),
    Bar("proxied upload of 10 MiB", "× best peer", Against("proxy-upload", PEERS), 0.90),
    Bar("file 1 KiB", "× nginx", Against("file-1k", ("nginx",)), 0.60),
    Bar("file 1 KiB", "× fixed answer", Against("file-1k", ("answer",)), None, 1.30),
    Bar("file 100 KiB", "× best peer", Against("file-100k", PEERS), 1.00, 0.85),
    Bar("file 1 MiB", "× best peer", Against("file-1m", PEERS), 1.00, 0.85),
    Bar("accept path (file 1 KiB, a connection each)", "× nginx", Against("file-close", ("nginx",)), 1.00),
    Bar("growth, 8,000 connections and files", "× nginx's growth", GrowthAgainst("file-8000", "file-64", "nginx"), 0.50),
    Bar("8,000 connections and files", "× 64 connections", Growth("file-8000", "file-64"), None, 1.10),
    Bar("growth, 8,000 proxied connections", "× nginx's growth", GrowthAgainst("proxy-8000", "proxy-64", "nginx"), 0.50),
    Bar("8,000 proxied connections", "× 64 connections", Growth("proxy-8000", "proxy-64"), None, 1.10),
    Bar("memory of an idle connection", "KiB", IdleKib("8000"), 4.0, 1.0),
    Bar("proxied 1 KiB over TLS", "× better of two", Against("tls-1k", TWO), 0.90),
    Bar("proxied 1 KiB, a full TLS handshake each", "× better of two", Against("tls-full", TWO), 1.00),
    Bar("proxied 1 KiB, a resumed TLS handshake each", "× better of two", Against("tls-resumed", TWO), 1.00),
    Bar("memory of an idle TLS connection", "× nginx", IdleAgainst("tls-idle", "nginx", "8000"), 0.70),
    Bar("p99, proxied 1 KiB at half load", "× best peer", Against("half-load", PEERS, "p99_us"), 1.10, 1.00),
    Bar("100,000 routes", "× 1 route", Against("routes", ("dreamserver, 1 route",)), 1.10),
    compressed("proxied 100 KiB JSON, gzip", "proxy-json-gzip", "nginx"),
    compressed("proxied 100 KiB JSON, gzip", "proxy-json-gzip", "nginx, level 5"),
    compressed("proxied 100 KiB JSON, gzip", "proxy-json-gzip", "caddy"),
    compressed("proxied 100 KiB JSON, zstd", "proxy-json-zstd", "caddy"),
    compressed("file 100 KiB JavaScript, gzip", "file-js-gzip", "nginx"),
    compressed("file 100 KiB JavaScript, gzip", "file-js-gzip", "nginx, level 5"),
    compressed("file 100 KiB JavaScript, gzip", "file-js-gzip", "caddy"),
    compressed("file 100 KiB JavaScript, zstd", "file-js-zstd", "caddy"),
)


def judge(results):
    """The bars whose scenarios ran, each with its figure."""
    judged = []
    for bar in BARS:
        figure = bar.figure.of(results)
        size = bar.size.of(results) if bar.size else None
        if figure is not None:
            judged.append({"title": bar.title, "unit": bar.unit, "figure": figure, "size": size, "bar": bar.bar, "goal": bar.goal,
                           "met": met(figure, bar.bar) and met_size(size), "goal_met": met(figure, bar.goal)})
    return judged


def met(figure, limit):
    """To the two places that are shown."""
    return None if limit is None else round(figure, 2) <= limit


def met_size(size):
    return size is None or met(size, 1.00)
