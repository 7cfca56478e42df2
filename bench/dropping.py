"""Scenario: files dropped into S3."""

from bench.load import Unexpected
from bench.measures import Check, Figure, Latency, Result, percentile
from bench.scripts import Drop, Pages, Watch, drop_key, timerange
from bench.store import LARGEST_PAGE, Bench

_PER_SECOND = 10
_FILES, _LONG_FILES = 160, 600
_FIRST = 10  # are not timed: the listener and the worker have seen no file yet
_PATIENCE_S = 300


def drop(bench: Bench) -> Result:
    """Ten files a second are dropped into S3; a client looks for their segments all the time.

    Timed from the answer to the PUT until the answer to the first list with the segment in it.
    """
    flow_id, files = bench.put_flow(), _LONG_FILES if bench.long else _FILES
    dropper = Drop(flow_id, bench.store.facts["s3"], files, _PER_SECOND)
    done = bench.drive([dropper, Watch(flow_id, files, _PATIENCE_S)], steps=1)
    dropper, watch = done.scripts
    if len(watch.seen) < files:
        raise Unexpected(f"{files - len(watch.seen)} files were not listed in {_PATIENCE_S} s")
    took = sorted(
        watch.seen[place] - put for place, put in enumerate(dropper.put) if place >= _FIRST
    )
    floor = bench.floors.put_ms()
    result = bench.result(
        done,
        figures=[
            Figure("drop-p50", percentile(took, 0.5) * 1_000, [floor]),
            Figure("drop-p99", percentile(took, 0.99) * 1_000, [floor]),
        ],
    )
    result.latency["until listed"] = Latency.of(took)
    result.checks.append(_listed(bench, flow_id, files))
    return result


def _listed(bench: Bench, flow_id: str, files: int) -> Check:
    pages = Pages(flow_id, LARGEST_PAGE)
    with bench.client() as to:
        pages.step(0, to)
    found = [(item["object_id"], item["timerange"]) for item in pages.items]
    expected = [(drop_key(flow_id, place), timerange(place, place)) for place in range(files)]
    fault = "" if found == expected else f"{len(found)} segments are listed"
    return Check(f"{files} files dropped are listed", fault)
