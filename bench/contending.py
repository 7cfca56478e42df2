"""Scenarios: clients that get in each other's way."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise

from bench.measures import Check, Figure, Result
from bench.scripts import (
    Drift,
    Life,
    ListSpans,
    Mixed,
    Pages,
    Passage,
    Race,
    ReadOver,
    Register,
)
from bench.store import LARGEST_PAGE, Bench, flows_of

_RACERS = 8
_KEPT = 10_000  # segments of the flow that drifts which stay
_READ_AT_ONCE = 300


def race(bench: Bench) -> Result:
    """Eight clients offer overlapping segments at once: each time exactly one is registered."""
    flow_id = bench.put_flow()
    done = bench.drive([Race(flow_id, lane) for lane in range(_RACERS)])
    racers: list[Race] = done.scripts
    rounds = max(racer.rounds for racer in racers)
    winners = Counter(number for racer in racers for number in racer.won_rounds)
    wrong = [number for number in range(rounds) if winners[number] != 1]
    pages = Pages(flow_id, LARGEST_PAGE)
    with bench.client() as to:
        pages.step(0, to)
    listed = sorted((item["object_id"], item["timerange"]) for item in pages.items)
    won = sorted(each for racer in racers for each in racer.won)
    result = bench.result(done, figures=[Figure("race", done.rate("register") / _RACERS)])
    result.checks += [
        Check(f"{rounds} rounds have one winner each", f"not {wrong[:5]}" if wrong else ""),
        Check("the winners are listed, and nobody else", "" if listed == won else "they differ"),
    ]
    result.notes["rounds won by client"] = [len(racer.won) for racer in racers]
    return result


def page_drift(bench: Bench) -> Result:
    """A flow is paged both ways while segments come and go: nothing is repeated or left out."""
    flow_id, end = bench.put_flow(), 2 * _KEPT
    bench.drive([Register(flow_id, n, 4, 500, stride=2) for n in range(4)], steps=_KEPT // 2_000)
    odd = _shuffled(range(1, end, 2))
    writers = [
        Drift(flow_id, odd[0::2], deletes=True),
        Drift(flow_id, odd[1::2], deletes=True),
        Drift(flow_id, range(end, 10 * end), deletes=False),
    ]
    readers = [ReadOver(flow_id, _READ_AT_ONCE, reverse) for reverse in (False, True)]
    done = bench.drive([*writers, *readers], seconds=2 * bench.seconds)
    lives = [life for script in done.scripts[:3] for life in script.lives]
    passages = [each for script in done.scripts[3:] for each in script.passages]
    kept = range(0, end, 2)
    faults = [fault for each in passages if (fault := drift(each, kept, lives))]
    rows = sum(len(each.places) for each in passages)
    pages = sum(each.pages for each in passages)
    result = bench.result(done, figures=[Figure("page-drift", done.rate("page") * rows / pages)])
    check = f"{len(passages)} times, nothing is repeated or left out"
    result.checks.append(Check(check, "; ".join(faults)[:1_000]))
    result.notes |= {
        "segments registered meanwhile": len(lives),
        "and deleted": sum(life.gone < math.inf for life in lives),
    }
    return result


def drift(passage: Passage, kept: Collection[int], lives: Sequence[Life]) -> str:
    """What is wrong with what was read, if anything is.

    What was there all the time must have been read, once; what was not there at any time must not;
    what came or went meanwhile may have been read or not.
    """
    places = list(reversed(passage.places)) if passage.reverse else list(passage.places)
    disorder = [later for earlier, later in pairwise(places) if later <= earlier]
    through = {
        life.place
        for life in lives
        if life.there < passage.began and life.asked_away > passage.ended
    }
    possible = {
        life.place for life in lives if life.asked < passage.ended and life.gone > passage.began
    }
    found = set(places)
    missing = (set(kept) | through) - found
    stray = found - set(kept) - possible
    texts = [
        f"{len(each)} {what}, such as {min(each)}"
        for what, each in (("repeated", disorder), ("left out", missing), ("not there", stray))
        if each
    ]
    return ", ".join(texts)


def mixed(bench: Bench) -> Result:
    """Eight clients: 70 % list 300 with URLs, 25 % register one, 5 % change a label."""
    listed = bench.filled(stored=True)
    scripts = [
        Mixed(
            ListSpans(listed.id, bench.size, 300, seed, urls=True),
            Register(bench.put_flow()),
        )
        for seed in range(8)
    ]
    done = bench.drive(scripts, seconds=2 * bench.seconds)
    flows = flows_of([script.registered for script in done.scripts])
    return bench.result(done, flows, figures=[Figure("mixed", done.rate())])


def _shuffled(places: Sequence[int]) -> Sequence[int]:
    """In no order, the same each time."""
    return sorted(places, key=lambda place: place * 0x9E3779B97F4A7C15 & 0xFFFF_FFFF)
