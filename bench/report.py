"""Figures as tables and a chart, in `docs/performance.md` and `docs/performance.svg`.

    .venv/bin/python -m bench.report FILE [BEFORE]

FILE and BEFORE are what `python -m bench --json` wrote. The tables go between the two markers in
the document; what is around them is somebody's own words.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

Report = Mapping[str, Any]

_NOW, _BEFORE, _GOAL, _INK = "#2b6cb0", "#a0aec0", "#c05621", "#2d3748"


def main() -> None:
    """Write the tables and the chart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("before", type=Path, nargs="?")
    asked = parser.parse_args()
    now = json.loads(asked.file.read_text())
    before = json.loads(asked.before.read_text()) if asked.before else None
    document = DOCS / "performance.md"
    document.write_text(inserted(document.read_text(), text(now, before)))
    (DOCS / "performance.svg").write_text(chart(now, before))


def inserted(document: str, figures: str) -> str:
    """`document` with `figures` between its markers.

    Raises:
        ValueError: when it has no such markers.
    """
    start, end = document.index(BEGIN) + len(BEGIN), document.index(END)
    return f"{document[:start]}\n\n{figures}\n{document[end:]}"


def text(now: Report, before: Report | None) -> str:
    """Everything the document says by itself."""
    asked = " --long" if now["long"] else ""
    since = f"; before: {before['date']}, commit {before['commit']}" if before else ""
    measured = (
        f"Measured on {now['date']} UTC with {now['cores']} cores, commit {now['commit']}{since}, "
        f"by\n`python -m bench{asked} --json FILE`. Flows that are listed, paged or deleted have "
        f"{number(now['size'])} segments."
    )
    parts = [
        measured,
        "![Each figure as a multiple of what was asked for](performance.svg)",
        _table(_figures(now, before)),
        "How long requests took, in milliseconds, and the CPU seconds of each process per second:",
        _table(_requests(now)),
    ]
    if len(_stages(now)) > 1:
        parts += ["As a flow grows, per second:", _table(_growth(now))]
    return "\n\n".join(parts) + "\n"


def number(value: float | None) -> str:
    """Three digits or all before the point, thousands apart."""
    if value is None:
        return ""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    shown = f"{value:,.{max(0, digits)}f}".replace(",", " ")
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def figures(report: Report) -> dict[str, dict[str, Any]]:
    """The figures of all scenarios, by name."""
    return {
        each["name"]: each
        for scenario in report["scenarios"].values()
        for each in scenario["figures"]
    }


def _figures(now: Report, before: Report | None) -> Iterator[Sequence[str]]:
    was = figures(before) if before else {}
    then = ["before"] if before else []
    yield ["", "", "known elsewhere", "at least", "go for", *then, "now", "of the floor"]
    for name, each in figures(now).items():
        earlier = [number(was[name]["value"] if name in was else None)] if before else []
        shown = number(each["value"])
        floors = [f"{number(floor['share'])} of {floor['name']}" for floor in each["floors"]]
        yield [
            each["work"],
            each["unit"],
            each["known"],
            number(each["at_least"]),
            number(each["go_for"]),
            *earlier,
            f"**{shown}**" if each["met"] else shown,
            "; ".join(floors),
        ]


def _requests(now: Report) -> Iterator[Sequence[str]]:
    yield ["scenario", "request", "number", "p50", "p95", "p99", "CPU"]
    for name, scenario in now["scenarios"].items():
        used = sorted(scenario["cpu_s"].items(), key=lambda each: -each[1])
        shares = [(who, cpu / scenario["seconds"]) for who, cpu in used if scenario["seconds"]]
        cpu = ", ".join(f"{who} {share:.2f}" for who, share in shares if share >= 0.01)
        for kind, each in scenario["latency"].items():
            shown = [number(each[share]) for share in ("p50", "p95", "p99")]
            yield [name, kind, number(each["count"]), *shown, cpu]
            name = cpu = ""  # noqa: PLW2901 - said once


def _growth(now: Report) -> Iterator[Sequence[str]]:
    yield ["segments", "registered, 1 per POST, 8 clients", "lists of 300, 4 clients", "filled"]
    for stage in _stages(now):
        yield [number(stage[name]) for name in ("segments", "register", "list", "fill")]


def _stages(report: Report) -> Sequence[Mapping[str, float]]:
    stages: Sequence[Mapping[str, float]] = (
        report["scenarios"].get("grow", {}).get("notes", {}).get("stages", ())
    )
    return stages


def _table(rows: Iterator[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def chart(now: Report, before: Report | None) -> str:
    """An SVG of how many times as good as asked for each figure is, on a logarithmic scale."""
    was = figures(before) if before else {}
    rows = [each for each in figures(now).values() if each["times_at_least"]]
    bottom = _TOP + _ROW * len(rows)
    view, font = f"0 0 {_WIDTH} {bottom + 30}", 'font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" {font}>',
        f'<rect width="{_WIDTH}" height="{bottom + 30}" fill="white"/>',
        *_scale(bottom, compared=before is not None),
    ]
    for place, each in enumerate(rows):
        top = _TOP + _ROW * place
        earlier = was.get(each["name"], {}).get("times_at_least")
        goal = each["go_for"] / each["at_least"]
        goal = 1 / goal if each["less_is_better"] else goal
        parts += [
            _text(_LEFT - 8, top + 15, each["work"], "end"),
            _bar(top + 3, earlier, _BEFORE) if earlier else "",
            _bar(top + 10, each["times_at_least"], _NOW),
            f'<path d="M{_x(goal):.1f} {top + 2}v18" stroke="{_GOAL}" stroke-width="3"/>',
            _text(_WIDTH - 8, top + 15, f"{number(each['value'])} {each['unit']}", "end"),
        ]
    return "\n".join([*filter(None, parts), "</svg>"]) + "\n"


_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 900, 400, 770, 44, 24
_LEAST, _MOST = 0.01, 100.0


def _x(times: float) -> float:
    share = math.log(min(max(times, _LEAST), _MOST) / _LEAST) / math.log(_MOST / _LEAST)
    return _LEFT + share * (_RIGHT - _LEFT)


def _scale(bottom: int, *, compared: bool) -> Iterator[str]:
    what = "now" + (", grey: before" if compared else "")
    title = f"times as good as at least asked for (blue: {what}; orange: go for)"
    yield _text(_LEFT, 18, title, "start")
    for times in (0.01, 0.1, 1, 10, 100):
        width = 2 if times == 1 else 0.5
        yield (
            f'<path d="M{_x(times):.1f} {_TOP - 6}V{bottom}" stroke="{_INK}" '
            f'stroke-width="{width}"/>'
        )
        yield _text(_x(times), bottom + 16, f"{times:g}", "middle")


def _bar(top: int, times: float, colour: str) -> str:
    width = max(1.0, _x(times) - _LEFT)
    return f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="8" fill="{colour}"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}">{escape(words)}</text>'
    )


if __name__ == "__main__":
    main()
