"""What the kernel counted, from /proc: CPU time and memory of processes, and what else the cores did."""
import os
import re
from dataclasses import dataclass
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """Seconds. The kernel's sum is exact; how it is divided is sampled at each tick."""

    user: float
    system: float

    def __add__(self, other):
        return Cpu(self.user + other.user, self.system + other.system)

    def __sub__(self, other):
        return Cpu(self.user - other.user, self.system - other.system)

    @property
    def total(self):
        return self.user + self.system


@dataclass(frozen=True)
class Core:
    """Seconds that a core was busy, and seconds that the machine below us gave to others."""

    busy: float
    steal: float

    def __sub__(self, other):
        return Core(self.busy - other.busy, self.steal - other.steal)


def tree(pid):
    """A process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [each for child in children for each in tree(int(child))]


def cpu(pid):
    """Of a process and its descendants, in all threads, those that ended too."""
    return sum((cpu_of_one(each) for each in tree(pid)), Cpu(0, 0))


def cpu_of_one(pid):
    user, system, _, _ = times(pid)
    return Cpu(user, system)


def ever_used(pid):
    """Seconds of a process, its descendants, and those of them that are gone."""
    return sum(sum(times(each)) for each in tree(pid))


def times(pid):
    """User and system seconds of a process, and those of the children that it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) * TICK for field in fields[11:15]]


def resident(pid):
    """Bytes of memory, with what processes share counted once (Pss)."""
    return sum(rollup(each, "Pss") for each in tree(pid))


def private(pid):
    """Bytes of memory that is no file's: heap and stacks."""
    return sum(rollup(each, "Pss_Anon") for each in tree(pid))


def rollup(pid, name):
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    return int(found[1]) * 1024


def core(number):
    line = re.search(rf"^cpu{number} (.*)$", Path("/proc/stat").read_text(), re.M)[1]
    user, nice, system, _, _, irq, softirq, steal = (int(field) * TICK for field in line.split()[:8])
    return Core(user + nice + system + irq + softirq, steal)
