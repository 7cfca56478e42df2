"""`tams dead-letters`: looks after work that was put aside."""

from textwrap import indent

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from schemas.domain.query import Listing
from tasks import dead_letters as letters
from tasks.ports import Ports
from workers.plainly import plainly


@click.group()
def dead_letters() -> None:
    """Look after work that was put aside because it could not be done."""


@dead_letters.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@plainly
def list_letters(limit: int) -> None:
    """List dead letters, latest first."""
    table = Table(box=SIMPLE)
    for heading in ("id", "kind", "since"):
        table.add_column(heading, no_wrap=True)  # an id is there to be copied
    table.add_column("reason", overflow="fold")
    page = letters.listing(_ports(), Listing(limit))
    for letter in page.items:
        table.add_row(letter.id, letter.kind, f"{letter.time:%Y-%m-%d %H:%M:%S}", letter.reason)
    Console(highlight=False).print(table if page.items else "there are none")


@dead_letters.command()
@click.argument("letter")
@plainly
def show(letter: str) -> None:
    """Show one LETTER."""
    found = letters.get(_ports(), letter)
    about = "\n".join(f"{name}: {value}" for name, value in found.about.items())
    click.echo(f"{found.kind} put aside {found.time.isoformat()}: {found.reason}\n{about}\n")
    click.echo(indent(found.content, "  "))


@dead_letters.command()
@click.argument("letter")
@plainly
def replay(letter: str) -> None:
    """Try LETTER again, as if it had just come."""
    letters.replay(_ports(), letter)
    click.echo(f"{letter} is on its way again")


@dead_letters.command()
@click.argument("letter")
@plainly
def discard(letter: str) -> None:
    """Throw LETTER away."""
    letters.discard(_ports(), letter)
    click.echo(f"{letter} is thrown away")


def _ports() -> Ports:
    from workers.app import connect  # noqa: PLC0415 - takes seconds, which --help should not

    return connect()
