"""A TAMS store seen from a client, over HTTP.

* One method per call of the API that the command line needs; answers are plain JSON values.
* A store that says 503, or that cannot be reached for a moment, is asked again, after the
  time it names. Every other refusal becomes a `StoreError` that says what was refused.
* Methods may be called from several threads at once.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urljoin

import httpx

from schemas.domain.timerange import TimeRange

Json = dict[str, Any]

_ATTEMPTS: Final = 6
_LONGEST_WAIT_S: Final = 10.0
_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)
_CHUNK: Final = 1 << 20
_CREATED: Final = 201
_NOT_FOUND: Final = 404
_ERRORS: Final = 400
_PASSING: Final = {502, 503, 504}  # what a busy or starting service answers


class StoreError(Exception):
    """The store refused, or did not answer.

    `status` is the HTTP status, `None` without an answer; `field` the part of the request
    that was refused, when the store names it.
    """

    def __init__(
        self, summary: str, *, status: int | None = None, field: str | None = None
    ) -> None:
        super().__init__(summary)
        self.status = status
        self.field = field


@dataclass(frozen=True, slots=True)
class Slot:
    """A place to upload one object to: the request that will store it."""

    object_id: str
    url: str
    headers: Mapping[str, str]


class Store:
    """The store whose API is at `api_url`; close it, or use it in a `with` statement."""

    def __init__(self, api_url: str, connections: int = 16) -> None:
        self._base = api_url.rstrip("/") + "/"
        limits = httpx.Limits(max_connections=connections)
        self._http = httpx.Client(timeout=_TIMEOUT, limits=limits, follow_redirects=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    @property
    def api_url(self) -> str:
        """Where its API is."""
        return self._base.rstrip("/")

    def service(self) -> Json:
        """What the store says of itself."""
        return _object(self._call("GET", "service"))

    def flow(self, flow_id: str) -> Json | None:
        """The flow, or `None` when there is none of this id."""
        try:
            return _object(self._call("GET", f"flows/{flow_id}"))
        except StoreError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def put_flow(self, flow: Json) -> None:
        """Create or replace the flow that `flow` describes."""
        self._call("PUT", f"flows/{flow['id']}", json=flow)

    def slots(self, flow_id: str, count: int) -> list[Slot]:
        """Places for up to `count` new objects of a flow, at least one."""
        answer = self._call("POST", f"flows/{flow_id}/storage", json={"limit": count})
        objects = _object(answer).get("media_objects") or []
        if not objects:
            raise StoreError(f"the store allocated no storage for flow {flow_id}")
        return [self._slot(item) for item in objects]

    def upload(self, slot: Slot, path: Path) -> None:
        """Put the file at `path` into `slot`."""

        def send() -> httpx.Response:
            with path.open("rb") as file:
                headers = {**slot.headers, "Content-Length": str(path.stat().st_size)}
                return self._http.put(slot.url, content=file, headers=headers)

        self._repeated(send, f"uploading object {slot.object_id}")

    def register(self, flow_id: str, segments: Sequence[Json]) -> list[Json]:
        """Register `segments`; the ones that failed, as the store describes them."""
        answer = self._call("POST", f"flows/{flow_id}/segments", json=list(segments))
        if answer.status_code == _CREATED or not answer.content:
            return []
        failed = _object(answer).get("failed_segments", [])
        return list(failed)

    def segments(
        self, flow_id: str, timerange: TimeRange, *, urls: bool = False, newest_first: bool = False
    ) -> Iterator[Json]:
        """The segments of a flow that overlap `timerange`, in order, page after page.

        Args:
            flow_id: the flow; one that does not exist has no segments.
            timerange: what to look for.
            urls: whether `get_urls` are wanted.
            newest_first: whether to start from the end.
        """
        query: dict[str, str] = {"timerange": str(timerange)}
        if not urls:
            query["accept_get_urls"] = ""
        if newest_first:
            query["reverse_order"] = "true"
        return self._pages(f"flows/{flow_id}/segments", query)

    def download(self, url: str, path: Path) -> None:
        """Fetch the object at `url` (relative ones are the store's own) into `path`."""

        def fetch() -> httpx.Response:
            with self._http.stream("GET", urljoin(self._base, url)) as answer:
                if answer.status_code < _ERRORS:
                    with path.open("wb") as file:
                        for chunk in answer.iter_bytes(_CHUNK):
                            file.write(chunk)
                else:
                    answer.read()
                return answer

        self._repeated(fetch, f"downloading {url.partition('?')[0]}")

    def rules(self) -> Iterator[Json]:
        """The ingest rules, in the order they are tried."""
        return self._pages("ingest-rules", {})

    def rule(self, rule_id: str) -> Json:
        """One ingest rule."""
        return _object(self._call("GET", f"ingest-rules/{rule_id}"))

    def create_rule(self, rule: Json) -> Json:
        """Create an ingest rule; it, with its id."""
        return _object(self._call("POST", "ingest-rules", json=rule))

    def change_rule(self, rule_id: str, rule: Json) -> None:
        """Put `rule` in the place of an ingest rule."""
        self._call("PUT", f"ingest-rules/{rule_id}", json=rule)

    def delete_rule(self, rule_id: str) -> None:
        """Delete an ingest rule."""
        self._call("DELETE", f"ingest-rules/{rule_id}")

    def test_rules(self, bucket: str, key: str, metadata: Mapping[str, str]) -> Json:
        """What would become of an object, as the store tells it."""
        wanted = {"bucket": bucket, "key": key, "metadata": metadata}
        return _object(self._call("POST", "ingest-rules/test", json=wanted))

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[Json]:
        """Every item of a list, page after page."""
        answer = self._call("GET", path, params=query)
        while True:
            yield from answer.json()
            following = answer.links.get("next", {}).get("url")
            if following is None:
                return
            answer = self._call("GET", urljoin(str(answer.url), following))

    def _slot(self, item: Json) -> Slot:
        put = item["put_url"]
        headers = dict(put.get("headers") or {})
        if "content-type" in put:
            headers["Content-Type"] = put["content-type"]
        return Slot(item["object_id"], urljoin(self._base, put["url"]), headers)

    def _call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,  # noqa: ANN401 - a JSON value of any kind
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        url = urljoin(self._base, path)
        return self._repeated(
            lambda: self._http.request(method, url, json=json, params=params),
            f"{method} {path.partition('?')[0]}",
        )

    def _repeated(self, send: Callable[[], httpx.Response], doing: str) -> httpx.Response:
        """The answer to `send`, tried again while the store is not available."""
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            try:
                answer = send()
            except httpx.TransportError as error:
                if last or isinstance(error, httpx.ConnectError):
                    raise StoreError(f"{doing}: {self._base} does not answer: {error}") from error
                time.sleep(_wait_s(attempt, None))
                continue
            if answer.status_code < _ERRORS:
                return answer
            if last or answer.status_code not in _PASSING:
                raise _refusal(answer, doing)
            time.sleep(_wait_s(attempt, answer.headers.get("Retry-After")))
        raise AssertionError("the last attempt returns or raises")


def _wait_s(attempt: int, told: str | None) -> float:
    """How long to wait before trying again: as told, else longer each time."""
    wanted = float(told) if told and told.isdigit() else 0.2 * 2.0**attempt
    return min(wanted, _LONGEST_WAIT_S)


def _refusal(answer: httpx.Response, doing: str) -> StoreError:
    """The error in `answer`, in the words of its body when it has any."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    summary = body.get("summary") or answer.reason_phrase or "no reason given"
    field = body.get("field")
    where = f" ({field})" if field else ""
    return StoreError(
        f"{doing}: {answer.status_code} {summary}{where}", status=answer.status_code, field=field
    )


def _object(answer: httpx.Response) -> Json:
    body = answer.json()
    if not isinstance(body, dict):
        raise StoreError(f"{answer.url} answered something that is not a JSON object")
    return body
