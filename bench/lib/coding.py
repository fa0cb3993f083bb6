"""The scenarios in which the client takes one content coding alone: what comes is in it, is what it should be, and how long it is."""
import gzip
import subprocess
import time
import zlib

from .failure import Failed
from .wrk import HEAD_MOST

PROGRAMS = {"br": "brotli", "zstd": "zstd"}  # Debian's packages of the same names
SETTLE_SECONDS = 3
DIFFERS_MOST = 0.01  # in what pieces the content comes to an encoder makes a little difference


def original(contestant, head, body):
    """What the answer was before it was coded, which is what the server was given."""
    coding, asked = head.get("Content-Encoding"), contestant.scenario.coding
    if coding != asked:
        raise Failed(f"{contestant.label} answers in the coding {coding} instead of {asked}")
    content = decoded(coding, body)
    if content != contestant.stage.contents[contestant.scenario.path.removeprefix("/")]:
        raise Failed(f"{contestant.label} gives another content in {coding}")
    return content


def decoded(coding, body):
    try:
        if coding == "gzip":
            return gzip.decompress(body)
        return subprocess.run([PROGRAMS[coding], "-dc"], input=body, check=True, capture_output=True).stdout
    except (OSError, EOFError, zlib.error, subprocess.CalledProcessError) as error:
        raise Failed(f"an answer is not in {coding}: {error}") from error


def settle(contestant):
    """Leaves the server alone for a while: who keeps what it compressed may take more trouble meanwhile."""
    time.sleep(SETTLE_SECONDS)
    contestant.prove()


def sizes(contestant):
    """Of the body, and of whole answers round by round. Rounds with another answer than the last one do not count: that it keeps
    was not there yet."""
    last = contestant.rounds[-1].bytes
    contestant.not_counted += [each for each in contestant.rounds if not alike(last, each.bytes)]
    contestant.rounds = [each for each in contestant.rounds if alike(last, each.bytes)]
    contestant.prove()
    if not contestant.body_bytes * (1 - DIFFERS_MOST) <= last <= contestant.body_bytes * 1.1 + HEAD_MOST:
        raise Failed(f"{contestant.label} gave answers of {last:.0f} bytes in the rounds, and after them {contestant.body_bytes}")
    return {"body_bytes": contestant.body_bytes, "wire_bytes": [each.bytes for each in contestant.rounds]}


def alike(one, other):
    return abs(one - other) <= DIFFERS_MOST * one
