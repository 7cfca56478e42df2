"""How fast a whole store is, beside its targets and the floors of the same run.

    make bench    or    .venv/bin/python -m bench [--only NAME,NAME] [--long] [--json FILE]

Starts a store of its own on free ports, measures, stops it. `--long` lets one flow grow to a
million segments and the store to ten thousand flows. What was acknowledged must be what is listed,
else the exit status is 1. Figures of different runs or machines do not compare; their ratios to
floors do.
`python -m bench.report` makes a table and a chart of what `--json` wrote.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.markup import escape

from bench.catalogue import SCENARIOS
from bench.load import Unexpected
from bench.measures import Check, Result
from bench.store import Bench, a_bench


def main() -> None:
    """Measure, print, and say whether all was right."""
    options = _options()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        with a_bench(
            Path(directory),
            console,
            dict(options.set),
            seconds=options.seconds,
            size=options.size,
            long=options.long,
        ) as bench:
            console.print(f"the store started in {time.perf_counter() - began:.1f} s")
            processes = bench.store.facts["processes"]
            console.print(", ".join(f"{name} {pid}" for name, pid in processes.items()))
            facts = _facts(options)
            results = {name: _measured(bench, name) for name in options.only}
            changed = bench.store.facts["processes"] != processes
    report = {
        **facts,
        "seconds": time.perf_counter() - began,
        "scenarios": {
            name: {"purpose": _purpose(name), **each.json()} for name, each in results.items()
        },
        "floors": {floor.name: [floor.value, floor.unit] for floor in bench.floors.known.values()},
    }
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if changed:
        console.print("[red]a process of the store was started anew[/red]")
    sys.exit(changed or not all(each.passed for each in results.values()))


def _measured(bench: Bench, name: str) -> Result:
    bench.console.print(f"\n[bold]{name}[/bold]: {_purpose(name)}")
    bench.settle()
    try:
        result = SCENARIOS[name](bench)
    except Unexpected as error:  # the others may still be measured
        result = Result([], checks=[Check("it ran to its end", str(error))])
    _print(bench.console, result)
    return result


def _print(console: Console, result: Result) -> None:
    for figure in result.figures:
        shown = figure.json()
        line = f"  {figure.value:,.1f} {shown['unit']}"
        if shown["met"] is not None:
            verdict = "[green]met[/green]" if shown["met"] else "[red]not met[/red]"
            line += f", at least {shown['at_least']:g} ({verdict}), go for {shown['go_for']:g}"
        console.print(f"{line}  [dim]{shown['work']}[/dim]")
        for floor in shown["floors"]:
            value = f"{floor['value']:,.1f} {floor['unit']}"
            console.print(f"    {floor['share']:.3f} of {floor['name']}: {value}")
    for kind, each in result.latency.items():
        console.print(
            f"  {kind}: {each.count} times, p50 {each.p50:.1f}, p95 {each.p95:.1f}, "
            f"p99 {each.p99:.1f}, at most {each.most:.1f} ms"
        )
    used = sorted(result.cpu_s.items(), key=lambda item: -item[1])
    if result.seconds:
        shares = ", ".join(f"{who} {cpu:.1f}" for who, cpu in used if cpu >= 0.05)
        console.print(f"  CPU seconds in {result.seconds:.1f} s: {shares}")
    for what, value in result.notes.items():
        console.print(f"  {what}: {value}", markup=False)
    for check in result.checks:
        fault = f"[red]NOT SO[/red]: {escape(check.fault)}" if check.fault else "yes"
        console.print(f"  {check.name}: {fault}")


def _purpose(name: str) -> str:
    return (SCENARIOS[name].__doc__ or "").partition("\n")[0]


def _facts(options: argparse.Namespace) -> Mapping[str, Any]:
    """Where and of what the figures are."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "commit": asked.stdout.strip(),
        "cores": psutil.cpu_count(),
        "python": platform.python_version(),
        "long": options.long,
        "size": options.size,
        "settings": dict(options.set),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="scenarios:\n" + "\n".join(f"  {name:16}{_purpose(name)}" for name in SCENARIOS),
    )
    parser.add_argument("--only", type=_names, default=list(SCENARIOS), metavar="NAME,NAME")
    parser.add_argument("--long", action="store_true", help="grow to 1 000 000 segments")
    parser.add_argument("--seconds", type=float, default=4.0, help="that most scenarios measure")
    parser.add_argument("--size", type=int, default=100_000, help="segments in the flow listed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the results")
    parser.add_argument(
        "--set", type=_setting, action="append", default=[], metavar="TAMS_NAME=VALUE"
    )
    return parser.parse_args()


def _names(text: str) -> list[str]:
    unknown = [name for name in text.split(",") if name not in SCENARIOS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}")
    return [name for name in SCENARIOS if name in text.split(",")]


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    main()
