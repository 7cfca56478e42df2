"""What can be wrong with a media file.

* Both are `Invalid`: the file is at fault, and trying again will not help.
"""

from schemas.domain.errors import Invalid


class UnreadableMedia(Invalid):
    """The file cannot be interpreted as media."""


class CannotCarry(Invalid):
    """The container cannot carry the codec, or what the stream contains."""
