"""The load of bench/load/pace.c: at a fixed rate, or measured only when every connection is warm."""
import subprocess

from .failure import Failed
from .round import Round, meter_of, numbers

WARM_SECONDS = 0.5  # and as long as it takes to have an answer on each connection from a server
SLOWEST = 4000  # that answers so many a second


def drive(contestant, seconds, rate):
    scenario, meter = contestant.scenario, meter_of(contestant)
    with start(contestant, seconds, rate) as running:
        running.stdin.write(request(scenario.path, contestant.fields))
        running.stdin.close()
        if running.stdout.readline() == "begin\n":
            meter.begin()
        last = running.stdout.readline()
        if not last.startswith("end "):
            raise Failed(f"requests to {contestant.label} failed: {running.stderr.read()}")
        reading = meter.end()
    figures = numbers(last)
    return Round(figures["requests"], figures["requests"] / figures["seconds"], figures["p50"], figures["p99"], reading)


def start(contestant, seconds, rate):
    connections = contestant.scenario.connections
    warm_up = WARM_SECONDS + connections / SLOWEST
    command = [contestant.stage.pace, contestant.port, connections, warm_up, seconds, rate]
    return subprocess.Popen([str(part) for part in command], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def request(path, fields):
    return f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
