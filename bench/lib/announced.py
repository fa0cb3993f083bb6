"""What announcements cost: a table of many names, a change of it, and a flood of datagrams. The figures are printed, with the
bars that they are held against."""
import argparse
import os
import sys
import tempfile
from pathlib import Path

from . import choice, flood, many, setup
from .failure import Failed
from .origin import Origin
from .stage import Stage

TEXT = """Measures what announcements cost the server, each part in a new process of it.

The table has --names names. `table` starts with it, and says what that takes; `changes` announces more, lists them, and has
everything written anew meanwhile; `requests` asks for names at random, and compares with a table of one; `flood` sends 50,000
datagrams a second beside the requests.
"""
PARTS = {"table": many.table, "changes": many.changes, "requests": many.requests, "flood": flood.flood}


def main(arguments):
    chosen = parse(arguments)
    try:
        setup.install(())
        with tempfile.TemporaryDirectory(prefix="dreamserver-bench-", dir=chosen.folder) as folder:
            measure(chosen, folder)
    except Failed as failure:
        print(f"bench/announced: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def measure(chosen, folder):
    binary = chosen.ours or setup.build()
    compiled = {name: setup.compile_c(setup.BENCH / place, folder) for name, place in
                (("floor", "floor/answer.c"), ("pace", "load/pace.c"), ("flood", "load/flood.c"))}
    stage = Stage(folder, chosen.cores, compiled["floor"], compiled["pace"])
    chosen.flood = compiled["flood"]
    origin = Origin("announced names", stage, Path(folder, "origin"))
    try:
        for part in chosen.part or PARTS:
            print(f"{part}", flush=True)
            PARTS[part](stage, binary, origin, chosen)
    finally:
        origin.stop()


def parse(arguments):
    made = argparse.ArgumentParser(prog="bench/announced", description=TEXT,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("--part", action="append", default=[], choices=PARTS, help="only this one; may be repeated")
    add("--names", type=choice.positive, default=1_000_000, metavar="N", help="in the table (default 1,000,000)")
    add("--ports", type=choice.positive, default=1000, metavar="N", help="that they lead to (default 1,000)")
    add("--seconds", type=choice.positive, default=4, metavar="N", help="of load, each time (default 4)")
    add("--rounds", type=choice.positive, default=5, metavar="N", help="of load (default 5)")
    add("--ours", type=choice.existing, metavar="PATH", help="this build of DreamServer instead of a new one")
    add("--cores", type=choice.cores, default=choice.Cores(0, 1, 1), metavar="SERVER,LOAD[,ORIGIN]",
        help="who runs where under load (default 0,1: the origin beside the load)")
    add("--folder", type=Path, default=None, metavar="DIR", help="where the state is kept meanwhile (default: $TMPDIR)")
    found = made.parse_args(arguments)
    found.cores_all = sorted(os.sched_getaffinity(0))
    return found

