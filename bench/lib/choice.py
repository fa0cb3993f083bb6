"""What the command line chose."""
import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from .scenarios import SCENARIOS
from .servers import NAMES
from .stage import Cores

TEXT = """Compares DreamServer with other servers: CPU time per request, throughput, latency and memory.

Each server runs with one worker on one core; load and origin run on another. Rounds go A B C A B C, medians are
taken. bench/README.md says how to read what comes out. What is missing of nginx, haproxy, h2o, caddy, wrk and gcc is
installed from Debian's packages, as root; for others, the command to type is shown.
"""
END = """examples:
  bench/run                                   everything, over an hour; writes bench/results/ and the README's figures
  bench/run --quick                           everything once over, in a few minutes
  bench/run --scenario proxy-1k --server nginx
  bench/run --scenario file-1k --ours old/dreamserver --ours new/dreamserver --server dreamserver

exit status: 0 when every request of every server was answered as it should be, 1 when not, 2 for a wrong command line.
Figures do not change it.
"""
ROUNDS, SECONDS = 5, 2
QUICK_ROUNDS, QUICK_SECONDS = 1, 1


@dataclass(frozen=True)
class Choice:
    scenarios: tuple  # names; empty for all
    servers: tuple
    builds: dict  # label → binary; empty: build one
    rounds: int
    seconds: int
    cores: Cores
    out: Path  # None: bench/results for everything, else target/bench

    @property
    def everything(self):
        return not self.scenarios and set(self.servers) == set(NAMES) and len(self.builds) <= 1


def parse(arguments):
    found = parser().parse_args(arguments)
    if found.list:
        print("\n".join(f"{each.name:16}{each.title}" for each in SCENARIOS))
        sys.exit()
    return Choice(
        scenarios=tuple(found.scenario),
        servers=tuple(found.server) or NAMES,
        builds=labelled(found.ours),
        rounds=found.rounds or (QUICK_ROUNDS if found.quick else ROUNDS),
        seconds=found.seconds or (QUICK_SECONDS if found.quick else SECONDS),
        cores=found.cores,
        out=found.out,
    )


def parser():
    made = argparse.ArgumentParser(prog="bench/run", description=TEXT, epilog=END,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("--list", action="store_true", help="list the scenarios")
    add("--scenario", action="append", default=[], choices=[each.name for each in SCENARIOS], metavar="NAME",
        help="only this one; may be repeated")
    add("--server", action="append", default=[], choices=NAMES, metavar="NAME",
        help=f"compare with this one only; may be repeated: {', '.join(NAMES)}")
    add("--ours", action="append", default=[], type=existing, metavar="PATH",
        help="this build of DreamServer instead of a new one; may be repeated")
    add("--rounds", type=positive, metavar="N", help=f"for each server (default {ROUNDS})")
    add("--seconds", type=positive, metavar="N", help=f"of each round (default {SECONDS})")
    add("--quick", action="store_true", help=f"{QUICK_ROUNDS} round of {QUICK_SECONDS} s")
    add("--cores", type=cores, default=Cores(0, 1, 1), metavar="SERVER,LOAD[,ORIGIN]",
        help="who runs where (default 0,1: the origin beside the load)")
    add("--out", type=Path, metavar="DIR", help="where to write (default: bench/results/ for a run of everything, "
        "else target/bench/)")
    return made


def labelled(paths):
    return {f"dreamserver{'' if at == 0 else f'-{at + 1}'}": path for at, path in enumerate(paths)}


def existing(text):
    if not os.access(text, os.X_OK) or os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text} is not a program")
    return os.path.abspath(text)


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above zero")
    return int(text)


def cores(text):
    numbers = [int(part) for part in text.split(",")]
    if not 2 <= len(numbers) <= 3 or not set(numbers) <= os.sched_getaffinity(0) or numbers[0] in numbers[1:]:
        raise argparse.ArgumentTypeError(f"{text}: two or three of the cores {sorted(os.sched_getaffinity(0))}, "
                                         "the server's its own")
    return Cores(numbers[0], numbers[1], numbers[-1])
