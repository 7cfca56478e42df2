"""The commands `rules`: what dropped files mean, seen from the command line.

* A rule is read from a JSON file, or from standard input (`-`), and shown as JSON.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec
from uuid import UUID

import click
import orjson

from workers.client.commands import API, Parsed, api_url, complaints
from workers.client.store import Json, Store

P = ParamSpec("P")

_RULE: Final = click.argument("rule", type=Parsed("rule id", lambda text: str(UUID(text))))
_FILE: Final = click.argument("file", type=click.File("rb"))


@click.group()
def rules() -> None:
    """Say what files dropped into the bucket mean."""


def _command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command that is given the store and complains in one line."""

    def decorated(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        def run(*, api: str | None, **arguments: Any) -> None:  # noqa: ANN401 - of the command
            with complaints(), Store(api_url(api)) as store:
                function(store, **arguments)

        return rules.command(name)(API(run))

    return decorated


@_command("list")
def list_rules(store: Store) -> None:
    """List the rules in the order they are tried."""
    for rule in store.rules():
        place = f"{rule['bucket']}/{rule['prefix']}{rule.get('key', '')}"
        state = "" if rule["enabled"] else "  (disabled)"
        click.echo(f"{rule['id']}  {rule['priority']:>5}  {place}  {rule['label']}{state}")


@_command("show")
@_RULE
def show(store: Store, rule: str) -> None:
    """Show RULE as JSON."""
    _print(store.rule(rule))


@_command("create")
@_FILE
def create(store: Store, file: Any) -> None:  # noqa: ANN401 - click's file
    """Create the rule in FILE."""
    click.echo(store.create_rule(_read(file))["id"])


@_command("change")
@_RULE
@_FILE
def change(store: Store, rule: str, file: Any) -> None:  # noqa: ANN401 - click's file
    """Put the rule in FILE in the place of RULE."""
    store.change_rule(rule, _read(file))


@_command("delete")
@_RULE
def delete(store: Store, rule: str) -> None:
    """Delete RULE; the segments it made stay."""
    store.delete_rule(rule)


@_command("test")
@click.argument("bucket")
@click.argument("key")
@click.option(
    "--metadata", multiple=True, metavar="NAME=VALUE", help="Of an object that is not there."
)
def test(store: Store, bucket: str, key: str, metadata: tuple[str, ...]) -> None:
    """Say what would become of the object KEY in BUCKET, or of one of that name.

    Exit status 1 if it would become no segment.
    """
    named = dict(item.partition("=")[::2] for item in metadata)
    forecast = store.test_rules(bucket, key, named)
    for line in _lines(forecast):
        click.echo(line)
    if "code" in forecast:
        raise SystemExit(1)


def _lines(forecast: Json) -> list[str]:
    lines = [f"rule {forecast.get('rule', 'none')}"]
    if "flow_id" in forecast:
        created = " (to be created)" if forecast["creates_flow"] else ""
        lines.append(f"flow {forecast['flow_id']}{created}")
    lines += [f"  {t['way']}: {t.get('found') or t.get('reason')}" for t in forecast["tried"]]
    if "segment" in forecast:
        lines.append(f"segment {forecast['segment']['timerange']}")
    if "note" in forecast:
        lines.append(forecast["note"])
    if "code" in forecast:
        lines.append(f"{forecast['code']}: {forecast['reason']}")
    return lines


def _read(file: Any) -> Json:  # noqa: ANN401 - click's file
    try:
        rule = orjson.loads(file.read())
    except orjson.JSONDecodeError as error:
        raise click.ClickException(f"{file.name} is not JSON: {error}") from error
    if not isinstance(rule, dict):
        raise click.ClickException(f"{file.name} is not a JSON object")
    return rule


def _print(rule: Json) -> None:
    click.echo(orjson.dumps(rule, option=orjson.OPT_INDENT_2).decode())
