"""The figures in the project's README: the part between two marks is written anew by a run of everything."""
import re

from . import machine, markdown
from .chart import CHOSEN
from .failure import Failed

BEGIN, END = "<!-- figures: written by bench/run -->", "<!-- end of the figures -->"
PART = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.S)


def update(path, results, command):
    text = path.read_text()
    if not PART.search(text):
        raise Failed(f"{path.name} has no place for the figures: {BEGIN}")
    path.write_text(PART.sub(lambda _: part(results, command), text))


def part(results, command):
    return "\n\n".join([
        BEGIN,
        "![CPU time per request of DreamServer and others](bench/results/chart.svg)",
        markdown.overview(results, CHOSEN),
        f"`{command}` on {machine.sentence(results.machine)}.\n{machine.peers_sentence(results.machine)}.\n"
        "[All scenarios](bench/results/results.md), with latencies, memory and what is to be reached;\n"
        "[how it is measured](bench/README.md).",
        END,
    ])
