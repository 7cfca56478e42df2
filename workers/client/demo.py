"""The demonstration: both ways into the store, and the way out, checked against each other.

* A recording is ingested through the API. Its pictures are then put into a second flow by
  dropping objects straight into S3, with nothing but their metadata to say where they belong.
* A timerange of both is read back, decoded, and compared with the recording: how many
  frames, how long, which pictures, and which bytes.
* Every check prints a line; all must agree.
"""

import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import av
import boto3
import click
from botocore.config import Config

from infra.media.codecs import Kind
from infra.media.cut import CutSegment, cut
from infra.media.demo import FRAME_RATE, make_recording
from infra.media.plan import Plan, plan
from schemas.domain.errors import Invalid
from schemas.domain.timerange import ETERNITY, NS_PER_S, TimeRange, format_timestamp
from workers.client.download import Got, get
from workers.client.flows import target
from workers.client.identity import digest
from workers.client.ingest import Ingested, ingest
from workers.client.store import Store, StoreError

_DURATION_S: Final = 30
_SEGMENT_S: Final = Fraction(2)
_ORIGIN_NS: Final = 0
# From the middle of one segment to the middle of another, at key frames.
_ASKED: Final = TimeRange.half_open(11 * NS_PER_S, 15 * NS_PER_S)
_DEADLINE_S: Final = 60.0
_POLL_S: Final = 0.2
_AUDIO_FRAME_S: Final = Fraction(1_024, 48_000)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What a file decodes to: a digest of each picture, and how many audio samples."""

    pictures: tuple[str, ...]
    samples: int


class _Checks:
    """Prints a line for each comparison and remembers whether all agreed."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self.agreed = True

    def same(self, what: str, found: object, expected: object, shown: str | None = None) -> None:
        """Check that `found` is `expected`."""
        if found == expected:
            self._say(f"agrees   {what}: {shown or found}")
            return
        self.agreed = False
        self._say(f"DIFFERS  {what}: {found}, expected {expected}")


def demo(
    store: Store, s3_facts: Mapping[str, str], say: Callable[[str], object] = click.echo
) -> bool:
    """Run the demonstration against `store`.

    Args:
        store: the store's API.
        s3_facts: how to reach the bucket it watches: `endpoint`, `region`, `access_key`,
            `secret_key` and `bucket`, as in `endpoints.json`.
        say: what is told each line.

    Returns:
        Whether everything agreed.

    Raises:
        StoreError: when the store does not answer, or refuses.
    """
    checks = _Checks(say)
    with tempfile.TemporaryDirectory(prefix="tams-demo-") as directory:
        work = Path(directory)
        recording = work / "recording.ts"
        make_recording(recording, _DURATION_S)
        say(f"made {_DURATION_S} s of bars and tone ({recording.stat().st_size} bytes)")
        source = _decoded(recording)
        ingested = ingest(
            store,
            recording,
            flow_id=_new_id(),
            segment_duration=_SEGMENT_S,
            origin_ns=_ORIGIN_NS,
        )
        _check_ingested(checks, store, ingested)
        dropped_flow, dropped = _drop(store, s3_facts, recording, work, say)
        _await_segments(checks, store, dropped_flow, len(dropped))
        _check_ranges(checks, store, "dropped", dropped_flow, _DURATION_S)
        uploaded = {u.object_id: u.sha256 for u in ingested.uploaded}
        _check_got(checks, store, ingested.flow_id, uploaded, source, work / "ingested.ts")
        _check_got(checks, store, dropped_flow, dropped, source, work / "dropped.ts")
    say("ok" if checks.agreed else "the demonstration failed")
    return checks.agreed


def _new_id() -> str:
    """A flow id of this run only, so that the demonstration can be repeated."""
    return str(UUID(bytes=secrets.token_bytes(16), version=4))


def _decoded(path: Path) -> _Decoded:
    with av.open(f"file:{path}") as container:
        pictures, samples = [], 0
        for frame in container.decode(video=0):
            state = sha256()
            for plane in frame.planes:
                state.update(bytes(plane))
            pictures.append(state.hexdigest())
    with av.open(f"file:{path}") as container:
        if container.streams.audio:
            samples = sum(frame.samples for frame in container.decode(audio=0))
    return _Decoded(tuple(pictures), samples)


def _check_ingested(checks: _Checks, store: Store, ingested: Ingested) -> None:
    video, audio = ingested.stream_flows
    _check_ranges(checks, store, "ingested video", video, _DURATION_S)
    collected = (store.flow(ingested.flow_id) or {}).get("flow_collection", [])
    checks.same("flows collected", [item["id"] for item in collected], [video, audio], "2")
    registered = sum(1 for id_ in (video, audio) for _ in store.segments(id_, ETERNITY))
    checks.same("ingested segments", registered, len(ingested.uploaded))


