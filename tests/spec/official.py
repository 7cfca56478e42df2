"""The specification itself: its OpenAPI document, JSON schemas and examples."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

METHODS = ("head", "get", "put", "post", "delete")

# Only a name for the files to refer to each other; nothing is fetched.
_BASE = "http://specification.example/"
_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Operation:
    """One operation of an OpenAPI document, its references resolved one level deep."""

    path: str
    method: str
    parameters: Mapping[str, Mapping[str, Any]]
    responses: Mapping[str, Mapping[str, Any]]
    described: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.described["operationId"])

    @property
    def bodies(self) -> dict[str, Mapping[str, Any]]:
        """Its JSON bodies: that of the request, and those of responses by status."""
        described = {"request": self.described.get("requestBody", {}), **self.responses}
        contents = {of: body.get("content", {}) for of, body in described.items()}
        return {of: c["application/json"] for of, c in contents.items() if "application/json" in c}


class Example(NamedTuple):
    """An example body: of the request of an operation, or of its response with some status."""

    operation: str
    status: str | None
    file: str | None
    body: Any


@dataclass(frozen=True)
class Document:
    """An OpenAPI document."""

    content: Mapping[str, Any]
    schemas: Registry = field(default_factory=Registry)
    base: str = ""

    @cached_property
    def operations(self) -> dict[str, Operation]:
        """Every operation by name."""
        return {operation.name: operation for operation in self._operations()}

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation that a request is for; a path without parameters comes first."""
        concrete = path in self.content["paths"]
        for operation in self.operations.values():
            if concrete and operation.path != path:
                continue
            form = re.sub(r"{[^}]*}", "[^/]+", operation.path)
            if operation.method == method.lower() and re.fullmatch(form, path):
                return operation
        return None

    def faults(self, schema: Mapping[str, Any], value: object) -> list[str]:
        """Why `value` does not fit `schema`, which may refer to others of this document."""
        whole = {"$id": self.base, "components": self.content.get("components"), **schema}
        validator = Draft202012Validator(
            whole, registry=self.schemas, format_checker=FormatChecker()
        )
        return [f"{e.json_path}: {e.message}" for e in validator.iter_errors(value)]

    def _operations(self) -> Iterator[Operation]:
        for path, item in self.content["paths"].items():
            for method in METHODS:
                if method in item:
                    described = item[method]
                    given = [*item.get("parameters", ()), *described.get("parameters", ())]
                    parameters = [self._resolved(parameter) for parameter in given]
                    responses = described["responses"].items()
                    yield Operation(
                        path,
                        method,
                        {parameter["name"]: parameter for parameter in parameters},
                        {status: self._resolved(response) for status, response in responses},
                        described,
                    )

    def _resolved(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" not in value:
            return value
        found: Any = self.content
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return {**found, **{key: inside for key, inside in value.items() if key != "$ref"}}


@dataclass(frozen=True)
class Official:
    """One version of the specification, in a directory."""

    directory: Path

    @cached_property
    def document(self) -> Document:
        content = yaml.safe_load((self.directory / "TimeAddressableMediaStore.yaml").read_text())
        return Document(content, Registry().with_resources(self._schemas()).crawl(), _BASE)

    def faults(self, schema: str, value: object) -> list[str]:
        """Why `value` does not fit the schema of that name."""
        return self.document.faults({"$ref": f"schemas/{schema}.json"}, value)

    def example(self, name: str, ids: Mapping[str, str] | None = None) -> Any:
        """An example, its identifiers exchanged for those in `ids`."""
        text = (self.directory / "examples" / f"{name}.json").read_text()
        return json.loads(_UUID.sub(lambda found: (ids or {}).get(found[0], found[0]), text))

    @cached_property
    def examples(self) -> list[Example]:
        """Every example body in the document, and in the files it refers to."""
        return [
            example
            for operation in self.document.operations.values()
            for status, described in (
                (None, operation.described.get("requestBody", {})),
                *operation.responses.items(),
            )
            for example in self._examples(operation.name, status, described)
        ]

    def ids(self, name: str) -> list[str]:
        """The identifiers in an example."""
        return _UUID.findall((self.directory / "examples" / f"{name}.json").read_text())

    def _examples(
        self, operation: str, status: str | None, described: Mapping[str, Any]
    ) -> Iterator[Example]:
        media = described.get("content", {}).get("application/json", {})
        given = [*media.get("examples", {}).values()]
        if "example" in media:
            given.append(media["example"])
        for each in given:
            match each:
                case {"$ref": path} | {"externalValue": path} | {"value": {"$ref": path}}:
                    file = Path(path).stem
                    yield Example(operation, status, file, self.example(file))
                case {"value": body}:
                    yield Example(operation, status, None, body)
                case str() as text:
                    yield Example(operation, status, None, json.loads(text))
                case body:
                    yield Example(operation, status, None, body)

    def _schemas(self) -> Iterator[tuple[str, Resource[Any]]]:
        for path in (self.directory / "schemas").glob("*.json"):
            content = json.loads(path.read_text())
            resource = Resource.from_contents(content, default_specification=DRAFT202012)
            yield f"{_BASE}schemas/{path.name}", resource
