"""The picture for the README: CPU time per request, as an SVG that is readable on light and on dark pages."""
from html import escape

from .markdown import number
from .servers import PEERS

CHOSEN = ("proxy-1k", "proxy-1k-log", "proxy-100k", "proxy-10m", "file-1k", "file-100k", "file-1m", "file-close",
          "tls-1k", "tls-resumed")
COLUMNS, WIDTH, LABEL, FIGURE = 2, 440, 96, 52
BAR, GAP, HEAD, FOOT = 16, 7, 40, 22
LEFT_OVER = 4  # a server this many times dearer than ours is cut off, so that the others can be told apart
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 13px }
.small { font-size: 11px; fill: #57606a }
.figure { font-variant-numeric: tabular-nums }
.user { fill: #8c959f } .system { fill: #c4cad1 }
.ours .user { fill: #1a6fd4 } .ours .system { fill: #7db4f0 }
.ours text { font-weight: 600 }
.floor .user { fill: none; stroke: #8c959f } .floor .system { fill: none; stroke: #c4cad1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 }
  .user { fill: #848d97 } .system { fill: #525a64 }
  .ours .user { fill: #4493f8 } .ours .system { fill: #2559a0 }
  .floor .user { stroke: #848d97 } .floor .system { stroke: #525a64 }
}
"""
FLOORS = tuple(server.name for server in PEERS if server.floor)


def draw(results, caption):
    panels = [scenario for name in CHOSEN if (scenario := results.named(name)) and scenario["servers"].get("dreamserver")]
    if not panels:
        return None
    rows = [panels[at:at + COLUMNS] for at in range(0, len(panels), COLUMNS)]
    pieces, y = [legend(10)], 24
    for line in rows:
        pieces += [panel(scenario, WIDTH * at, y) for at, scenario in enumerate(line)]
        y += max(height(scenario) for scenario in line)
    pieces.append(f'<text class="small" x="4" y="{y + 12}">{escape(caption)}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * COLUMNS}" height="{y + FOOT}" '
            f'viewBox="0 0 {WIDTH * COLUMNS} {y + FOOT}" role="img" aria-label="CPU time per request, by server">\n'
            f"<style>{STYLE}</style>\n" + "\n".join(pieces) + "\n</svg>\n")


def legend(y):
    return (f'<text class="small" x="4" y="{y + 4}">CPU time of the server per request in µs, shorter is better; first '
            'user, then system time; outlined: a fixed answer, a byte forwarder</text>')


def shown(scenario):
    """Label and figures, the cheapest first; second builds and twins stay in the table."""
    servers = [(label, figures) for label, figures in scenario["servers"].items() if "," not in label]
    return sorted(servers, key=lambda one: one[1]["cpu_us"])


def height(scenario):
    return HEAD + len(shown(scenario)) * (BAR + GAP) + GAP


def panel(scenario, x, y):
    servers = shown(scenario)
    ours = scenario["servers"]["dreamserver"]["cpu_us"]
    most = min(max(figures["cpu_us"] for _, figures in servers), ours * LEFT_OVER)
    bars = [bar(label, figures, y + HEAD + at * (BAR + GAP), most) for at, (label, figures) in enumerate(servers)]
    title = f'<text class="title" x="4" y="{y + HEAD - 14}">{escape(scenario["title"])}</text>'
    return f'<g transform="translate({x} 0)">{title}{"".join(bars)}</g>'


def bar(label, figures, y, most):
    room = WIDTH - LABEL - FIGURE - 16
    scale = room / most
    user = min(figures["user_us"] * scale, room)
    system = min(figures["cpu_us"] * scale, room) - user
    kind = "ours" if label.startswith("dreamserver") else "floor" if label in FLOORS else ""
    amount = number(figures["cpu_us"]) + (" …" if figures["cpu_us"] > most else "")
    middle = y + BAR - 4
    return (f'<g class="{kind}"><text x="{LABEL - 6}" y="{middle}" text-anchor="end">{escape(label)}</text>'
            f'<rect class="user" x="{LABEL}" y="{y}" width="{user:.1f}" height="{BAR}"/>'
            f'<rect class="system" x="{LABEL + user:.1f}" y="{y}" width="{system:.1f}" height="{BAR}"/>'
            f'<text class="figure" x="{LABEL + user + system + 6:.1f}" y="{middle}">{amount}</text></g>')
