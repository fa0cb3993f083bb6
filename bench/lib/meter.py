"""One measured stretch of time: what the server used of its core, and what others did."""
import time
from dataclasses import dataclass

from . import proc


@dataclass(frozen=True)
class Reading:
    seconds: float
    cpu: proc.Cpu
    foreign: float  # share of the server's core that other processes had
    steal: float  # share of both cores that the machine below took


class Meter:
    def __init__(self, pid, server_core, load_core):
        self.pid, self.server_core, self.load_core = pid, server_core, load_core

    def begin(self):
        self.before = self.sample()

    def end(self):
        after = self.sample()
        seconds = after[0] - self.before[0]
        used = after[1] - self.before[1]
        busy = after[2].busy - self.before[2].busy
        steal = max(after[at].steal - self.before[at].steal for at in (2, 3))
        return Reading(seconds, used, max(0, busy - used.total) / seconds, steal / seconds)

    def sample(self):
        return time.monotonic(), proc.cpu(self.pid), proc.core(self.server_core), proc.core(self.load_core)
