"""Many names: what the table takes, what a change costs, and what a request costs in it."""
import os
import threading
import time
from statistics import median

from . import statefolder
from .coreserver import Announcer, Client, CoreServer
from .failure import Failed
from .line import figure
from .load import compared

SETTLE_SECONDS = 3  # until memory that a start has needed is given back
ADDS = 500
PAGES = 300
CONNECTIONS = 16  # on a machine of few cores, all of them have some
JOURNALS = 12  # so many behind a checkpoint are a reason to write it anew
FSYNCS = 100


def table(stage, binary, origin, chosen):
    """Start-up and memory."""
    empty, full = stage.folder / "empty", stage.folder / "table"
    statefolder.write(full / "state", ports(origin, chosen), chosen.names)
    statefolder.write(empty / "state", [origin.port], 1)
    resting = []
    for folder in (empty, full):
        with CoreServer(binary, folder, chosen.cores_all) as server:
            began = server.until_served(statefolder.name(0))
            time.sleep(SETTLE_SECONDS)
            resting.append(server.memory())
            peak = server.memory("VmHWM")
    figure("start until a name is served", f"{began:.2f} s", "bar: 2 s")
    figure("memory of the table", f"{(resting[1] - resting[0]) / 1e6:.0f} MB", "bar: 200 MB")
    figure("memory of the process at most, while it starts", f"{peak / 1e6:.0f} MB")


def changes(stage, binary, origin, chosen):
    """Announcements one after the other, and everything else that goes on meanwhile."""
    folder = stage.folder / "changes"
    statefolder.write(folder / "state", ports(origin, chosen), chosen.names)
    figure("fdatasync of a small file on this disk", milliseconds([fdatasync(folder) for _ in range(FSYNCS)]))
    with CoreServer(binary, folder, chosen.cores_all) as server:
        server.until_served(statefolder.name(0))
        announcer = Announcer(server)
        routed(server, announcer, origin.port)
        paging(server, announcer, origin.port)
    folder = stage.folder / "compaction"
    statefolder.write(folder / "state", ports(origin, chosen), chosen.names, JOURNALS)
    with CoreServer(binary, folder, chosen.cores_all) as server:
        server.until_served(statefolder.name(0))
        compaction(server, Announcer(server), origin.port, folder / "state")


def routed(server, announcer, port):
    """Adds, and requests for each of them by every core."""
    clients = [Client(server, statefolder.name(0)) for _ in range(CONNECTIONS)]
    known = [asked_by_all(clients, statefolder.name(0))[0] for _ in range(ADDS)]
    answered, served, late = [], [], 0
    for number in range(ADDS):
        name = f"new-{number}.example.com"
        answered.append(announcer.say(f"add {name} {port}")[1])
        took, statuses = asked_by_all(clients, name)
        served.append(took)
        late += any(status != 200 for status in statuses)
    figure("add: sent until ok", milliseconds(answered))
    figure(f"then {CONNECTIONS} requests for it, on all cores", milliseconds(served))
    figure("the same for a name that is known", milliseconds(known))
    figure("adds that a core did not serve yet when ok had come", f"{late} of {ADDS}", "bar: 0")


def asked_by_all(clients, host):
    """Seconds, and what each connection got."""
    begun = time.perf_counter()
    for client in clients:
        client.send(host)
    statuses = [client.receive() for client in clients]
    return time.perf_counter() - begun, statuses


def paging(server, announcer, port):
    """Pages of the list, while another program announces."""
    stop = threading.Event()
    others = threading.Thread(target=announce_until, args=(stop, Announcer(server), port))
    others.start()
    try:
        pages, after = [], ""
        for _ in range(PAGES):
            reply, took = announcer.say(f"list{after}")
            pages.append(took)
            after = " after=" + reply.partition("\n")[0].partition(" next=")[2]
            if after == " after=":
                break
    finally:
        stop.set()
        others.join()
    figure("a page of the list, while others announce", milliseconds(pages))


def announce_until(stop, announcer, port):
    number = 0
    while not stop.is_set():
        announcer.say(f"add other-{number}.example.com {port}")
        number += 1


def compaction(server, announcer, port, state):
    """The first change begins it; adds go on until it is over."""
    took, number, begun = [], 0, time.monotonic()
    before, over = checkpoint(state), None
    while over is None or time.monotonic() < over + 1:
        took.append(announcer.say(f"add during-{number}.example.com {port}")[1])
        number += 1
        if over is None and checkpoint(state) != before:
            over = time.monotonic()
        if time.monotonic() > begun + 60:
            raise Failed("the table is not written anew")
        time.sleep(0.001)
    figure("all names written anew, beside adds", f"{over - begun:.2f} s")
    figure("add: sent until ok, meanwhile", milliseconds(took))


def checkpoint(state):
    return max(file.name for file in state.glob("checkpoint-*.txt"))


def requests(stage, binary, origin, chosen):
    """Requests for names at random, in a table of one and of many; each round asks both."""
    servers = []
    try:
        for names in (1, chosen.names):
            folder = stage.folder / f"requests-{names}"
            statefolder.write(folder / "state", [origin.port], names)
            servers.append(CoreServer(binary, folder, [stage.cores.server]))
            servers[-1].until_served(statefolder.name(0))
        one, full = compared(stage, chosen, [(server, names, None) for server, names in zip(servers, (1, chosen.names))])
    finally:
        for server in servers:
            server.process.stop()
    figure("CPU time of a request in a table of one", f"{one.process:.2f} µs")
    figure("… of all", f"{full.process:.2f} µs = {full.process / one.process:.2f} ×", "bar: 1.10 ×")


def ports(origin, chosen):
    """Where the names lead: to the origin, and to ports where nobody is."""
    return [origin.port, *range(32000, 32000 + chosen.ports - 1)]


def fdatasync(folder):
    with open(folder / "synced", "ab") as file:
        file.write(b"x" * 60)
        file.flush()
        begun = time.perf_counter()
        os.fdatasync(file.fileno())
        return time.perf_counter() - begun


def milliseconds(times):
    times = sorted(times)
    p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
    return f"{median(times) * 1e3:.2f} ms, p99 {p99 * 1e3:.2f}, max {times[-1] * 1e3:.2f}"
