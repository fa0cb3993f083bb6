"""What the figures were measured on: figures without that are hearsay."""
import datetime
import platform
import re
import subprocess
from pathlib import Path

from .servers import NAMES, OURS, PEERS


def describe(choice, stage):
    return {
        "date": datetime.date.today().isoformat(),
        "processor": first(r"^model name\s*: (.*)$", "/proc/cpuinfo") or platform.machine(),
        "cores": sum(1 for _ in re.finditer(r"^processor", Path("/proc/cpuinfo").read_text(), re.M)),
        "memory_gib": round(int(first(r"^MemTotal:\s+(\d+)", "/proc/meminfo")) / (1 << 20)),
        "virtual": bool(first(r"^flags.*\b(hypervisor)\b", "/proc/cpuinfo")),
        "kernel": platform.release().partition("-")[0],
        "system": first(r'^PRETTY_NAME="(.*)"$', "/etc/os-release") or platform.system(),
        "cores_used": {"server": stage.cores.server, "load": stage.cores.load, "origin": stage.cores.origin},
        "versions": versions(choice) | {"wrk": version(("wrk", "-v"))},
        "commit": output(("git", "describe", "--always", "--dirty")),
    }


def first(pattern, path):
    try:
        found = re.search(pattern, Path(path).read_text(), re.M)
    except OSError:
        return None
    return found[1].strip() if found else None


def versions(choice):
    ours = {label: version([part.format(binary=binary) for part in OURS.version]) for label, binary in choice.builds.items()}
    peers = [server for server in PEERS if server.version and server.name in choice.servers]
    return ours | {server.name: version(server.version) for server in peers}


def version(command):
    """The first number with a dot of what it says."""
    found = re.search(r"\d+(\.\d+)+", output(command))
    return found[0] if found else "unknown"


def output(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip()


def sentence(machine):
    """The machine's class in a line."""
    virtual = " (virtual machine)" if machine["virtual"] else ""
    return (f"{machine['processor']}{virtual}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
            f"Linux {machine['kernel']}, {machine['system']}, {machine['date']}")


def peers_sentence(machine):
    return ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if name in NAMES)
