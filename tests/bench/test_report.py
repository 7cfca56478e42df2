"""Figures are written down as they were measured."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench.measures import Figure, Floor, Latency, Result
from bench.report import BEGIN, END, chart, inserted, number, text


def report(rate: float, *, stages: int = 0) -> dict[str, Any]:
    """What a run with one scenario, and perhaps a flow that grew, wrote."""
    listed = Result(
        [Figure("list", rate, [Floor("bare endpoint", 2_000.0, "/s")])],
        {"list": Latency.of([0.001, 0.002])},
        {"api": 3.0, "clients": 0.001},
        2.0,
    )
    grown = [
        {"segments": 10 ** (place + 3), "register": 100.0, "list": 50.0, "fill": 9_000.0}
        for place in range(stages)
    ]
    return {
        "date": "2026-01-02 03:04",
        "commit": "abcdef0",
        "cores": 2,
        "long": False,
        "size": 100_000,
        "scenarios": {"list": listed.json(), "grow": Result([], notes={"stages": grown}).json()},
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (0.0, "0"),
        (0.01234, "0.0123"),
        (1.0, "1"),
        (1.25, "1.25"),
        (99.96, "100"),
        (150.4, "150"),
        (1_234.5, "1 234"),
        (1_100_000, "1 100 000"),
    ],
)
def test_numbers_have_three_digits_or_all_before_the_point(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_table_has_each_figure_beside_its_targets_and_its_floor() -> None:
    row = next(line for line in text(report(1_000.0), None).splitlines() if "300 by" in line)

    assert row == (
        "| list 300 by timerange without URLs, 4 clients | /s | 70-100 | 250 | 1 000 "
        "| **1 000** | 0.5 of bare endpoint |"
    )


def test_a_figure_that_misses_its_target_is_not_set_off() -> None:
    assert "| 100 | 0.05 of" in text(report(100.0), None)


def test_a_run_before_stands_beside_the_run_now() -> None:
    shown = text(report(1_000.0), report(20.0))

    assert "| before | now |" in shown
    assert "| 20 | **1 000** |" in shown


def test_processes_that_did_nothing_are_left_out() -> None:
    assert "| list | list | 2 | 1 | 2 | 2 | api 1.50 |" in text(report(1_000.0), None)


def test_growth_is_told_when_a_flow_grew() -> None:
    assert "| 10 000 | 100 | 50 | 9 000 |" in text(report(1.0, stages=2), None)
    assert "As a flow grows" not in text(report(1.0, stages=1), None)


def test_figures_replace_those_that_were_there_and_nothing_else() -> None:
    document = f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n"

    once = inserted(document, "new\n")

    assert once == f"before\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"
    assert inserted(once, "new\n") == once
    with pytest.raises(ValueError, match="not found"):
        inserted("no markers", "new")


def test_the_chart_is_a_picture_of_all_figures_with_targets() -> None:
    drawn = ET.fromstring(chart(report(1_000.0), report(20.0)))

    texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    bars = [
        (each.get("fill"), float(each.get("width", "0")))
        for each in drawn.iter("{http://www.w3.org/2000/svg}rect")
        if each.get("height") == "8"
    ]
    assert "1 000 /s" in texts
    assert [width for _, width in sorted(bars, key=lambda bar: bar[1])] == [
        pytest.approx(width, abs=1) for width in (83.5, 240.7)
    ]
