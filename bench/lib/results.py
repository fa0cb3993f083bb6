"""All figures of a run, as they are stored: `results.json` is the source, table and chart are drawn from it."""
import json
import re

LIST = re.compile(r"\[([^][{}]*)\]")  # of plain values


class Results:
    """`scenarios` is a list of plain data, in the order in which they ran."""

    def __init__(self, machine, options):
        self.machine, self.options, self.scenarios = machine, options, []

    def add(self, comparison):
        scenario = comparison.scenario
        self.scenarios.append({
            "name": scenario.name,
            "title": scenario.title,
            "connections": scenario.connections,
            "rate": comparison.rate,
            "coding": scenario.coding,
            "length": scenario.length,
            "servers": comparison.figures,
            "left_out": comparison.left_out,
            "failed": comparison.failed,
        })

    def named(self, name):
        return next((each for each in self.scenarios if each["name"] == name), None)

    def figure(self, scenario, server, what):
        """None if it was not measured."""
        found = self.named(scenario)
        return found["servers"].get(server, {}).get(what) if found else None

    def failures(self):
        return [(each["title"], server, reason) for each in self.scenarios for server, reason in each["failed"].items()]

    def noise(self):
        """By scenario and server, what disturbed them."""
        found = {each["title"]: {server: doubts for server, figures in each["servers"].items()
                                 if (doubts := figures.get("noise"))} for each in self.scenarios}
        return {title: servers for title, servers in found.items() if servers}

    def labels(self):
        """Everybody who has a figure, ours first, twins of single scenarios not."""
        found = {}
        for each in self.scenarios:
            found |= {label: None for label in each["servers"] if "," not in label}
        return list(found)

    def write(self, path, bars):
        whole = {"machine": self.machine, "options": self.options, "bars": bars, "scenarios": self.scenarios}
        path.write_text(LIST.sub(on_one_line, json.dumps(rounded(whole), indent=1, ensure_ascii=False)) + "\n")


def on_one_line(found):
    return "[" + " ".join(found[1].split()) + "]"


def rounded(value):
    """Numbers as exact as they are."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