def _check_ranges(checks: _Checks, store: Store, name: str, flow_id: str, seconds: int) -> None:
    """Check that a flow's segments meet, and cover the recording."""
    ranges = [TimeRange.parse(s["timerange"]) for s in store.segments(flow_id, ETERNITY)]
    hull = TimeRange.hull(ranges)
    expected = TimeRange.half_open(_ORIGIN_NS, _ORIGIN_NS + seconds * NS_PER_S)
    checks.same(f"{name} timerange", str(hull), str(expected))
    played = sum(r.duration_ns for r in ranges)
    checks.same(f"{name} without gaps", played, hull.duration_ns, f"{len(ranges)} segments meet")


def _drop(
    store: Store,
    s3_facts: Mapping[str, str],
    recording: Path,
    work: Path,
    say: Callable[[str], object],
) -> tuple[str, dict[str, str]]:
    """Put the recording's video into S3 only; the flow, and the digests by object key."""
    whole = plan(recording, _SEGMENT_S)
    video = Plan(
        whole.probe, whole.zero, [s for s in whole.streams if s.essence.kind is Kind.VIDEO]
    )
    flow_id = target(store, video, _new_id(), "dropped into S3", _SEGMENT_S).flow_id
    bucket = _bucket(s3_facts)
    keys = {}
    for number, segment in enumerate(cut(recording, video, work, origin_ns=_ORIGIN_NS)):
        key = f"drop/{flow_id}/{number:04d}{segment.path.suffix}"
        bucket.upload_file(
            str(segment.path),
            key,
            ExtraArgs={
                "ContentType": segment.stream.carrier.mime,
                "Metadata": _metadata(flow_id, segment),
            },
        )
        keys[key] = digest(segment.path)
    say(f"dropped {len(keys)} objects into s3://{s3_facts['bucket']}/drop/{flow_id}/")
    return flow_id, keys


def _metadata(flow_id: str, segment: CutSegment) -> dict[str, str]:
    return {
        "tams-flow-id": flow_id,
        "tams-timerange": str(segment.timerange),
        "tams-object-timerange": str(segment.object_timerange),
        "tams-ts-offset": format_timestamp(segment.ts_offset_ns),
    }


def _bucket(facts: Mapping[str, str]) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    s3 = boto3.resource(
        "s3",
        endpoint_url=facts["endpoint"],
        region_name=facts["region"],
        aws_access_key_id=facts["access_key"],
        aws_secret_access_key=facts["secret_key"],
        config=Config(s3={"addressing_style": "path"}),
    )
    return s3.Bucket(facts["bucket"])


def _await_segments(checks: _Checks, store: Store, flow_id: str, count: int) -> None:
    """Wait until the dropped objects have become segments."""
    deadline = time.monotonic() + _DEADLINE_S
    found = 0
    while found < count and time.monotonic() < deadline:
        found = sum(1 for _ in store.segments(flow_id, ETERNITY))
        if found < count:
            time.sleep(_POLL_S)
    checks.same("dropped objects that became segments", found, count)


def _check_got(
    checks: _Checks,
    store: Store,
    flow_id: str,
    uploaded: Mapping[str, str],
    source: _Decoded,
    output: Path,
) -> None:
    """Read a timerange back and compare it with the recording and with what was uploaded."""
    name = output.stem
    try:
        got = get(store, flow_id, _ASKED, output)
        decoded = _decoded(output)
    except (StoreError, Invalid, av.FFmpegError) as error:
        checks.same(f"{name} read back", str(error), str(_ASKED))
        return
    first = (_ASKED.start_ns - _ORIGIN_NS) * FRAME_RATE // NS_PER_S
    count = _ASKED.duration_ns * FRAME_RATE // NS_PER_S
    video = next(g for g in got if g.kind is Kind.VIDEO)
    checks.same(f"{name} read back", str(video.timerange), str(_ASKED))
    checks.same(f"{name} frames", len(decoded.pictures), count)
    expected = source.pictures[first : first + count]
    checks.same(f"{name} pictures", decoded.pictures, expected, f"{count} as recorded")
    _check_bytes(checks, name, got, uploaded)
    if any(g.kind is Kind.AUDIO for g in got):
        _check_sound(checks, name, decoded.samples)


def _check_bytes(checks: _Checks, name: str, got: list[Got], uploaded: Mapping[str, str]) -> None:
    """Check that the objects fetched are byte for byte those uploaded.

    An object may be known by an id that ends with its key.
    """
    fetched = {id_: sha for g in got for id_, sha in g.objects.items()}
    expected = {
        id_: next((sha for key, sha in uploaded.items() if id_.endswith(key)), None)
        for id_ in fetched
    }
    size = sum(g.size for g in got)
    shown = f"{size} in {len(fetched)} objects, SHA-256 as uploaded"
    checks.same(f"{name} bytes", fetched, expected, shown)


def _check_sound(checks: _Checks, name: str, samples: int) -> None:
    """Check that the sound lasts as long as the pictures, to the frame at either end."""
    seconds = Fraction(samples, 48_000)
    spare = seconds - Fraction(_ASKED.duration_ns, NS_PER_S)
    whole = -_AUDIO_FRAME_S <= spare <= 2 * _AUDIO_FRAME_S
    checks.same(f"{name} sound", whole, True, f"{float(seconds):.3f} s")
