"""`tams up`: one store on this machine, from nothing to healthy, until Ctrl-C.

* The local services come first, then `tams init` and our own processes; what is replaced
  by the real thing is not started.
* When all are healthy, `endpoints.json` in the data directory says where everything is. It
  is there only while the store runs, and always true.
* Whatever stands in the way of a start is one line on standard error and status 1.
"""

import asyncio
import json
import shlex
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.local_services.directory import locked, write_private
from infra.local_services.plan import Plan, facts, plan
from infra.local_services.ports import Address
from infra.local_services.service import (
    HEALTH_TIMEOUT_S,
    Service,
    StartError,
    http_answers,
    running,
)
from infra.settings import (
    ENDPOINTS_FILE,
    Settings,
    SettingsError,
    data_dir,
    process_environment,
)
from workers.supervisor import Supervisor, guarded

SERVICES = (
    *("valkey", "seaweedfs", "vast", "init"),
    *("api", "worker", "bulk", "events", "beat", "listener"),
)
"""What a store consists of, by the names of its processes."""

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan")
_NAME_WIDTH = 9
_TABLE_WIDTH = 160


def up(only: Collection[str] = ()) -> int:
    """Run a store (or `only` the services named) until it is stopped; the exit status.

    Call it while the process has one thread: it forks (see `workers.supervisor.guarded`).
    """
    environ = process_environment()
    directory = data_dir(environ)
    try:
        _require_known(only)
        with locked(directory), _no_endpoints(directory / ENDPOINTS_FILE) as endpoints:
            return guarded(lambda: _run(endpoints, environ, only))
    except StartError as error:
        return _complain(error)


def _require_known(only: Collection[str]) -> None:
    unknown = [name for name in only if name not in SERVICES]
    if unknown:
        raise StartError(f"no service is called {unknown[0]}; there are {', '.join(SERVICES)}")


@contextmanager
def _no_endpoints(path: Path) -> Iterator[Path]:
    """No file of that name before and after: it would speak of a store that does not run."""
    path.unlink(missing_ok=True)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _run(endpoints: Path, environ: Mapping[str, str], only: Collection[str]) -> int:
    try:
        asyncio.run(_supervise(endpoints, environ, only))
    except (StartError, SettingsError) as error:
        return _complain(error)
    except KeyboardInterrupt:  # before there was anything to stop
        return 128 + signal.SIGINT
    return 0


async def _supervise(endpoints: Path, environ: Mapping[str, str], only: Collection[str]) -> None:
    elsewhere = set(SERVICES).difference(only or SERVICES)
    planned = plan(endpoints.parent, environ, elsewhere)
    # Addresses and keys are there to be copied: they leave the terminal rather than fold.
    output = _Output(Console(highlight=False, width=_TABLE_WIDTH))

    def changed(processes: Mapping[str, int]) -> None:
        write_private(endpoints, json.dumps(facts(planned, processes), indent=2) + "\n")

    services = [each for each in _services(planned) if each.name not in elsewhere]
    supervisor = Supervisor(services, output.line, changed)
    await supervisor.run(
        lambda: output.welcome(planned.settings, directory_given="TAMS_DATA_DIR" in environ)
    )


def _complain(error: Exception) -> int:
    sys.stderr.write(f"tams up: {' '.join(str(error).split())}\n")
    return 1


def _services(planned: Plan) -> list[Service]:
    """Everything a store consists of.

    Our processes spend their first seconds importing. They do that while `init` works,
    because they connect to nothing but the broker before they are asked something.
    """
    settings = planned.settings
    api = Address(settings.api_host, settings.api_port)
    listener = Address(settings.listener_host, settings.listener_port)
    environ = {**planned.environ, "PYTHONUNBUFFERED": "1"}
    local = frozenset(service.name for service in planned.services)

    def tams(
        name: str,
        command: str,
        healthy: Callable[[], bool] = running,
        needs: frozenset[str] = frozenset({"valkey"}),
    ) -> Service:
        return Service(
            name=name,
            argv=(sys.executable, "-P", "-m", "workers.cli", *command.split()),
            healthy=healthy,
            env=environ,
            needs=needs,
            once=name == "init",
        )

    return [
        *planned.services,
        tams("init", "init", needs=local),
        tams("api", "api", lambda: http_answers(f"{api.url}/health")),
        tams("worker", "worker", lambda: _a_worker_listens(settings.redis_url)),
        tams("bulk", "worker --queues bulk --concurrency 1"),
        tams("events", "worker --queues events --threads --concurrency 16"),
        tams("beat", "beat"),
        tams("listener", "listen", lambda: http_answers(f"{listener.url}/health")),
    ]


