"""Scenario: deleting segments."""

from bench.measures import Figure, Result
from bench.scripts import Delete
from bench.store import Bench

_FLOOR_ROWS = 10_000


def delete(bench: Bench) -> Result:
    """All segments of a flow are deleted by one request, which is followed to its end."""
    flow = bench.take()
    segments = len(flow.places)
    done = bench.drive([Delete(flow.id)], steps=1)
    flow.places.clear()
    floor = bench.floors.delete(_FLOOR_ROWS)
    figure = Figure("delete", segments / done.timing("delete")[0], [floor])
    result = bench.result(done, [flow], figures=[figure])
    result.notes["segments deleted"] = segments
    return result
