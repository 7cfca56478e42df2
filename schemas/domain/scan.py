"""A scan of a bucket: what is in it that no notification told of.

* Keys are listed in the order of the object store, page by page; the last one listed is kept, so
  that a scan goes on where it was.
* New is what is neither an object of the store, nor about to be deleted by it, nor a problem on
  record for the same content, nor waiting already.
* Keys below `objects/` are the store's own: who uploads there registers the object.
* A periodic scan looks at what was modified since the one before it began, less a margin.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from schemas.domain.identifiers import JobId
from schemas.domain.job import Fault, JobState
from schemas.domain.storage import KEY_PREFIX


@dataclass(frozen=True, slots=True)
class Listed:
    """A key as the listing of its bucket shows it."""

    key: str
    etag: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Keys:
    """Some of the keys of a bucket, in its order; `more` says that others follow."""

    items: Sequence[Listed]
    more: bool


@dataclass(frozen=True, slots=True)
class Sifted:
    """Some keys, sorted out: those that are `new`, and how many are not, and why."""

    new: Sequence[Listed] = ()
    known: int = 0
    problems: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan, and how far it has come; it is also the job of the same id.

    `since` asks only for what was modified since then. Of the keys `listed`, `found` were new and
    `known` or `problems` were not; the others were older than `since`.
    """

    id: JobId
    bucket: str
    prefix: str
    since: datetime | None
    periodic: bool
    created: datetime
    updated: datetime
    state: JobState = JobState.CREATED
    after: str = ""
    listed: int = 0
    found: int = 0
    known: int = 0
    problems: int = 0
    fault: Fault | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in {JobState.DONE, JobState.ERROR}

    def asks_for(self, item: Listed) -> bool:
        """Whether `item` is a file modified recently enough."""
        is_folder = item.key.endswith("/") and not item.size
        return not is_folder and (self.since is None or item.modified >= self.since)

    def advanced(self, keys: Keys, sifted: Sifted, now: datetime) -> "Scan":
        """After a page of keys."""
        return replace(
            self,
            updated=now,
            state=JobState.STARTED if keys.more else JobState.DONE,
            after=keys.items[-1].key if keys.items else self.after,
            listed=self.listed + len(keys.items),
            found=self.found + len(sifted.new),
            known=self.known + sifted.known,
            problems=self.problems + sifted.problems,
        )

    def failed(self, fault: Fault) -> "Scan":
        """After a page that cannot be listed, ever."""
        return replace(self, state=JobState.ERROR, fault=fault, updated=fault.time)


def is_ours(item: Listed) -> bool:
    """Whether the store made the key of `item`."""
    return item.key.startswith(KEY_PREFIX)


def sift(
    items: Sequence[Listed], known: Collection[str], problems: Mapping[str, Collection[str]]
) -> Sifted:
    """Sort out `items`: `known` are keys, `problems` the etags on record by key."""
    new, of_store, problematic = [], 0, 0
    for item in items:
        if is_ours(item) or item.key in known:
            of_store += 1
        elif item.etag in problems.get(item.key, ()):
            problematic += 1
        else:
            new.append(item)
    return Sifted(new, of_store, problematic)


def is_due(scans: Collection[Scan], bucket: str, now: datetime, every: timedelta | None) -> bool:
    """Whether a periodic scan of `bucket` is to begin; None for `every` asks for one in any case.

    None begins while another one is waiting to, which will find as much.
    """
    periodic = [scan for scan in scans if scan.periodic and scan.bucket == bucket]
    if every is None:
        return all(scan.state is not JobState.CREATED for scan in periodic)
    return all(scan.ended and now - scan.created >= every for scan in periodic)


def unseen_since(scans: Collection[Scan], bucket: str, margin: timedelta) -> datetime | None:
    """Since when `bucket` may hold what no periodic scan has seen; None if ever since."""
    seen = [
        scan.created
        for scan in scans
        if scan.periodic and scan.bucket == bucket and scan.state is JobState.DONE
    ]
    return max(seen) - margin if seen else None
