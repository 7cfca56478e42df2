"""Whether a response is one that both documents allow: the official one and our own.

`Agreement` is put on an HTTP client as a hook, so that every test of this folder checks it with
every request it makes.
"""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.spec.official import Document, Official, Operation

# What a server sends of itself, whatever the operation; tests/spec/test_cors.py tests the last.
_GENERAL = {
    *("allow", "connection", "content-length", "content-type", "date", "server"),
    *("transfer-encoding", "vary", "access-control-allow-origin", "access-control-expose-headers"),
}

_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Agreement:
    """Checks responses against the specification, and against what we say of ourselves."""

    official: Official
    served: Document

    def __call__(self, response: httpx.Response) -> None:
        """Raises AssertionError when one of the documents does not allow `response`."""
        request = response.request
        if request.method == "HEAD" or response.headers.get("content-type") != _STREAM:
            response.read()  # a stream may have no end
        path = request.url.raw_path.decode().partition("?")[0]
        faults = []
        if request.method == "HEAD" and response.content:
            faults.append("HEAD has a body")
        if response.is_error and request.method != "HEAD":
            faults += self._not_official_error(response)
        if operation := self.official.document.operation(request.method, path):
            faults += _not_as(self.official.document, operation, response, strict=False)
        if operation := self.served.operation(request.method, path):
            faults += _not_as(self.served, operation, response, strict=True)
        assert not faults, f"{request.method} {path}: {response.status_code}: {faults}"

    def _not_official_error(self, response: httpx.Response) -> list[str]:
        if response.headers.get("content-type") != "application/json":
            return [f"an error in {response.headers.get('content-type')}"]
        return self.official.faults("error", response.json())


def _not_as(
    document: Document, operation: Operation, response: httpx.Response, *, strict: bool
) -> list[str]:
    """What of `response` is not as the document describes it; if strict, that is all there is."""
    described = operation.responses.get(str(response.status_code))
    if described is None:
        return ["undeclared status"] if strict else []
    faults = _wrong_headers(document, described, response, strict=strict)
    media = described.get("content", {})
    kind = response.headers.get("content-type")
    if kind == _STREAM:
        return faults + ([] if not strict or kind in media else ["an undeclared stream"])
    if strict and (kind not in media if media else kind is not None or response.content):
        faults.append(f"content of type {kind}, declared {list(media)}")
    schema = media.get("application/json", {}).get("schema", {})
    if response.content and operation.method != "head":
        faults += document.faults(schema, response.json())
    return faults


def _wrong_headers(
    document: Document, described: Any, response: httpx.Response, *, strict: bool
) -> list[str]:
    declared = {name.lower(): header for name, header in described.get("headers", {}).items()}
    faults = []
    for name, header in declared.items():
        if name in response.headers:
            value = _parsed(response.headers[name], header["schema"].get("type"))
            faults += [f"{name}: {fault}" for fault in document.faults(header["schema"], value)]
        elif header.get("required"):
            faults.append(f"{name} is missing")
    if strict:
        others = set(response.headers) - _GENERAL - set(declared)
        faults += [f"undeclared header {name}" for name in sorted(others)]
    return faults


def _parsed(text: str, kind: str | None) -> object:
    if kind == "integer":
        return int(text) if text.lstrip("-").isdigit() else text
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text
