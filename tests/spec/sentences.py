"""The sentences of the specification that say what MUST, SHALL or SHOULD be.

* They are in descriptions: of the OpenAPI document, and of the JSON schemas it refers to.
* The items of a list are sentences of their own; a line break inside a sentence is a space, and a
  link is its text.
* Each belongs to the part of the API, named by its OpenAPI tag, that it is said in. One that a
  part says of several subjects (operations, parameters, properties) is one sentence with all of
  them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.spec.official import Official

NORMATIVE = re.compile(r"\b(MUST|SHALL|SHOULD)\b")

_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*[-*]\s)")
_ITEM = re.compile(r"^\s*[-*]\s+")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_END = re.compile(r"(?<=[.!?])(?<!\bi\.e\.)(?<!\be\.g\.)\s+(?=[A-Z0-9`{\[(])")

# The part of the API that a schema is of, by how the name of its file begins.
_PARTS = {
    "flow-segment": "FlowSegments",
    "flow-storage": "MediaStorage",
    "http-request": "MediaStorage",
    "flow": "Flows",
    "collection": "Flows",
    "deletion": "FlowDeleteRequests",
    "object": "Objects",
    "profile": "Profiles",
    "service": "Service",
    "source": "Sources",
    "webhook": "Webhooks",
}


class Sentence(NamedTuple):
    """A sentence, and the part of the API it is said in."""

    part: str
    text: str


class Description(NamedTuple):
    """A text of the specification, and what it is said of."""

    part: str
    subject: str
    text: str


def normative(official: Official) -> dict[Sentence, set[str]]:
    """Every normative sentence, and what it is said of."""
    found: dict[Sentence, set[str]] = {}
    for description in descriptions(official):
        for text in sentences(description.text):
            if NORMATIVE.search(text):
                found.setdefault(Sentence(description.part, text), set()).add(description.subject)
    return found


def sentences(text: str) -> list[str]:
    """The sentences of a text in Markdown."""
    blocks = _BLOCK.split(_LINK.sub(r"\1", text))
    blocks = [" ".join(_ITEM.sub("", block).split()) for block in blocks]
    return [sentence for block in blocks if block for sentence in _END.split(block)]


def descriptions(official: Official) -> Iterator[Description]:
    """Every description of the OpenAPI document and of the schemas."""
    content = official.document.content
    for path, item in content["paths"].items():
        (part,) = {
            tag for described in item.values() if "tags" in described for tag in described["tags"]
        }
        yield from _inside(item, part, path)
    yield from _inside(content["webhooks"], "Webhooks", "webhooks")
    for name in content.keys() - {"paths", "webhooks"}:
        yield from _inside(content[name], "Service", name)
    for path in sorted((official.directory / "schemas").glob("*.json")):
        part = next((p for name, p in _PARTS.items() if path.stem.startswith(name)), "Service")
        yield from _inside(json.loads(path.read_text()), part, path.stem)


def _inside(value: Any, part: str, subject: str) -> Iterator[Description]:
    if isinstance(value, list):
        for inside in value:
            yield from _inside(inside, part, subject)
    elif isinstance(value, dict):
        subject = _subject(value) or subject
        for name, inside in value.items():
            if name == "description" and isinstance(inside, str):
                yield Description(part, subject, inside)
            elif name == "properties":
                for called, described in inside.items():
                    yield from _inside(described, part, called)
            else:
                yield from _inside(inside, part, subject)


def _subject(value: Mapping[str, Any]) -> str | None:
    """The name of an operation or a parameter."""
    name = value.get("operationId") or ("in" in value and value.get("name"))
    return str(name) if name else None
