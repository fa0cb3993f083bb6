"""From rounds to the figures that are shown: medians, their spread, and whether something disturbed them."""
from statistics import median

SPREAD_MOST = 0.15  # between the cheapest and the dearest round, of the median
FOREIGN_MOST = 0.05  # of a core that others had, in half of the rounds
STEAL_MOST = 0.02  # of a core that the machine below took, in half of the rounds


def of_rounds(rounds, resident):
    costs = [microseconds(each) for each in rounds]
    totals = [cost["cpu_us"] for cost in costs]
    figures = {name: median(cost[name] for cost in costs) for name in costs[0]}
    figures |= {
        "per_second": median(each.per_second for each in rounds),
        "p50_us": median(each.p50 for each in rounds),
        "p99_us": median(each.p99 for each in rounds),
        "spread": (max(totals) - min(totals)) / median(totals),
        "busy": median(each.reading.cpu.total / each.reading.seconds for each in rounds),
        "foreign": median(each.reading.foreign for each in rounds),
        "steal": median(each.reading.steal for each in rounds),
        "resident_bytes": resident,
        "rounds": {"cpu_us": totals, "per_second": [each.per_second for each in rounds],
                   "p50_us": [each.p50 for each in rounds], "p99_us": [each.p99 for each in rounds],
                   "foreign": [each.reading.foreign for each in rounds]},
    }
    return figures | {"noise": noise(figures)}


def microseconds(one):
    """CPU time of a request in one round."""
    used = one.reading.cpu
    return {"user_us": used.user / one.requests * 1e6, "system_us": used.system / one.requests * 1e6,
            "cpu_us": used.total / one.requests * 1e6}


def noise(figures):
    """What makes the figures doubtful, in words."""
    found = []
    if figures["spread"] > SPREAD_MOST:
        found.append(f"rounds differ by {figures['spread']:.0%}")
    if figures["foreign"] > FOREIGN_MOST:
        found.append(f"others had {figures['foreign']:.0%} of a core")
    if figures["steal"] > STEAL_MOST:
        found.append(f"{figures['steal']:.0%} of a core was stolen")
    return found
