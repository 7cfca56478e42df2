"""The command line: every process of the store, and its clients.

* A command that cannot go on says why in one line and exits with status 1.
* Commands import what they need when they run: some of it takes seconds.
"""

import logging
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path
from socket import gethostname
from threading import Thread
from time import sleep
from typing import Final

import click

from infra.settings import Settings, SettingsError, is_loopback
from infra.telemetry import configure_logging
from schemas.domain.errors import Invalid, Unavailable
from tasks.ports import Intake, Work
from workers.plainly import plainly

# Commands that are in modules of their own, which are imported when needed.
_ELSEWHERE: Final[Mapping[str, str]] = {
    "dead-letters": "workers.dead_letters",
    "demo": "workers.client.commands",
    "get": "workers.client.commands",
    "ingest": "workers.client.commands",
    "rules": "workers.client.rules",
}
_PAUSE_S: Final = 5.0
# Streams of events have no end of their own; when the server stops, they are left this long.
_STREAMS_END_S: Final = 5

log = logging.getLogger(__name__)


class _Commands(click.Group):
    """The commands of this module, and those in others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module = import_module(_ELSEWHERE[cmd_name])
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
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
@plainly
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
        click.echo(f"created {name}")
    if settings.ingest_rules is not None:
        _load_rules(settings, settings.ingest_rules)
    if len(settings.secret_keys) > 1:
        _renew_secrets(settings)
    click.echo("the store is ready")


@main.command()
@plainly
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
        workers_kill_timeout=_STREAMS_END_S,
        log_access=False,
    ).serve()


@main.command()
@click.option(
    "--queues",
    "-Q",
    default="interactive",
    show_default=True,
    help="Queues to work on, by commas; there are interactive, bulk and events.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    show_default="TAMS_WORKER_CONCURRENCY",
    help="Tasks to work on at once.",
)
@click.option("--threads", is_flag=True, help="In threads, for tasks that wait for others.")
@plainly
def worker(queues: str, concurrency: int | None, *, threads: bool) -> None:
    """Work on what waits in the queues."""
    configure_logging()
    from infra.bootstrap import preload
    from infra.memory import settle
    from workers.app import app
    from workers.watchdog import Watchdog

    preload()  # once, before the children are forked
    settle()
    Watchdog(app, queues.split(","), Settings.from_env().watchdog_s).watch()
    app.Worker(
        queues=queues,
        loglevel="INFO",
        pool="threads" if threads else "prefork",
        concurrency=concurrency,
        hostname=f"tams-{queues.replace(',', '-')}@{gethostname()}",
        without_gossip=True,  # workers need nothing of each other
        without_mingle=True,
        quiet=True,
    ).start()


@main.command()
@plainly
def beat() -> None:
    """Call for periodic work."""
    configure_logging()
    from workers.app import app

    app.Beat(quiet=True, loglevel="INFO").run()


@main.command()
@plainly
def listen() -> None:
    """Take the notifications of object stores."""
    configure_logging()
    from cheroot.wsgi import Server

    from api import create_listener
    from infra.bootstrap import build_intake
    from workers.app import app
    from workers.feeds import following

    settings = Settings.from_env()
    _require_loopback(settings.listener_host, "TAMS_LISTENER_HOST")
    intake = build_intake(settings, app)
    server = Server(
        (settings.listener_host, settings.listener_port),
        create_listener(intake, settings.listener_token),
        numthreads=8,
        server_name="tams-listener",
    )
    intake.missed.set()  # before this listener there was nobody
    server.prepare()  # what comes from here on is heard; the buckets show what came before
    Thread(target=_keep_up, args=(intake,), daemon=True).start()
    try:
        with following(settings.ingest_sources, intake):
            server.serve()
    except KeyboardInterrupt:
        server.stop()


@main.command()
@click.argument("bucket")
@click.option("--prefix", default="", help="Only keys that begin so.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]),
    help="Only what was modified since then, such as 2026-02-03T10:20:30Z.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be taken over, and leave it.")
@plainly
def scan(bucket: str, prefix: str, since: datetime | None, dry_run: bool) -> None:
    """Find files in BUCKET that no notification told of, and take them over."""
    from tasks import scans
    from workers.app import connect

    ports = connect()
    if dry_run:
        for sifted in scans.pages(ports, scans.new(ports, bucket, prefix, since)):
            for item in sifted.new:
                click.echo(item.key)
        return
    found = scans.begin(ports, bucket, prefix, since)
    click.echo(f"scan {found.id} has begun, and goes on without this command", err=True)
    while not found.ended:
        ports.jobs.wait(found.id, _PAUSE_S)
        found = scans.get(ports, found.id)
    if found.fault is not None:
        raise click.ClickException(found.fault.summary)
    click.echo(
        f"{found.listed} keys: {found.found} taken over, {found.known} known, "
        f"{found.problems} are problems on record"
    )


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
    from infra.memory import settle
    from infra.vast_local import DEFAULT_SECRET_KEY, CannotStart, serve

    settle()
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


def _load_rules(settings: Settings, path: Path) -> None:
    """Keep the ingest rules of a JSON file."""
    from infra.bootstrap import build_ports
    from schemas.http.rules import rules_from_file
    from tasks import ingest_rules
    from workers.app import app

    try:
        documents = rules_from_file(path.read_bytes())
        rules = ingest_rules.load(build_ports(settings, app), documents)
    except (OSError, Invalid) as error:
        raise SettingsError(f"TAMS_INGEST_RULES={path}: {error}") from error
    click.echo(f"loaded {len(rules)} ingest rules")


def _renew_secrets(settings: Settings) -> None:
    """Encrypt every secret with the first of the keys, so that the others can be taken away."""
    from infra.bootstrap import build_ports
    from tasks import webhooks
    from workers.app import app

    renewed = webhooks.reseal(build_ports(settings, app))
    click.echo(f"encrypted the keys of {renewed} webhooks anew")


def _keep_up(intake: Intake) -> None:
    """Have the buckets scanned whenever something was missed, as soon as that can be called for."""
    while intake.missed.wait():
        intake.missed.clear()
        try:
            intake.queue.call(Work.CATCH_UP)
        except Unavailable as error:
            log.warning("no scan of the buckets was called for yet: %s", error)
            intake.missed.set()
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
