"""How the OpenAPI document, `/openapi.json`, is made of the views and their decorators.

* Operations and path parameters have the names TAMS gives them.
* What many operations share is written once: the responses to errors, the families of tag
  filters, and that HEAD answers what GET does, without the body.
* Nothing is in the document that no operation uses.
"""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from http import HTTPStatus
from typing import Any, Final

from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask
from flask_smorest import Api
from flask_smorest.spec.plugins import FlaskPlugin
from marshmallow.fields import Field
from werkzeug.routing import Rule

from api.idempotency import PARAMETER, REPLAYED_HEADERS
from api.requests import LONGEST_BODY
from schemas.http.errors import ErrorSchema
from schemas.http.examples import EXAMPLES
from schemas.http.fields import PageLimit
from tasks.ports import Limits

_ERRORS: Final[Mapping[int, Mapping[str, Any]]] = {
    400: {"description": "The request breaks a rule; `field` names the part at fault."},
    403: {"description": "The flow is read-only, or you may not change this."},
    404: {"description": "There is no such thing; the summary says which."},
    413: {"description": f"The body is longer than {LONGEST_BODY} bytes."},
    415: {"description": "The body is compressed, which is not understood here."},
    503: {
        "description": "A service the store depends on is down, or too much waits already.",
        "headers": {
            "Retry-After": {
                "description": "Seconds to wait before asking again.",
                "required": True,
                "schema": {"type": "integer"},
            }
        },
    },
}


# Errors that are kept as the answer to a POST; the others come before it is begun, or pass.
_REPLAYED_ERRORS: Final = (400, 403, 404)
_REPLAYABLE: Final = "REPLAYABLE_"
# What the families of tag filters choose among.
_FILTERED: Final[Mapping[str, str]] = {
    "tag": "items",
    "storage_backend_tag": "URLs in storage backends",
    "flow_tag": "flows in `referenced_by_flows`",
}


class TamsApi(Api):  # type: ignore[misc]  # flask-smorest has no types
    """flask-smorest with the names and the errors of TAMS."""

    def __init__(self, app: Flask, limits: Limits) -> None:
        super().__init__(app, spec_kwargs={"flask_plugin": _TamsPaths()})
        self.ma_plugin.converter.add_attribute_function(_as_documented)
        self.ma_plugin.converter.add_attribute_function(_with_limits(limits))

    def _register_error_handlers(self) -> None:
        """`api.errors` has done it."""

    def _register_responses(self) -> None:
        known = {HTTPStatus(status).name: response for status, response in _ERRORS.items()}
        known |= {
            f"{_REPLAYABLE}{HTTPStatus(status).name}": {
                **_ERRORS[status],
                "headers": REPLAYED_HEADERS,
            }
            for status in _REPLAYED_ERRORS
        }
        known[self.DEFAULT_ERROR_RESPONSE_NAME] = {"description": "Anything else."}
        examples = {name: {"value": value} for name, value in EXAMPLES[ErrorSchema].items()}
        content = {"application/json": {"schema": ErrorSchema, "examples": examples}}
        for name, response in known.items():
            self.spec.components.response(name, {**response, "content": content}, lazy=True)

    def _register_etag_headers(self) -> None:
        """There are none."""

    def _register_pagination_header(self) -> None:
        """`api.paging` has its own."""


class _TamsPaths(FlaskPlugin):  # type: ignore[misc]
    """Path parameters as TAMS spells them: what is `flow_id` in a rule is `flowId`."""

    @staticmethod
    def flaskpath2openapi(path: str) -> str:
        """The path in the document."""
        return re.sub("{.*?}", lambda match: _camel(match[0]), FlaskPlugin.flaskpath2openapi(path))

    def rule_to_params(self, rule: Rule) -> list[dict[str, Any]]:
        """The parameters in the document."""
        return [
            {
                **parameter,
                "name": _camel(parameter["name"]),
                "description": _described(parameter["name"]),
            }
            for parameter in super().rule_to_params(rule)
        ]


def head_of(get: Mapping[str, Any]) -> dict[str, Any]:
    """What the decorators said of a GET view, for the HEAD that comes with it."""
    head = deepcopy(dict(get))
    head["docstring"]["description"] = "Answers as GET does, without the body."
    name = head["manual_doc"]["operationId"]
    head["manual_doc"]["operationId"] = name.replace("GET_", "HEAD_")
    return head


def replayable(post: Mapping[str, Any]) -> dict[str, Any]:
    """What the decorators said of a POST view, which can be repeated (see `api.idempotency`)."""
    doc = deepcopy(dict(post))
    doc.setdefault("arguments", {}).setdefault("parameters", []).append(PARAMETER)
    for status, responses in doc["response"]["responses"].items():
        for number, response in enumerate(responses):
            if not isinstance(response, str):
                response["headers"] = {**response.get("headers", {}), **REPLAYED_HEADERS}
            elif int(status) in _REPLAYED_ERRORS:
                responses[number] = f"{_REPLAYABLE}{response}"
    return doc


def tag_filters(prefix: str) -> list[dict[str, Any]]:
    """The parameters `{prefix}.{name}` and `{prefix}_exists.{name}`."""
    filtered = _FILTERED[prefix]
    return [
        {
            "in": "query",
            "name": f"{prefix}.{{name}}",
            "description": f"Only {filtered} with one of these values, separated by commas, in the "
            "tag {name}; of a list, one item has to be among them.",
            "schema": {"type": "string", "pattern": "^([^,]+(,[^,]+)*)?$"},
        },
        {
            "in": "query",
            "name": f"{prefix}_exists.{{name}}",
            "description": f"Only {filtered} with a tag {{name}}, whatever its value, if true; "
            "only those without it, if false.",
            "schema": {"type": "boolean"},
        },
    ]


def _as_documented(
    converter: OpenAPIConverter, field: Field[Any], ret: Mapping[str, Any]
) -> dict[str, Any]:
    """What a field of our own says of itself: its schema, or the schemas one of which it fits."""
    documented = dict(getattr(field, "documented", {}))
    if alternatives := getattr(field, "alternatives", ()):
        resolve = converter.resolve_nested_schema
        documented["anyOf"] = [resolve(each) for each in alternatives]  # type: ignore[no-untyped-call]
    if "pattern" in ret:
        documented["pattern"] = ret["pattern"].replace(r"\Z", "$")  # which only Python knows
    return documented


def _with_limits(limits: Limits) -> Callable[..., dict[str, Any]]:
    """What the service's own limits say of the parameter `limit`."""

    def documented(_: OpenAPIConverter, field: Field[Any], **__: object) -> dict[str, Any]:
        if not isinstance(field, PageLimit):
            return {}
        return {
            "default": limits.page_limit_default,
            "description": f"How many items make a page: {limits.page_limit_default} if not given, "
            f"and {limits.page_limit_max} at most. A higher number is lowered to that; "
            "`X-Paging-Limit` tells the one in force.",
        }

    return documented


def _described(parameter: str) -> str:
    thing, is_id, _ = parameter.partition("_id")
    return f"The identifier of the {thing}." if is_id else "The name of the tag, percent-encoded."


def _camel(text: str) -> str:
    text = text.replace("request_id", "request-id")  # the one name TAMS spells otherwise
    return re.sub(r"_(\w)", lambda match: match[1].upper(), text)
