"""One measured stretch of time: what the server used of its core, and what others did on the cores that we use."""
import os
import time
from dataclasses import dataclass

from . import proc


@dataclass(frozen=True)
class Reading:
    seconds: float
    cpu: proc.Cpu
    foreign: float  # share of a core that processes had which are not ours
    steal: float  # share of a core that the machine below took


@dataclass(frozen=True)
class Sample:
    moment: float
    cpu: proc.Cpu  # of the server
    ours: float  # seconds that the whole comparison used
    cores: list

    def until(self, after):
        seconds = after.moment - self.moment
        cores = [now - before for now, before in zip(after.cores, self.cores, strict=True)]
        others = sum(core.busy for core in cores) - (after.ours - self.ours)
        return Reading(seconds, after.cpu - self.cpu, max(0, others) / seconds, max(core.steal for core in cores) / seconds)


class Meter:
    def __init__(self, pid, cores):
        self.pid, self.cores = pid, sorted({cores.server, cores.load, cores.origin})

    def begin(self):
        self.before = self.sample()

    def end(self):
        return self.before.until(self.sample())

    def sample(self):
        cores = [proc.core(number) for number in self.cores]
        return Sample(time.monotonic(), proc.cpu(self.pid), proc.ever_used(os.getpid()), cores)
