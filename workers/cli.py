"""The command line: every process of the store, and its clients.

* A command that cannot go on says why in one line and exits with status 1.
* Commands import what they need when they run: some of it takes seconds.
"""

import logging
import sys
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from socket import gethostname
from threading import Thread
from time import sleep
from typing import Final, ParamSpec, TypeVar

import click

from infra.settings import Settings, SettingsError, is_loopback
from infra.telemetry import configure_logging
from schemas.domain.errors import TamsError, Unavailable
from tasks import ingest
from tasks.ports import Intake

_CLIENT: Final = ("demo", "get", "ingest")
_PAUSE_S: Final = 5.0

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


def _plainly(command: Callable[P, T]) -> Callable[P, T]:
    """Have `command` end with one line where the fault is not in the program."""

    @wraps(command)
    def plain(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except (SettingsError, TamsError) as error:
            raise click.ClickException(str(error)) from error

    return plain


class _Commands(click.Group):
    """The commands of this module, and those of the client, which are imported when needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_CLIENT])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _CLIENT:
            return super().get_command(ctx, cmd_name)
        from workers.client import commands

        command: click.Command = getattr(commands, cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tams-server")
def main() -> None:
    """A Time-addressable Media Store."""


@main.command()
@click.option("--only", multiple=True, help="Start only this service (repeatable).")
def up(only: tuple[str, ...]) -> None:
    """Run a whole store on this machine, until Ctrl-C."""
    from workers.up import up as run

    sys.exit(run(only))


@main.command()
@_plainly
def init() -> None:
    """Create buckets and tables where they are missing, and open the buckets to browsers."""
    configure_logging()
    from infra.buckets import prepare
    from infra.vast.migrate import migrate
    from infra.vast.session import Database

    settings = Settings.from_env()
    for bucket in prepare(settings.backends, settings.cors_origins):
        click.echo(f"created bucket {bucket}")
    for name in migrate(Database(settings.vast), settings.vast, settings.shards):
        click.echo(f"created table {name}")
    click.echo("the store is ready")


@main.command()
@_plainly
def api() -> None:
    """Serve the HTTP API."""
    from granian import Granian
    from granian.constants import Interfaces

    settings = Settings.from_env()
    _require_loopback(settings.api_host, "TAMS_API_HOST")
    Granian(
        "workers.wsgi:application",
        address=settings.api_host,
        port=settings.api_port,
        interface=Interfaces.WSGI,
        workers=settings.api_workers,
        blocking_threads=settings.api_threads,
        respawn_failed_workers=True,
        log_access=False,
    ).serve()


@main.command()
@click.option(
    "--queues",
    "-Q",
    default="interactive",
    show_default=True,
    help="Queues to work on, by commas; there are interactive and bulk.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    show_default="TAMS_WORKER_CONCURRENCY",
    help="Tasks to work on at once.",
)
@_plainly
def worker(queues: str, concurrency: int | None) -> None:
    """Work on what waits in the queues."""
    configure_logging()
    from infra.bootstrap import preload
    from workers.app import app
    from workers.watchdog import Watchdog

    preload()  # once, before the children are forked
    Watchdog(app, queues.split(","), Settings.from_env().watchdog_s).watch()
    app.Worker(
        queues=queues,
        loglevel="INFO",
        concurrency=concurrency,
        hostname=f"tams-{queues.replace(',', '-')}@{gethostname()}",
        without_gossip=True,  # workers need nothing of each other
        without_mingle=True,
        quiet=True,
    ).start()


@main.command()
@_plainly
def beat() -> None:
    """Call for periodic work."""
    configure_logging()
    from workers.app import app

    app.Beat(quiet=True, loglevel="INFO").run()


@main.command()
@_plainly
def listen() -> None:
    """Take the notifications of object stores."""
    configure_logging()
    from cheroot.wsgi import Server

    from api import create_listener
    from infra.bootstrap import build_intake
    from workers.app import app

    settings = Settings.from_env()
    _require_loopback(settings.listener_host, "TAMS_LISTENER_HOST")
    intake = build_intake(settings, app)
    server = Server(
        (settings.listener_host, settings.listener_port),
        create_listener(intake, settings.listener_token),
        numthreads=8,
        server_name="tams-listener",
    )
    intake.missed.put(intake.notices.unheard_since())
    server.prepare()  # what comes from here on is heard; the bucket shows what came before
    Thread(target=_keep_up, args=(intake,), daemon=True).start()
    try:
        server.serve()
    except KeyboardInterrupt:
        server.stop()


@main.command(name="vast-local")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default="a free one")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), default=Path("data/vast"), show_default=True
)
@click.option("--bucket", "buckets", multiple=True, default=["tams-db"], show_default=True)
@click.option("--access-key", envvar="TAMS_VAST_ACCESS_KEY", default="tams")
@click.option("--secret-key", envvar="TAMS_VAST_SECRET_KEY", default=None)
@click.option(
    "--chaos",
    envvar="TAMS_VAST_CHAOS",
    default="",
    metavar="SPEC",
    help="Trouble on purpose, for tests; see docs/vast-local.md.",
)
def vast_local(
    host: str,
    port: int,
    data_dir: Path,
    buckets: tuple[str, ...],
    access_key: str,
    secret_key: str | None,
    chaos: str,
) -> None:
    """Serve VAST Database's protocol from a local file, until stopped.

    The secret key is better given by TAMS_VAST_SECRET_KEY than on the command line.
    """
    configure_logging()
    from infra.vast_local import DEFAULT_SECRET_KEY, CannotStart, serve

    try:
        serve(
            host=host,
            port=port,
            data_dir=data_dir,
            buckets=buckets,
            access_key=access_key,
            secret_key=secret_key or DEFAULT_SECRET_KEY,
            chaos=chaos,
            ready=lambda found: click.echo(f"listening on http://{host}:{found}"),
        )
    except CannotStart as error:
        raise click.ClickException(str(error)) from error


def _keep_up(intake: Intake) -> None:
    """Catch up with the bucket whenever something was missed."""
    while True:
        since = intake.missed.get()
        for _ in range(intake.missed.qsize()):
            intake.missed.get()  # later than the first, so the same look finds what it is about
        _catch_up(intake, since)


def _catch_up(intake: Intake, unheard_since: datetime | None) -> None:
    """Catch up with the bucket, as soon as all that takes is there."""
    while True:
        try:
            return ingest.catch_up(intake, unheard_since)
        except Unavailable as error:
            log.warning("not caught up with the bucket yet: %s", error)
            sleep(_PAUSE_S)


def _require_loopback(host: str, variable: str) -> None:
    """Without authentication nobody but this machine may be served."""
    if not is_loopback(host):
        raise SettingsError(
            f"{variable}={host} can be reached from other machines, and there is no "
            "authentication yet: use a loopback address such as 127.0.0.1"
        )


if __name__ == "__main__":
    main()
