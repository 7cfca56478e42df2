"""The kind of blueprint every module of endpoints has."""

from collections.abc import Callable
from copy import deepcopy
from http import HTTPStatus
from typing import Any, TypeVar

import flask_smorest
import orjson
from flask import Request, request
from marshmallow import Schema, ValidationError
from webargs import missing
from webargs.flaskparser import FlaskParser

from api.openapi import head_of, replayable, tag_filters
from api.preferences import PREFER
from schemas.domain.errors import Invalid

View = TypeVar("View", bound=Callable[..., Any])

_DEEPEST = 32


def json_body() -> object:
    """The JSON of the request, whatever type it is said to be.

    Raises:
        Invalid: when it is none, or nested so deeply that it could not be given out again.
    """
    try:
        body: object = orjson.loads(request.get_data())
    except orjson.JSONDecodeError as error:
        raise Invalid(f"the body is not JSON: {error}") from error
    if _deeper(body, _DEEPEST):
        raise Invalid(f"the body is nested more than {_DEEPEST} levels deep")
    return body


class Parser(FlaskParser):
    """Bad input is 400, and unknown parameters are for the schemas to judge."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {}  # noqa: RUF012 - as webargs has it

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ANN401, ARG002
        """The body; none at all is for the schema to judge, too."""
        return json_body() if req.get_data() else missing

    def load_querystring(self, req: Request, schema: Schema) -> Any:  # noqa: ANN401
        """The query string, in which nothing may be said twice."""
        for name, values in req.args.lists():
            if len(values) > 1:
                raise ValidationError({name: ["Is given more than once."]})
        return super().load_querystring(req, schema)


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # flask-smorest has no types
    """A group of endpoints, documented by their decorators."""

    ARGUMENTS_PARSER = Parser()

    def operation(self, name: str, *errors: int) -> Callable[[View], View]:
        """Name the operation of a view, and say with which errors it may answer."""

        def decorated(view: View) -> View:
            doc = deepcopy(getattr(view, "_apidoc", {}))
            doc.setdefault("manual_doc", {})["operationId"] = name
            responses = doc.setdefault("response", {}).setdefault("responses", {})
            responses |= {status: [HTTPStatus(status).name] for status in errors}
            view._apidoc = doc  # type: ignore[attr-defined]  # noqa: SLF001 - flask-smorest's own
            return view

        return decorated

    def arguments(
        self, schema: type[Schema], *, location: str = "json", **kwargs: object
    ) -> Callable[[View], View]:
        """Parse the request with `schema`, and document it with its tag filters."""
        decorate = super().arguments(schema, location=location, **kwargs)
        prefixes = getattr(schema, "tag_prefixes", ())

        def decorated(view: View) -> View:
            parsed: View = decorate(view)
            for prefix in prefixes:
                parsed._apidoc["arguments"]["parameters"] += tag_filters(prefix)  # type: ignore[attr-defined]  # noqa: SLF001
            return parsed

        return decorated

    def preferring(self, view: View) -> View:
        """Document that a view heeds the header `Prefer`, beside what `arguments` documents."""
        doc = deepcopy(getattr(view, "_apidoc", {}))
        doc.setdefault("arguments", {}).setdefault("parameters", []).append(PREFER)
        view._apidoc = doc  # type: ignore[attr-defined]  # noqa: SLF001 - flask-smorest's own
        return view

    def _store_endpoint_docs(self, endpoint: str, *args: object, **options: object) -> None:
        super()._store_endpoint_docs(endpoint, *args, **options)
        docs = self._docs[endpoint]
        if "get" in docs:
            docs["head"] = head_of(docs["get"])
        if "post" in docs:
            docs["post"] = replayable(docs["post"])


def _deeper(value: object, levels: int) -> bool:
    match value:
        case dict():
            inside = list(value.values())
        case list():
            inside = value
        case _:
            return False
    return levels == 0 or any(_deeper(each, levels - 1) for each in inside)
