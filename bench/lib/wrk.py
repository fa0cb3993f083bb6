"""The usual load: wrk, which asks again as soon as it has its answer. A failed request is a failed round."""
import re
import subprocess
import time

from .failure import Failed
from .round import Round, meter_of, numbers
from .stage import BENCH

HEAD_MOST = 1500  # bytes of a response's head, at most
UPLOAD = 10 * 1024 * 1024  # as in bench/load/wrk.lua
LOOK_SECONDS = 0.05


def drive(contestant, seconds, _rate=0):
    """Requests with small bodies are counted by their answers, others by the bytes that went through: those that were
    half done when the time was over cost their half."""
    scenario, meter = contestant.scenario, meter_of(contestant)
    before = contestant.origin.swallowed() if scenario.weigh == "swallowed" else 0
    meter.begin()
    figures = run(contestant, seconds)
    swallowed = in_the_end(contestant.origin) - before if scenario.weigh == "swallowed" else 0
    reading = meter.end()
    check(contestant, figures)
    requests = {"answers": figures["requests"], "received": figures["bytes"] / max(1, scenario.length),
                "swallowed": swallowed / UPLOAD}[scenario.weigh]
    if requests <= 0:
        raise Failed(f"{contestant.label} did not answer")
    took = reading.seconds if scenario.weigh == "swallowed" else figures["seconds"]
    return Round(requests, requests / took, figures["p50"], figures["p99"], reading,
                 figures["bytes"] / max(1, figures["requests"]))


def run(contestant, seconds):
    scenario = contestant.scenario
    fields = [part for name, value in contestant.fields for part in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{scenario.connections}", f"-d{seconds}s", "--timeout", "30s",
               "-s", str(BENCH / "load" / "wrk.lua"), *fields, f"{contestant.scheme}://127.0.0.1:{contestant.port}{scenario.path}",
               "--", scenario.mode]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"^figures (.*)$", done.stdout, re.M)
    if done.returncode or not found:
        raise Failed(f"wrk against {contestant.label}:\n{done.stdout}{done.stderr}")
    return numbers(found[1])


def check(contestant, figures):
    """No error of any kind, and answers of the right size."""
    scenario, requests = contestant.scenario, figures["requests"]
    expected = requests if scenario.status >= 400 else 0
    errors = sum(figures[name] for name in ("connect", "read", "write", "timeout"))
    if errors or figures["status"] != expected:
        raise Failed(f"requests to {contestant.label} failed: {figures}")
    size = figures["bytes"] / max(1, requests)
    # A coded answer may become shorter while it is looked at, but not by much.
    least, most = (contestant.body_bytes / 2, contestant.body_bytes) if scenario.coding else (scenario.length, scenario.length)
    if scenario.weigh == "answers" and not least <= size <= most * 1.1 + HEAD_MOST:
        raise Failed(f"{contestant.label} gave {requests:.0f} answers of {size:.0f} bytes")


def in_the_end(origin):
    """Bytes that the origin swallowed, once nothing is on its way any more."""
    before, now = -1, origin.swallowed()
    while now != before:
        time.sleep(LOOK_SECONDS)
        before, now = now, origin.swallowed()
    return now
