"""Load on a core server, round by round, and what its threads used for it."""
import re
import subprocess
from dataclasses import dataclass

from . import proc
from .failure import Failed
from .round import numbers
from .stage import BENCH


@dataclass(frozen=True)
class Cost:
    """µs of a request: in the whole process, and in the threads that serve."""

    process: float
    serving: float


def compared(stage, chosen, contestants):
    """The cost for each contestant, which is a server, how many names it is asked for, and what happens beside (a command, or
    nothing). Rounds go A B A B, after one that does not count; what is given is the cheapest: others on the machine only add to it."""
    costs = [[] for _ in contestants]
    for number in range(chosen.rounds + 1):
        for (server, names, beside), list_ in zip(contestants, costs):
            cost = one_round(stage, chosen.seconds, server, names, beside)
            if number > 0:
                list_.append(cost)
    return [Cost(min(cost.process for cost in list_), min(cost.serving for cost in list_)) for list_ in costs]


def one_round(stage, seconds, server, names, beside):
    command = ["wrk", "-t1", "-c64", f"-d{seconds}s", "--timeout", "30s", "-s", str(BENCH / "load" / "wrk.lua"),
               f"http://127.0.0.1:{server.port}/1k.txt", "--", "names", str(names)]
    other = subprocess.Popen([*beside, str(seconds)], stdout=subprocess.DEVNULL) if beside else None
    before = server.threads(), proc.cpu(server.pid)
    done = subprocess.run(command, capture_output=True, text=True)
    after = server.threads(), proc.cpu(server.pid)
    if other and other.wait():
        raise Failed(f"{beside[0]} failed")
    found = re.search(r"^figures (.*)$", done.stdout, re.M)
    if done.returncode or not found:
        raise Failed(f"wrk:\n{done.stdout}{done.stderr}")
    figures = numbers(found[1])
    if any(figures[name] for name in ("status", "connect", "read", "write", "timeout")):
        raise Failed(f"requests failed: {figures}")
    return cost(before, after, figures)


def cost(before, after, figures):
    (threads_before, all_before), (threads_after, all_after) = before, after
    each = 1e6 / figures["requests"]
    serving = sum(seconds - threads_before[thread][1] for thread, (name, seconds) in threads_after.items()
                  if name.startswith("core-"))
    return Cost((all_after - all_before).total * each, serving * each)
