"""A flood of datagrams beside requests: what it adds to their cost."""
from . import statefolder
from .coreserver import CoreServer
from .line import figure
from .load import compared

RATE = 50_000  # datagrams a second
KINDS = ("junk", "adds", "mixed")


def flood(stage, binary, origin, chosen):
    """Without a flood, and with one of each kind."""
    folder = stage.folder / "flooded"
    statefolder.write(folder / "state", [origin.port], 1)
    with CoreServer(binary, folder, [stage.cores.server]) as server:
        server.until_served(statefolder.name(0))
        floods = [[chosen.flood, str(server.control), kind, str(RATE), str(origin.port)] for kind in KINDS]
        contestants = [(server, 1, beside) for beside in (None, *floods)]
        without, *flooded = compared(stage, chosen, contestants)
    figure("CPU time of a request, without a flood", f"{without.process:.2f} µs")
    for kind, cost in zip(KINDS, flooded):
        figure(f"… {RATE} datagrams a second ({kind}), threads that serve",
               f"{cost.serving:.2f} µs = {cost.serving / without.serving:.2f} ×", "bar: 1.10 ×")
        figure("     the whole process", f"{cost.process:.2f} µs = {cost.process / without.process:.2f} ×", "bar: 1.10 ×")
