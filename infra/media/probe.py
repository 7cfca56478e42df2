"""What a media file is made of: its container, its streams and their packets.

* One pass over the whole file without decoding: rates and durations are measured, not
  taken from headers.
* Streams that are neither video nor audio are named in `left_out`, never dropped unsaid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from av.container import InputContainer

from infra.media.codecs import container_mime
from infra.media.essence import Essence, essence_of
from infra.media.opening import MediaFile, opened
from infra.media.scan import Track, kind_of, scan
from infra.media.timing import leading


@dataclass(frozen=True, slots=True)
class Probe:
    """A media file: `container` is its MIME type, `tracks[i]` the packets of `streams[i]`.

    `left_out` says which streams are not used, one phrase each.
    """

    container: str | None
    streams: Sequence[Essence]
    tracks: Sequence[Track]
    left_out: Sequence[str]

    def flow_fields(self, stream: int) -> dict[str, Any]:
        """The technical TAMS flow fields of `streams[stream]` in this file as it is."""
        return self.streams[stream].flow_fields(self.container)

    def container_mapping(self, stream: int) -> dict[str, Any]:
        """Where `streams[stream]` is in this file, as TAMS's `container_mapping`."""
        essence = self.streams[stream]
        same = [e.index for e in self.streams if e.kind is essence.kind]
        mapping: dict[str, Any] = {
            "track_index": essence.index,
            "format_track_index": same.index(essence.index),
        }
        if self.container == "video/mp2t":
            mapping["mp2ts_container"] = {"pid": essence.track_id}
        elif self.container in {"video/mp4", "audio/mp4", "video/quicktime"}:
            mapping["isobmff_container"] = {"track_id": essence.track_id}
        return mapping


def probe(file: MediaFile) -> Probe:
    """The description of the media in `file`, a path or a seekable binary file object.

    Raises:
        UnreadableMedia: with the reason, when it cannot be interpreted.
    """
    with opened(file) as container:
        tracks = scan(container)
        streams = tuple(essence_of(container.streams[t.index], t) for t in tracks)
        brand = container.metadata.get("major_brand", "")
        return Probe(
            container=container_mime(container.format.name, leading(tracks).kind, brand),
            streams=streams,
            tracks=tracks,
            left_out=_left_out(container, tracks),
        )


def _left_out(container: InputContainer, tracks: Sequence[Track]) -> tuple[str, ...]:
    used = {t.index for t in tracks}
    return tuple(
        f"stream {s.index} ({s.type})" + (": no packets" if kind_of(s) else "")
        for s in container.streams
        if s.index not in used
    )
