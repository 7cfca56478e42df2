"""Opening a media file safely.

* Only containers with a timeline are tried, by name: no playlists (they make libav fetch
  other addresses), no images, no text (libav would play it as teletype).
* Only local files and file objects are read, whatever a file refers to.
* Everything libav complains about becomes `UnreadableMedia` with its reason.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import av
from av.container import InputContainer

from infra.media.errors import UnreadableMedia

MediaFile = Path | IO[bytes]

_CONTAINERS: Final = (
    "mpegts,mov,mp4,matroska,webm,wav,w64,aac,mp3,ac3,eac3,flac,ogg,mxf,avi,mpeg,aiff"
)
_OPTIONS: Final = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}


@contextmanager
def opened(file: MediaFile) -> Iterator[InputContainer]:
    """The container in `file`, closed afterwards; a file object is read from its beginning.

    Raises:
        UnreadableMedia: when it is no media file of a kind with a timeline, or breaks off.
    """
    try:
        with _open(file) as container:
            yield container
    except (av.FFmpegError, EOFError) as error:
        raise UnreadableMedia(f"{name(file)} cannot be read as media: {_reason(error)}") from error


def name(file: MediaFile) -> str:
    """What to call `file` in a message."""
    return file.name if isinstance(file, Path) else "the object"


def _open(file: MediaFile) -> InputContainer:
    if isinstance(file, Path):
        if not file.is_file():
            raise UnreadableMedia(f"{file} is not a file")
        return av.open(f"file:{file}", "r", options=_OPTIONS)
    file.seek(0)
    return av.open(file, "r", options=_OPTIONS)


def _reason(error: Exception) -> str:
    """The words of libav, or better ones where its own mislead."""
    if isinstance(error, av.ArgumentError):
        return "it is not a container this store reads"
    if isinstance(error, EOFError):
        return "it ends before any media"
    return getattr(error, "strerror", None) or str(error)
