"""When the samples of one media object play, by its own clock.

* Only packets are read; nothing is decoded.
* In a multiplexed file the video stream says it, or the first audio stream if there is none.
* A recorder that writes broadcast WAV says when the recording was made: the samples since midnight
  and the day (`bext`), which is taken for UTC.
* The end is where the last sample ends, never later than the first timestamp of the object
  that a recorder would write next: a container's rounding is taken off, not added.
"""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

from infra.media.boxes import shape
from infra.media.codecs import Kind
from infra.media.opening import MediaFile, opened
from infra.media.sampling import floor_ns
from infra.media.scan import Track, scan
from schemas.domain.errors import Invalid
from schemas.domain.ingest import Measured, Shape, Ticking
from schemas.domain.keys import Moment, parse_iso


def measure(file: MediaFile) -> Measured:
    """The timing of the media object in `file`, a path or a seekable binary file object.

    Raises:
        UnreadableMedia: with the reason, for anything that has no readable timeline.
    """
    fragmented = not isinstance(file, Path) and shape(cast("BinaryIO", file)) is not Shape.WHOLE
    with opened(file) as container:
        tracks = scan(container)
        name, metadata = container.format.name.partition(",")[0], dict(container.metadata)
    track = leading(tracks)
    return replace(
        timing_of(track),
        ticking=_ticking(name, fragmented),
        container=name,
        essence="video" if track.kind is Kind.VIDEO else "audio",
        sample_rate=round(1 / track.sampling.unit) if track.kind is Kind.AUDIO else None,
        stated=_stated(metadata, track),
    )


def leading(tracks: tuple[Track, ...]) -> Track:
    """The track that speaks for a multiplexed file: the first video, else the first."""
    return next((t for t in tracks if t.kind is Kind.VIDEO), tracks[0])


def timing_of(track: Track) -> Measured:
    """The timing of the samples of one track."""
    sampling = track.sampling
    last = sampling.last()
    end_ticks = sampling.end(last) // track.time_base
    return Measured(
        start_ns=floor_ns(sampling.first),
        end_ns=floor_ns(end_ticks * track.time_base),
        last_duration_ns=floor_ns(last_sample_duration(track, last)),
        sample_count=track.sample_count,
        key_frame_count=track.key_frame_count,
    )


def last_sample_duration(track: Track, last: int) -> Fraction:
    """Seconds the last sample of packet `last` plays: a video frame's, or one audio sample's."""
    spans = track.sampling.spans[last] if track.kind is Kind.VIDEO else 1
    return spans * track.sampling.unit


def _ticking(name: str, fragmented: bool) -> Ticking:
    if name == "mpegts":
        return Ticking.WRAPPING
    counting = fragmented or name in {"matroska", "ogg"}
    return Ticking.COUNTING if counting else Ticking.NOTHING


def _stated(metadata: Mapping[str, str], track: Track) -> Moment | None:
    """When the recording was made, as the `bext` chunk of a WAV file says it."""
    samples, day = metadata.get("time_reference", ""), metadata.get("date", "")
    if track.kind is not Kind.AUDIO or not samples.isdigit() or not day:
        return None
    unit = track.sampling.unit
    try:
        midnight = parse_iso(f"{day}T00:00:00").ns
    except Invalid:
        return None  # a day that nobody set
    return Moment(midnight + floor_ns(int(samples) * unit), floor_ns(unit) + 1)
