"""The kind of blueprint every module of endpoints has."""

import flask_smorest
from webargs.flaskparser import FlaskParser


class Parser(FlaskParser):
    """Bad input is 400, and unknown parameters are for the schemas to judge."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {}  # noqa: RUF012 - as webargs has it


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # flask-smorest has no types
    """A group of endpoints, documented by their decorators."""

    ARGUMENTS_PARSER = Parser()
