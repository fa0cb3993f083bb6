"""The stations of a run: prepare, compare scenario by scenario, judge, write."""
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from . import bars, chart, choice, machine, markdown, readme, scenarios, setup
from .comparison import Comparison
from .failure import Failed
from .results import Results
from .stage import BENCH, Stage


def main(arguments):
    try:
        return measure(choice.parse(arguments), shown_command(arguments))
    except Failed as failure:
        print(f"bench/run: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def measure(chosen, command):
    setup.install(chosen.servers)
    if not chosen.builds:
        chosen = replace(chosen, builds=choice.labelled([setup.build()]))
    with tempfile.TemporaryDirectory(prefix="dreamserver-bench-") as folder:
        results = compare(make_stage(folder, chosen), chosen)
    report(results, chosen, command)
    return complain(results)


def make_stage(folder, chosen):
    floor = setup.compile_c(BENCH / "floor" / "answer.c", folder)
    pace = setup.compile_c(BENCH / "load" / "pace.c", folder)
    return Stage(folder, chosen.cores, floor, pace)


def compare(stage, chosen):
    results = Results(machine.describe(chosen, stage), {"rounds": chosen.rounds, "seconds": chosen.seconds})
    for scenario in scenarios.named(chosen.scenarios):
        say(f"{scenario.title} ({scenario.name})")
        comparison = Comparison(scenario, stage, chosen, say)
        comparison.run()
        results.add(comparison)
    return results


def report(results, chosen, command):
    judged = bars.judge(results)
    page = markdown.page(results, judged, command)
    out = chosen.out or (BENCH / "results" if chosen.everything else Path(setup.target_folder(), "bench"))
    out.mkdir(parents=True, exist_ok=True)
    results.write(out / "results.json", judged)
    (out / "results.md").write_text(page)
    if picture := chart.draw(results, machine.sentence(results.machine)):
        (out / "chart.svg").write_text(picture)
    if chosen.everything and not chosen.out:
        readme.update(BENCH.parent / "README.md", results, command)
    print(f"\n{page}\nwritten to {out}/")


def complain(results):
    """The exit status: only failed requests and servers count."""
    failures = results.failures()
    for title, server, reason in failures:
        print(f"bench/run: FAILED: {title}, {server}: {reason}", file=sys.stderr)
    return 1 if failures else 0


def shown_command(arguments):
    return " ".join(["bench/run", *arguments])


def say(text):
    print(text, file=sys.stderr, flush=True)
