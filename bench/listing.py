"""Scenarios: listing segments."""

from bench.measures import Check, Figure, Floor, Result
from bench.scripts import ListSpans, Pages, require, span_path
from bench.store import LARGEST_PAGE, Bench

_CLIENTS = 4
_SPAN = 300


def list_spans(bench: Bench) -> Result:
    """Three hundred segments by timerange, anywhere in a flow, without URLs, four clients."""
    return _spans(bench, "list", urls=False)


def list_urls(bench: Bench) -> Result:
    """The same with presigned URLs."""
    return _spans(bench, "list-urls", urls=True)


def page(bench: Bench) -> Result:
    """One client reads a whole flow, on pages as long as the store gives them."""
    flow = bench.filled(stored=True)
    done = bench.drive([Pages(flow.id, LARGEST_PAGE)])
    (pages,) = done.scripts
    rows, longest = len(pages.items), pages.bodies[0]
    per_page = longest.count(b'"object_id"')
    answers = bench.floors.answer(f"{per_page} rows", longest, 1)
    timing = done.timing("page")
    rate = done.rate("page") * rows / len(pages.bodies)
    floor = Floor(answers.name, answers.value * per_page, "rows/s")
    figure = Figure("page", rate, [floor])
    result = bench.result(done, [flow], figures=[figure])
    result.notes |= {"rows on a page": per_page, "pages read": len(timing)}
    return result


def _spans(bench: Bench, name: str, *, urls: bool) -> Result:
    flow = bench.filled(stored=True)
    scripts = [ListSpans(flow.id, bench.size, _SPAN, seed, urls) for seed in range(_CLIENTS)]
    done = bench.drive(scripts)
    first = bench.size // 2
    with bench.client() as to:
        answer = to.get("list", span_path(flow.id, first, first + _SPAN - 1, urls=urls))
    require(answer.body, flow.id, range(first, first + _SPAN))
    signed = answer.body.count(b"X-Amz-Signature=")
    floors = [
        bench.floors.answer(f"{_SPAN} rows{' with URLs' if urls else ''}", answer.body, _CLIENTS),
        bench.floors.select(_SPAN),
        *([bench.floors.sign(_SPAN)] if urls else []),
    ]
    result = bench.result(done, figures=[Figure(name, done.rate("list"), floors)])
    wrong = f"{signed} URLs are signed" if signed != _SPAN * urls else ""
    result.checks.append(
        Check(f"{_SPAN} segments listed, {'each with' if urls else 'no'} URL", wrong)
    )
    result.notes["bytes of an answer"] = len(answer.body)
    return result