def _a_worker_listens(redis_url: str) -> bool:
    """Whether a worker waits for Celery's commands, which it does once it takes tasks.

    Its pattern subscription ends with its connection, so a dead worker's is not counted.
    """
    from redis import Redis, RedisError  # noqa: PLC0415 - takes as long as all else here

    with Redis.from_url(redis_url, socket_timeout=HEALTH_TIMEOUT_S) as broker:
        try:
            return bool(broker.pubsub_numpat() > 0)
        except RedisError:
            return False


class _Output:
    """What the operator sees: every process's lines under its name, and the welcome."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._prefixes: dict[str, str] = {}

    def line(self, name: str, text: str) -> None:
        """Print one line of the process called `name`."""
        self._write(f"{self._prefix(name)}{text}\n")

    def welcome(self, settings: Settings, *, directory_given: bool) -> None:
        """Print where everything is, how to get in, and what to try next."""
        with self._console.capture() as captured:
            self._console.print(_addresses(settings))
            self._console.print(_next_commands(settings, directory_given=directory_given))
        self._write(captured.get())

    def _prefix(self, name: str) -> str:
        if name not in self._prefixes:
            colour = _COLOURS[len(self._prefixes) % len(_COLOURS)]
            with self._console.capture() as captured:
                self._console.print(Text(f"{name:<{_NAME_WIDTH}} | ", style=colour), end="")
            self._prefixes[name] = captured.get()
        return self._prefixes[name]

    def _write(self, text: str) -> None:
        """Print; a reader that went away must not keep the store from stopping."""
        with suppress(OSError):
            self._console.file.write(text)
            self._console.file.flush()


def _addresses(settings: Settings) -> Table:
    s3, vast = settings.s3, settings.vast
    table = Table(title="The store is running", title_justify="left", box=SIMPLE)
    for heading in ("", "address", "credentials"):
        table.add_column(heading, no_wrap=True)
    table.add_row("API", Address(settings.api_host, settings.api_port).url, "none needed")
    table.add_row("S3", s3.endpoint, f"{s3.access_key}\n{s3.secret_key}")
    for each in settings.backends:
        elsewhere = f", at {each.store.endpoint}" if each.store.endpoint != s3.endpoint else ""
        table.add_row("", f"bucket {each.backend.bucket}, region {each.backend.region}{elsewhere}")
    table.add_row("VAST", vast.endpoint, f"{vast.access_key}\n{vast.secret_key}")
    table.add_row("", f"bucket {vast.bucket}, schema {vast.schema}", "")
    table.add_row("Redis", settings.redis_url, "in the address")
    table.add_row(
        "listener",
        Address(settings.listener_host, settings.listener_port).url,
        f"bearer {settings.listener_token}",
    )
    table.add_row("data", str(settings.data_dir), f"all of this in {ENDPOINTS_FILE}")
    return table


def _next_commands(settings: Settings, *, directory_given: bool) -> Text:
    tams = Path(sys.executable).with_name("tams")
    with suppress(ValueError):
        tams = tams.relative_to(Path.cwd())
    where = f"TAMS_DATA_DIR={shlex.quote(str(settings.data_dir))} " if directory_given else ""
    return Text(
        "Try next, in another shell:\n"
        f"  {where}{tams} demo\n"
        f"  curl {Address(settings.api_host, settings.api_port).url}/service"
    )
