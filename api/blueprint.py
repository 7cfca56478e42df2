"""The kind of blueprint every module of endpoints has."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import cache
from http import HTTPStatus
from typing import Any, Final, TypeVar

import flask_smorest
import orjson
from flask import Request, request
from marshmallow import Schema, ValidationError
from webargs import missing
from webargs.flaskparser import FlaskParser

from api.openapi import head_of, replayable, tag_filters
from api.paging import in_force
from api.preferences import PREFER
from api.requests import body as request_body
from schemas.domain.errors import Invalid
from schemas.http.examples import EXAMPLES
from schemas.http.queries import NoQuerySchema, PagedSchema

View = TypeVar("View", bound=Callable[..., Any])
Documented = Schema | type[Schema] | Mapping[str, Any] | None

_DEEPEST: Final = 32
_NUL: Final = rb"\u0000"  # in JSON a NUL character can be written in no other way
_BODY_ERRORS: Final = (413, 415)


def json_body() -> object:
    """The JSON of the request, whatever type it is said to be.

    Raises:
        Invalid: when it is none, holds NUL characters, or is nested so deeply that it could not
            be given out again.
    """
    text = request_body()
    try:
        body: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"the body is not JSON: {error}") from error
    if _NUL in text or _levels(body) > _DEEPEST:
        _require_plain(body, "", _DEEPEST)
    return body


class Parser(FlaskParser):
    """Bad input is 400, and unknown parameters are for the schemas to judge."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {}  # noqa: RUF012 - as webargs has it

    def _get_schema(self, argmap: Any, req: Request) -> Schema:  # noqa: ANN401 - as webargs has it
        """One schema for all requests: it keeps nothing of them, and takes long to make."""
        return _schema_of(argmap) if isinstance(argmap, type) else super()._get_schema(argmap, req)

    def parse(self, argmap: Any, req: Request | None = None, **options: Any) -> Any:  # noqa: ANN401
        """What the request means; nothing, where no query is due and none was given."""
        if argmap is NoQuerySchema and not request.query_string:
            return {}
        return super().parse(argmap, req, **options)

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ANN401, ARG002
        """The body; there may be none at all where the schema says so."""
        optional = getattr(schema, "body_optional", False)
        return missing if optional and not request_body() else json_body()

    def load_querystring(self, req: Request, schema: Schema) -> Any:  # noqa: ANN401
        """The query string, in which nothing may be said twice."""
        for name, values in req.args.lists():
            if len(values) > 1:
                raise ValidationError({name: ["Is given more than once."]})
        args = in_force(req.args) if isinstance(schema, PagedSchema) else req.args
        return self._makeproxy(args, schema)


@cache
def _schema_of(kind: type[Schema]) -> Schema:
    return kind()


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # flask-smorest has no types
    """A group of endpoints, documented by their decorators."""

    ARGUMENTS_PARSER = Parser()

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:  # noqa: ANN401
        """Register a view, with what holds for all of its kind.

        One without a query takes an `access_token` all the same; one with a body does not take
        any body.
        """
        register: Callable[[View], View] = super().route(rule, **options)

        def decorated(view: View) -> View:
            doc = getattr(view, "_apidoc", {})
            places = {p["in"] for p in doc.get("arguments", {}).get("parameters", ())}
            if "json" in places or "requestBody" in doc.get("manual_doc", {}):
                doc["response"]["responses"] |= {s: [HTTPStatus(s).name] for s in _BODY_ERRORS}
            if "query" not in places:
                view = self.arguments(NoQuerySchema, location="query", as_kwargs=True)(view)
            return register(view)

        return decorated

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

    def response(self, status: int, schema: Documented = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Document a response, with the examples of its schema."""
        return super().response(status, schema, **_with_examples(schema, kwargs))

    def alt_response(self, status: int, *, schema: Documented = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Document another response, with the examples of its schema."""
        return super().alt_response(status, schema=schema, **_with_examples(schema, kwargs))

    def arguments(
        self,
        schema: type[Schema],
        *,
        location: str = "json",
        **kwargs: Any,  # noqa: ANN401
    ) -> Callable[[View], View]:
        """Parse the request with `schema`, and document it with its examples and tag filters."""
        if location == "json":
            kwargs = _with_examples(schema, kwargs)
        decorate = super().arguments(schema, location=location, **kwargs)
        prefixes = getattr(schema, "tag_prefixes", ())

        def decorated(view: View) -> View:
            parsed: View = decorate(view)
            for prefix in prefixes:
                parsed._apidoc["arguments"]["parameters"] += tag_filters(prefix)  # type: ignore[attr-defined]  # noqa: SLF001
            return parsed

        return decorated

    def preferring(self, view: View) -> View:
        """Document that a view heeds the header `Prefer`."""
        return self.heeding(PREFER)(view)

    def heeding(self, header: Mapping[str, Any]) -> Callable[[View], View]:
        """Document that a view heeds a header, beside what `arguments` documents."""

        def decorated(view: View) -> View:
            doc = deepcopy(getattr(view, "_apidoc", {}))
            doc.setdefault("arguments", {}).setdefault("parameters", []).append(dict(header))
            view._apidoc = doc  # type: ignore[attr-defined]  # noqa: SLF001 - flask-smorest's own
            return view

        return decorated

    def _store_endpoint_docs(self, endpoint: str, *args: object, **options: object) -> None:
        super()._store_endpoint_docs(endpoint, *args, **options)
        docs = self._docs[endpoint]
        if "get" in docs:
            docs["head"] = head_of(docs["get"])
        if "post" in docs:
            docs["post"] = replayable(docs["post"])


def examples_of(schema: Documented) -> dict[str, dict[str, Any]]:
    """The examples of a schema, as the document wants them; a list of it has one list of all."""
    examples = EXAMPLES.get(schema if isinstance(schema, type) else type(schema), {})
    if isinstance(schema, Schema) and schema.many:
        examples = {"list": list(examples.values())} if examples else {}
    return {name: {"value": value} for name, value in examples.items()}


def _with_examples(schema: Documented, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """`kwargs` with the examples of `schema`, unless they have one of their own."""
    found = {} if "example" in kwargs else examples_of(schema)
    return {"examples": found, **kwargs} if found else dict(kwargs)


def _levels(value: object) -> int:
    """How many lists and objects in each other `value` has at most."""
    levels, inside = 0, [value]
    while inside := [each for each in inside if isinstance(each, dict | list)]:
        levels += 1
        inside = [
            part for each in inside for part in (each.values() if isinstance(each, dict) else each)
        ]
    return levels


def _require_plain(value: object, path: str, levels: int) -> None:
    """Refuse NUL characters in `value`, and more than `levels` levels of it."""
    match value:
        case str():
            if "\0" in value:
                raise Invalid(f"{path}: holds a NUL character", field=path or None)
            return
        case dict():
            _require_plain("".join(value), path, levels)
            inside: Iterable[tuple[object, object]] = value.items()
        case list():
            inside = enumerate(value)
        case _:
            return
    if levels == 0:
        raise Invalid(f"the body is nested more than {_DEEPEST} levels deep")
    for name, each in inside:
        _require_plain(each, f"{path}.{name}" if path else str(name), levels - 1)
