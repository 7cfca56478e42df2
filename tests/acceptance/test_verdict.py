"""The crash test sees what it is there to see."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from bench.crash.plan import Drop, Piece, Plan, Request
from bench.crash.verdict import Found, Row, faults

KEPT, RIVAL = Piece("f", "kept", 0, 1_000), Piece("f", "rival", 500, 1_500)
FILE, DOOMED = Piece("f", "file", 2_000, 3_000), Piece("f", "doomed", 3_000, 4_000)
PLAN = Plan(
    [[Request([KEPT, RIVAL], followed=False, repeats=1)]],
    [Drop(FILE, {}, doomed=False, times=1), Drop(DOOMED, {}, doomed=True, times=1)],
    [],
)
ANSWERS = {"kept": None, "rival": "Invalid: overlaps"}


def found(*pieces: Piece, problems: dict[str, str] | None = None) -> Found:
    """A store that holds `pieces` and counts them rightly."""
    rows = [Row.of(piece) for piece in pieces]
    ends = min(row.start for row in rows), max(row.end for row in rows)
    objects = [(object_id, 1) for object_id in {row.object_id for row in rows}]
    problems = problems or {"doomed": "no flow"}
    return Found(rows, {"f": (*ends, len(rows))}, objects, problems, told=rows)


RIGHT = found(KEPT, FILE)


def kinds(store: Found, answers: Mapping[str, str | None] = ANSWERS) -> set[str]:
    return {kind for kind, texts in faults(store, PLAN, answers).items() if texts}


def test_what_is_as_it_was_said_to_be_has_no_faults() -> None:
    assert kinds(RIGHT) == set()


@pytest.mark.parametrize(
    ("store", "seen"),
    [
        (found(FILE), {"lost", "refused for nothing"}),
        (found(KEPT, KEPT, FILE), {"doubled", "overlapping", "miscounted"}),
        (found(KEPT, RIVAL, FILE), {"overlapping", "there though refused"}),
        (found(KEPT, FILE, Piece("f", "stray", 8_000, 9_000)), {"never offered"}),
        (found(KEPT), {"files lost", "refused for nothing"}),
        (found(KEPT, FILE, problems={"doomed": "x", "file": "x"}), {"files both ways"}),
        (replace(RIGHT, problems={}), {"files lost"}),
        (replace(RIGHT, flows={"f": (0, 1, 2)}), {"miscounted"}),
        (replace(RIGHT, objects=[("kept", 1)]), {"miscounted"}),
        (replace(RIGHT, objects=[*RIGHT.objects, ("left", 1)]), {"miscounted"}),
        (replace(RIGHT, objects=[*RIGHT.objects, ("kept", 1)]), {"doubled"}),
        (replace(RIGHT, told=RIGHT.rows[1:]), {"told otherwise"}),
        (replace(RIGHT, told=[*RIGHT.rows, *RIGHT.rows]), {"told otherwise"}),
        (replace(RIGHT, told=[*RIGHT.rows, Row("f", "stray", 0, 1)]), {"told otherwise"}),
    ],
)
def test_what_is_not_as_it_was_said_to_be_is_a_fault(store: Found, seen: set[str]) -> None:
    assert kinds(store) == seen


def test_a_segment_refused_for_nothing_is_a_fault_unless_it_was_put_aside() -> None:
    refused = {"kept": "Invalid: because", "rival": "Invalid: because"}
    aside = {"kept": "PutAside: because", "rival": "PutAside: because"}

    assert kinds(found(FILE), refused) == {"refused for nothing"}
    assert kinds(found(FILE), aside) == set()
