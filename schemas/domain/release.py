"""What becomes of objects when segments that refer to them are deleted (TAMS 8.2, DELETE segments).

* An object goes with the last segment that refers to it, an init object with the last media object
  that needs it.
* With an object go its bytes in our storage; until they have, they are `Orphan`s.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from schemas.domain.changes import Changes
from schemas.domain.identifiers import ObjectId
from schemas.domain.media_object import MediaObject, orphans_of
from schemas.domain.segment import Segment


def release(
    segments: Sequence[Segment],
    objects: Mapping[ObjectId, MediaObject],
    inits: Mapping[ObjectId, MediaObject],
    now: datetime,
) -> Changes:
    """What removing `segments` changes; `objects` are theirs, `inits` those that these need."""
    freed = Counter(segment.object_id for segment in segments)
    media = [objects[object_id].released(count) for object_id, count in freed.items()]
    needed = (item.init_object_id for item in media if not item.references)
    inits_freed = Counter(object_id for object_id in needed if object_id is not None)
    touched = [*media, *(inits[name].released(count) for name, count in inits_freed.items())]
    gone = [item for item in touched if not item.references]
    return Changes(
        add=tuple(orphan for item in gone for orphan in orphans_of(item, now)),
        replace=tuple(item for item in touched if item.references),
        remove=(*segments, *gone),
    )
