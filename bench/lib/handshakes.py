"""The load of handshakes: `openssl s_time`, several at once, each of which connects, asks once, and begins again."""
import re
import subprocess

from .failure import Failed
from .round import Round, meter_of

NEW, RESUMED = "*", "r"  # what s_time prints for each connection
ENDED = re.compile(r"^(\d+) connections in [\d.]+ real seconds, (\d+) bytes read per connection", re.M)


def drive(contestant, seconds, _rate=0):
    meter = meter_of(contestant)
    command = ["openssl", "s_time", f"-{contestant.scenario.mode}", "-tls1_3", "-time", str(seconds),
               "-connect", f"127.0.0.1:{contestant.port}", "-www", contestant.scenario.path]
    meter.begin()
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(contestant.scenario.connections)]
    ended = [client.communicate() for client in clients]
    reading = meter.end()
    handshakes = sum(counted(contestant, output + errors) for output, errors in ended)
    return Round(handshakes, handshakes / reading.seconds, 0, 0, reading)


def counted(contestant, said):
    """Handshakes of one client, all of the kind that is measured. The first to resume had to be a new one, which does not count."""
    found = ENDED.search(said)
    kind, other = (NEW, RESUMED) if contestant.scenario.mode == "new" else (RESUMED, NEW)
    marks = next((line for line in said.splitlines() if line.startswith(kind)), "")
    if not found or int(found[2]) < contestant.scenario.length or other in marks:
        raise Failed(f"handshakes with {contestant.label}:\n{said[-500:]}")
    return int(found[1])
