"""What one round of load against one server gave."""
import re
from dataclasses import dataclass

from .meter import Meter, Reading


@dataclass(frozen=True)
class Round:
    requests: float
    per_second: float
    p50: float  # µs; 0 if no request was over within the round
    p99: float
    reading: Reading
    bytes: float = 0  # of an answer with its head, where that was counted


def meter_of(contestant):
    return Meter(contestant.process.pid, contestant.stage.cores)


def numbers(line):
    """The figures of a line of `name=number`."""
    return {name: float(number) for name, number in re.findall(r"(\w+)=([\d.]+)", line)}
