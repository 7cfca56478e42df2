"""Addresses of feeds, as URLs.

* `sqs://[KEY:SECRET@]HOST[:PORT]/ACCOUNT/QUEUE[?region=..&tls=no]`
* `amqp[s]://[USER:PASSWORD@]HOST[:PORT]/[VHOST/]QUEUE`
* `confluentkafka://[USER:PASSWORD@]HOST[:PORT]/TOPIC[?property=..]` with properties of librdkafka
* `redis[s]-list://[[USER]:PASSWORD@]HOST[:PORT]/DB/LIST`

What is special in a URL is written percent-encoded. Nothing secret prints, in errors neither.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit


class Scheme(StrEnum):
    """What kind of queue a feed is."""

    SQS = "sqs"
    AMQP = "amqp"
    AMQPS = "amqps"
    KAFKA = "confluentkafka"
    REDIS_LIST = "redis-list"
    REDISS_LIST = "rediss-list"


# How many names the path has at least and at most, and how they are called.
_PATHS: Final[Mapping[Scheme, tuple[int, int, str]]] = {
    Scheme.SQS: (2, 2, "ACCOUNT/QUEUE"),
    Scheme.AMQP: (1, 2, "[VHOST/]QUEUE"),
    Scheme.AMQPS: (1, 2, "[VHOST/]QUEUE"),
    Scheme.KAFKA: (1, 1, "TOPIC"),
    Scheme.REDIS_LIST: (2, 2, "DB/LIST"),
    Scheme.REDISS_LIST: (2, 2, "DB/LIST"),
}


@dataclass(frozen=True, slots=True)
class FeedAddress:
    """Where a feed is, how to get in, and what it is called there."""

    scheme: Scheme
    host: str
    port: int | None
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    path: tuple[str, ...]
    options: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        """The address without user, password and options."""
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}/{'/'.join(self.path)}"

    @classmethod
    def parse(cls, text: str) -> "FeedAddress":
        """Read an address.

        Raises:
            ValueError: with what is wrong, and with nothing of `text` but scheme and host.
        """
        scheme, parts = _split(text)
        host, port = parts.hostname, _port(parts)
        if not host:
            raise ValueError(f"{scheme}:// needs a host")
        path = tuple(unquote(name) for name in parts.path.split("/") if name)
        least, most, names = _PATHS[scheme]
        if not least <= len(path) <= most:
            raise ValueError(f"the path of {scheme}://{host} is not {names}")
        if scheme in {Scheme.REDIS_LIST, Scheme.REDISS_LIST} and not path[0].isdecimal():
            raise ValueError(f"the path of {scheme}://{host} is not {names} with a number as DB")
        options = dict(parse_qsl(parts.query))
        if unknown := {name for name in options if not _is_option(scheme, name)}:
            raise ValueError(f"{scheme}://{host} has no option {min(unknown)!r}")
        return cls(
            scheme,
            host,
            port,
            None if parts.username is None else unquote(parts.username),
            None if parts.password is None else unquote(parts.password),
            path,
            options,
        )


def parse_feeds(text: str) -> tuple[FeedAddress, ...]:
    """The addresses in a JSON list, or between commas.

    Raises:
        ValueError: naming which one is wrong, and how, but nothing secret.
    """
    found = []
    for at, item in enumerate(_items(text), start=1):
        try:
            found.append(FeedAddress.parse(item))
        except ValueError as error:
            raise ValueError(f"address {at}: {error}") from None
    return tuple(found)


def _items(text: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        items = json.loads(text)
    except ValueError:
        raise ValueError("begins like a JSON list and is none") from None
    if not all(isinstance(item, str) for item in items):
        raise ValueError("is not a list of texts")
    return list(items)


def _split(text: str) -> tuple[Scheme, SplitResult]:
    """The scheme of a URL and its parts; errors do not repeat it."""
    schemes = ", ".join(f"{scheme}://" for scheme in Scheme)
    try:
        parts = urlsplit(text)
        scheme = Scheme(parts.scheme)
    except ValueError:
        raise ValueError(f"does not begin with one of {schemes}") from None
    return scheme, parts


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ValueError("the port is not a number up to 65535") from None


def _is_option(scheme: Scheme, name: str) -> bool:
    match scheme:
        case Scheme.SQS:
            return name in {"region", "tls"}
        case Scheme.KAFKA:
            return "." in name  # as all properties of librdkafka that matter here are called
    return False
