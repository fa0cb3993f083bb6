"""The tables that people read, on the terminal and in `results.md`."""
from . import machine

MARK = " ~"  # behind a figure that something disturbed
CAPTION = """µs of CPU time of the server's processes, user and system, for one request; in brackets what DreamServer needs,
divided by that. `forwarder` only passes bytes on, `answer` gives a fixed answer: the least that is possible. `~`: something
disturbed the measurement."""
COMPRESSION = """Each client takes one coding, and gets it. Bytes are those of the answer's body, µs the CPU time of the server for one
request. Who makes the answer shorter pays more for it, so one has to look at both: in the last two columns, what DreamServer
sends and needs, divided by what the other one does. Each has its own default of a level; for `nginx`, which then makes answers longer than
others do, there is also the level at which they are about as long as ours. Everybody may keep what it compressed."""


def page(results, bars, command):
    parts = [
        "# Results",
        f"<!-- Written by `{command}`. -->",
        f"Machine: {machine.sentence(results.machine)}.",
        f"Versions: {machine.peers_sentence(results.machine)}.",
        f"Command: `{command}`; rounds: {results.options['rounds']} of {results.options['seconds']} s. "
        "How it is measured: [bench/README.md](../README.md).",
        *headed("## CPU time per request", overview(results)),
        *headed("## Compression", compression(results)),
        *headed("## Bars", bars_table(bars)),
        "## Each scenario",
        *(section(each) for each in results.scenarios),
        *noise_section(results),
    ]
    return "\n\n".join(parts) + "\n"


def headed(title, text):
    return [title, text] if text else []


def table(head, rows, texts=1):
    """The first columns are text, the others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * texts + "--:|" * (len(head) - texts)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


# ---- all scenarios at a glance

def overview(results, chosen=None):
    """µs of CPU time, user and system; in brackets DreamServer's share of it."""
    labels = results.labels()
    shown = [each for each in results.scenarios if any("cpu_us" in figures for figures in each["servers"].values())
             and not each["coding"]]
    rows = [[each["title"], *(cell(each, label) for label in labels)] for each in shown
            if chosen is None or each["name"] in chosen]
    if not rows:
        return ""
    return f"{CAPTION}\n\n{table(['', *labels], rows)}"


def cell(scenario, label):
    if label in scenario["failed"]:
        return "failed"
    figures, ours = scenario["servers"].get(label), scenario["servers"].get("dreamserver")
    if not figures:
        return "–"
    share = f" ({ours['cpu_us'] / figures['cpu_us']:.2f})" if ours and label != "dreamserver" else ""
    return f"{number(figures['cpu_us'])}{share}{MARK if figures['noise'] else ''}"


# ---- compression, where the length of the answer counts too

def compression(results):
    coded = [each for each in results.scenarios if each["coding"]]
    rows = [row for each in coded for row in coded_rows(each)]
    head = ["", "", "bytes", "of the original", "CPU µs", "DreamServer's bytes", "DreamServer's CPU"]
    return f"{COMPRESSION}\n\n{table(head, rows, texts=2)}" if rows else ""


def coded_rows(scenario):
    ours = scenario["servers"].get("dreamserver")
    return [[scenario["title"] if at == 0 else "", *coded_row(scenario, label, figures, ours)]
            for at, (label, figures) in enumerate(scenario["servers"].items())]


def coded_row(scenario, label, figures, ours):
    compared = ours and ours is not figures
    return [label, f"{figures['body_bytes']:,}", f"{figures['body_bytes'] / scenario['length']:.1%}",
            number(figures["cpu_us"]) + (MARK if figures["noise"] else ""),
            f"{ours['body_bytes'] / figures['body_bytes']:.2f} ×" if compared else "",
            f"{ours['cpu_us'] / figures['cpu_us']:.2f} ×" if compared else ""]


# ---- the bars

def bars_table(bars):
    rows = [[bar["title"], bar["unit"], figure_of(bar), limit(bar["bar"]), verdict(bar["met"]), limit(bar["goal"]),
             verdict(bar["goal_met"])] for bar in bars]
    return table(["", "unit", "figure", "bar", "met", "goal", "met"], rows) if rows else ""


def figure_of(bar):
    return f"{bar['figure']:.2f}" + (f" at {bar['size']:.2f} × its bytes" if bar["size"] else "")


def limit(value):
    return "" if value is None else f"≤ {value:.2f}"


def verdict(met):
    return {None: "", True: "yes", False: "**no**"}[met]


# ---- one scenario

def section(scenario):
    return "\n\n".join([f"### {scenario['title']} (`{scenario['name']}`)", *remarks(scenario), figures_table(scenario)])


def remarks(scenario):
    rate = [f"{scenario['rate']} requests a second."] if scenario["rate"] else []
    absent = [f"{label} {reason}" for label, reason in scenario["left_out"].items()]
    failed = [f"**{label} failed:** {reason.splitlines()[0]}" for label, reason in scenario["failed"].items()]
    return rate + (["Not here: " + "; ".join(absent) + "."] if absent else []) + failed


def figures_table(scenario):
    servers = scenario["servers"]
    if any("idle_bytes" in figures for figures in servers.values()):
        counts = sorted(next(iter(servers.values()))["idle_bytes"], key=int)
        return table(["", *(f"KiB each, of {int(count):,}" for count in counts)],
                     [[label, *(f"{figures['idle_bytes'][count] / 1024:.2f}" for count in counts)]
                      for label, figures in servers.items()])
    if not servers:
        return "No figures."
    head = ["", "requests/s", "p50", "p99", "user µs", "system µs", "CPU µs", "spread", "core busy", "memory MiB",
            "DreamServer is"]
    return table(head, [row(label, figures, servers.get("dreamserver")) for label, figures in servers.items()])


def row(label, figures, ours):
    mark = MARK if figures["noise"] else ""
    return [label, number(figures["per_second"]), latency(figures["p50_us"]), latency(figures["p99_us"]),
            number(figures["user_us"]), number(figures["system_us"]), number(figures["cpu_us"]) + mark,
            f"{figures['spread']:.0%}", f"{figures['busy']:.0%}", f"{figures['resident_bytes'] / (1 << 20):.1f}",
            f"{ours['cpu_us'] / figures['cpu_us']:.2f} ×" if ours and ours is not figures else ""]


def noise_section(results):
    noise = results.noise()
    if not noise:
        return []
    lines = "\n".join(f"* {title}: " + "; ".join(f"{server} ({', '.join(doubts)})" for server, doubts in servers.items())
                      for title, servers in noise.items())
    return ["## Noise", f"The figures marked `{MARK.strip()}` are doubtful; a quiet machine gives better ones.", lines]


def number(value):
    """Three digits that matter."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def latency(microseconds):
    if not microseconds:
        return "–"  # nothing was over within a round
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    return f"{number(microseconds / 1000)} ms"
