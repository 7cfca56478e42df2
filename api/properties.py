"""Single properties of sources and flows, each under a path of its own.

* All are read, put and deleted in the same way; a `Resource` says what is special to one.
* `tags` are read together, and put and deleted one by one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from flask import Response
from marshmallow import ValidationError
from marshmallow.fields import Field

from api.blueprint import Blueprint, json_body
from api.context import PRINCIPAL, ports
from api.responses import empty_response, json_response
from schemas.domain.properties import Property, Tag
from schemas.http.fields import TagField, TagsField
from schemas.http.flows import CollectionItemSchema, FlowSchema

View = TypeVar("View", bound=Callable[..., Response])


@dataclass(frozen=True, slots=True)
class Owner:
    """What has properties: its noun, and the operations that find and change one by its id."""

    noun: str
    find: Callable[..., Any]
    change: Callable[..., None]


@dataclass(frozen=True, slots=True)
class Resource:
    """One property: `path` below that of its owner, the field that checks a value, and words.

    `unset` says what GET answers when there is none, and `absent` what DELETE does then.
    """

    path: str
    title: str
    meaning: str
    value: Field[Any]
    schema: Mapping[str, Any]
    example: object
    unset: str = "404 when there is none."
    absent: str = "Nothing changes when there is none."
    puts: bool = True
    deletes: bool = True
    delete_errors: tuple[int, ...] = (403, 404, 503)


_FLOW: Final = FlowSchema().fields
_NAME: Final = "<text:name>"
_TEXT: Final = {"type": "string"}
_BIT_RATE: Final = {"type": "integer", "minimum": 0}

_DESCRIBING: Final = (
    Resource(
        "tags",
        "the tags",
        "All of them, by name.",
        TagsField(),
        TagsField.documented,
        {"department": "news", "people": ["Ada", "Grace"]},
        unset="Empty when there are none.",
        puts=False,
        deletes=False,
    ),
    Resource(
        f"tags/{_NAME}",
        "one tag",
        "A text, or a list of texts.",
        TagField(),
        TagField.documented,
        ["Ada", "Grace"],
        unset="404 when there is no such tag.",
        absent="404 when there is no such tag.",
    ),
    Resource(
        "description",
        "the description",
        "A text for people, in some detail.",
        _FLOW["description"],
        _TEXT,
        "Wide shot of the hall, from the balcony",
    ),
    Resource("label", "the label", "A short name for people.", _FLOW["label"], _TEXT, "Camera 1"),
)

OF_SOURCES: Final = _DESCRIBING
OF_FLOWS: Final = (
    *_DESCRIBING,
    Resource(
        "read_only",
        "the read-only flag",
        "A read-only flow refuses every change to it and its segments, except to this flag.",
        _FLOW["read_only"],
        {"type": "boolean"},
        True,
        unset="`false` when it was never set.",
        deletes=False,
    ),
    Resource(
        "flow_collection",
        "the collection",
        "The flows it collects, in order. They must exist, and come in the order and with the "
        "roles in which other flows of the same source collect theirs.",
        _FLOW["flow_collection"],
        {"type": "array", "items": CollectionItemSchema},
        [
            {"id": "0b6f3f0c-6f0e-4f5f-9a55-1f4a3c2b7d10", "role": "picture"},
            {"id": "5f1d8c3e-2a47-4c0b-8d7e-9b3a6e4f2c81", "role": "commentary"},
        ],
        unset="Empty when it collects none.",
    ),
    Resource(
        "max_bit_rate",
        "the maximum bit rate",
        "That of its segments, in 1000 bits per second.",
        _FLOW["max_bit_rate"],
        _BIT_RATE,
        6_000,
    ),
    Resource(
        "avg_bit_rate",
        "the average bit rate",
        "That of its segments, in 1000 bits per second. A flow that links to a profile has it "
        "from there: as long as it does, putting and deleting it is 400.",
        _FLOW["avg_bit_rate"],
        _BIT_RATE,
        4_500,
        delete_errors=(400, 403, 404, 503),
    ),
)


def add_properties(blueprint: Blueprint, owner: Owner, resources: Sequence[Resource]) -> None:
    """Let `blueprint` serve these properties of `owner`."""
    for resource in resources:
        _add(blueprint, owner, resource)


def _add(blueprint: Blueprint, owner: Owner, resource: Resource) -> None:
    noun, identity = owner.noun, f"{owner.noun}_id"
    rule = f"/{noun}s/<id:{identity}>/{resource.path}"
    operation = f"{noun}s-{noun}Id-{re.sub('[/_]', '-', resource.path.replace(_NAME, 'name'))}"
    of_one = f"{resource.title} of a {noun}"

    @blueprint.route(rule)
    @blueprint.response(200, dict(resource.schema), example=resource.example)
    @blueprint.operation(f"GET_{operation}", 404, 503)
    @_documented(f"Read {of_one}.", resource.meaning, resource.unset)
    def read(**path: str) -> Response:
        return json_response(_part(resource, path).of(owner.find(ports(), path[identity])))

    if resource.puts:

        @blueprint.route(rule, methods=["PUT"])
        @blueprint.doc(
            requestBody={
                "required": True,
                "content": {
                    "application/json": {"schema": resource.schema, "example": resource.example}
                },
            }
        )
        @blueprint.response(204, description="It has been set.")
        @blueprint.operation(f"PUT_{operation}", 400, 403, 404, 503)
        @_documented(f"Set {of_one}.", resource.meaning)
        def put(**path: str) -> Response:
            part = _part(resource, path)
            value = _parsed(resource.value, part)
            owner.change(
                ports(), path[identity], lambda thing: part.put(thing, value), by=PRINCIPAL
            )
            return empty_response(204)

    if resource.deletes:

        @blueprint.route(rule, methods=["DELETE"])
        @blueprint.response(204, description="It is not set any more.")
        @blueprint.operation(f"DELETE_{operation}", *resource.delete_errors)
        @_documented(f"Remove {of_one}.", resource.meaning, resource.absent)
        def delete(**path: str) -> Response:
            owner.change(ports(), path[identity], _part(resource, path).without, by=PRINCIPAL)
            return empty_response(204)


def _part(resource: Resource, path: Mapping[str, str]) -> Property | Tag:
    return Tag(path["name"]) if "name" in path else Property(resource.path)


def _parsed(value: Field[Any], part: Property | Tag) -> Any:  # noqa: ANN401 - JSON
    try:
        return value.deserialize(json_body())
    except ValidationError as error:
        raise ValidationError({part.path: error.messages}) from error


def _documented(*paragraphs: str) -> Callable[[View], View]:
    def decorated(view: View) -> View:
        view.__doc__ = "\n\n".join((paragraphs[0], " ".join(paragraphs[1:])))
        return view

    return decorated
