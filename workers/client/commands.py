"""The commands `ingest`, `get` and `demo` of the command line.

* The store is the one at `--api` or `TAMS_API_URL`, else the one `tams up` runs in the data
  directory.
* What is wrong is said in one line, with exit status 1; progress goes to standard error.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from infra.settings import SettingsError, data_dir, read_endpoints
from schemas.domain.errors import Invalid, TamsError
from schemas.domain.timerange import NS_PER_S, TimeRange, parse_timestamp
from workers.client.demo import demo as run_demo
from workers.client.download import Got
from workers.client.download import get as get_media
from workers.client.ingest import Ingested
from workers.client.ingest import ingest as ingest_media
from workers.client.store import Store, StoreError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Parsed(click.ParamType[Any]):
    """A parameter read by a function that raises `ValueError` or `Invalid`."""

    def __init__(self, name: str, parse: Any) -> None:  # noqa: ANN401 - of any result
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's own signature
        """What `value` means; fails with what is wrong with it."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except (ValueError, Invalid, ZeroDivisionError) as error:
            self.fail(f"{value!r}: {error}", param, ctx)


def _seconds(text: str) -> Fraction:
    seconds = Fraction(text)
    if seconds <= 0:
        raise ValueError("must be more than 0")
    return seconds


def _moment(text: str) -> int:
    """The nanoseconds of a TAMS timestamp, or since 1970 of an ISO 8601 time with its zone."""
    if "T" not in text:
        return parse_timestamp(text)
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("an ISO time needs its zone, such as Z or +01:00")
    passed = time - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * NS_PER_S + passed.microseconds * 1_000


_SECONDS: Final = Parsed("seconds", _seconds)
_MOMENT: Final = Parsed("timestamp", _moment)
_FLOW: Final = Parsed("flow id", lambda text: str(UUID(text)))
_TIMERANGE: Final = Parsed("timerange", TimeRange.parse)
API: Final = click.option(
    "--api", envvar="TAMS_API_URL", help="Address of the store's API; else the running store's."
)
_CONNECTIONS: Final = click.option(
    "--connections", type=click.IntRange(1, 64), default=4, show_default=True, help="At a time."
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--flow", type=_FLOW, help="The flow to put it into; else one of its own.")
@click.option(
    "--segment-duration", type=_SECONDS, default="2", show_default=True, help="In seconds, about."
)
@click.option(
    "--start",
    type=_MOMENT,
    default="0:0",
    show_default=True,
    help="Where on the timeline it starts: seconds:nanoseconds, or an ISO 8601 time.",
)
@_CONNECTIONS
@API
def ingest(
    file: Path,
    flow: str | None,
    segment_duration: Fraction,
    start: int,
    connections: int,
    api: str | None,
) -> None:
    """Cut the media FILE at key frames, upload it, and register it as flows.

    Video and audio become flows of their own, collected by a multi flow. Nothing is
    re-encoded. An interrupted run continues when it is repeated.
    """
    with complaints(), Store(api_url(api), connections + 2) as store, _progress() as progress:
        ingested = ingest_media(
            store,
            file,
            flow_id=flow,
            segment_duration=segment_duration,
            origin_ns=start,
            connections=connections,
            progress=progress,
        )
    for line in _ingested_lines(ingested):
        click.echo(line)


@click.command()
@click.argument("flow", type=_FLOW)
@click.argument("timerange", type=_TIMERANGE)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file to write; its suffix says the container (.ts, .mp4, .mkv, .wav, ...).",
)
@_CONNECTIONS
@API
def get(flow: str, timerange: TimeRange, output: Path, connections: int, api: str | None) -> None:
    """Write what FLOW plays in TIMERANGE, such as [10:0_20:0), to a file.

    Video starts at the last key frame at or before the start. Put the timerange into quotes.
    """
    with complaints(), Store(api_url(api), connections + 2) as store, _progress() as progress:
        got = get_media(store, flow, timerange, output, connections=connections, progress=progress)
    for line in _got_lines(got):
        click.echo(line)
    click.echo(f"wrote {output} ({output.stat().st_size} bytes)")


@click.command()
@API
def demo(api: str | None) -> None:
    """Make a recording, put it into the store both ways, read it back, and compare.

    Exit status 0 only if everything agrees.
    """
    with complaints():
        facts = read_endpoints(data_dir())
        if "s3" not in facts:
            raise SettingsError(
                f"{data_dir()} does not say how to reach S3: run this in the data directory of "
                "a store started with `tams up` (TAMS_DATA_DIR)"
            )
        with Store(api_url(api)) as store:
            agreed = run_demo(store, facts["s3"])
    raise SystemExit(0 if agreed else 1)


def api_url(given: str | None) -> str:
    """The address of the API: as given, or that of the running store."""
    url = given or read_endpoints(data_dir()).get("api")
    if not url:
        raise SettingsError(
            f"no store is known: start one with `tams up`, or name it with --api or TAMS_API_URL "
            f"({data_dir()} has no endpoints.json)"
        )
    return str(url)


@contextmanager
def complaints() -> Iterator[None]:
    """Turn what goes wrong on purpose into one line."""
    try:
        yield
    except (TamsError, StoreError, SettingsError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _progress() -> Progress:
    """Progress bars on a terminal; nothing where nobody watches."""
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _ingested_lines(ingested: Ingested) -> Iterator[str]:
    size = sum(segment.size for segment in ingested.uploaded)
    yield f"flow {ingested.flow_id} {ingested.timerange}"
    for flow_id, timerange in ingested.stream_flows.items():
        if flow_id != ingested.flow_id:
            yield f"  collects {flow_id} {timerange}"
    yield f"registered {len(ingested.uploaded)} segments ({size} bytes)"
    if ingested.found:
        yield f"found {ingested.found} segments already registered"
    for item in ingested.left_out:
        yield f"left out {item}"


def _got_lines(got: Sequence[Got]) -> Iterator[str]:
    for one in got:
        yield (
            f"{one.kind} {one.flow_id}: {one.frame_count} frames in {one.timerange}, "
            f"from {len(one.objects)} objects ({one.size} bytes)"
        )
        for gap in one.gaps:
            yield f"  nothing in {gap}"
