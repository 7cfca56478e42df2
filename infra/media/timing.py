"""When the samples of one media object play, by its own clock.

* Only packets are read; nothing is decoded.
* In a multiplexed file the video stream says it, or the first audio stream if there is none.
* The end is where the last sample ends, never later than the first timestamp of the object
  that a recorder would write next: a container's rounding is taken off, not added.
"""

from fractions import Fraction

from infra.media.codecs import Kind
from infra.media.opening import MediaFile, opened
from infra.media.sampling import floor_ns
from infra.media.scan import Track, scan
from schemas.domain.ingest import Measured


def measure(file: MediaFile) -> Measured:
    """The timing of the media object in `file`, a path or a seekable binary file object.

    Raises:
        UnreadableMedia: with the reason, for anything that has no readable timeline.
    """
    with opened(file) as container:
        tracks = scan(container)
    return timing_of(leading(tracks))


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
