"""Finding out what a dropped object means, by the rules and by what was seen before it.

* A `Meaning` says which rule applies, what each way to find the time found or why not, and what is
  to become of the object: a segment to be offered, something to keep in mind, or a rejection.
* Nothing is changed here; the same serves for trying a rule out.
* Media are fetched only when something of them is needed, and once.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, Self

from schemas.domain import ingest, media_object, playlist
from schemas.domain.errors import Invalid
from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId, ObjectId, parse_uuid
from schemas.domain.ingest import Appeared, Measured, Shape, Timing, Trial
from schemas.domain.ingest_rule import IngestRule, Keep, Way, in_order
from schemas.domain.keys import filled
from schemas.domain.media_object import Controlled, Role
from schemas.domain.rejection import Reason, Rejected, Waits, none_of
from schemas.domain.segment import Dropped, Offer
from schemas.domain.sighting import Kind, Sighting, directory_of
from schemas.domain.storage import kept_key
from tasks.ports import Ports

_PLAYLIST: Final = ".m3u8"
_MANIFESTS: Final = (_PLAYLIST, ".mpd")
_FRAGMENTS: Final = (".m4s", ".mp4", ".m4v", ".m4a", ".m4i", ".cmfv", ".cmfa", ".cmft", ".init")
_LARGEST_INIT: Final = 1 << 16
_LARGEST_PLAYLIST: Final = 8 << 20
_MOST_ATTEMPTS: Final = 5
# How media without a rule find their time.
_WITHOUT_RULE: Final = (Way.METADATA, Way.MEDIA)


@dataclass(slots=True)
class Meaning:
    """What an object means, as far as that was found out.

    It is a segment to be `offer`ed, in a flow to be made of `document` if it does not exist; or a
    `sighting` to be kept in mind; or an `error`; or none of them, when there is nothing to be done.
    """

    appeared: Appeared
    rule: IngestRule | None = None
    flow_id: FlowId | None = None
    document: dict[str, Any] | None = None
    tried: list[Trial] = field(default_factory=list)
    offer: Offer | None = None
    sighting: Sighting | None = None
    error: Invalid | None = None
    note: str = ""


class Reader:
    """Finds out what objects mean; what it reads of the database it reads once."""

    def __init__(
        self, ports: Ports, appeared: Sequence[Appeared], *, imagined: bool = False
    ) -> None:
        """`appeared` are the objects to be asked about; `imagined` ones are not there."""
        self._ports = ports
        self._imagined = imagined
        self._made: set[FlowId] = set()
        self._playlists: dict[tuple[str, str], Mapping[str, playlist.Entry]] = {}
        with ports.metadata.read() as snapshot:
            self.rules = in_order(snapshot.rules())
            ids = {ObjectId(each.key) for each in appeared}
            ids |= {kept_id(ingest.dropped(each)) for each in appeared}
            self._known = snapshot.objects(ids)
            self._sightings = snapshot.sightings() if self.rules else []
            self._flows = snapshot.flows(self._flow_ids(appeared))

    def exists(self, flow_id: FlowId) -> bool:
        """Whether the flow was there."""
        return flow_id in self._flows or flow_id in self._made

    def made(self, flow_id: FlowId) -> None:
        """Note that the flow is there now."""
        self._made.add(flow_id)

    def learn(self, seen: Sighting) -> None:
        """Take `seen` into account for what is asked next."""
        same = (seen.bucket, seen.key, seen.etag)
        if same not in {(each.bucket, each.key, each.etag) for each in self._sightings}:
            self._sightings.append(seen)

    def meaning(self, appeared: Appeared, attempts: int = 1) -> Meaning:
        """What `appeared` means, which was begun to be read for the `attempts`-th time."""
        meaning = Meaning(appeared)
        try:
            self._find(meaning, attempts)
        except Invalid as error:
            meaning.error = error
        if isinstance(meaning.error, Waits):
            meaning.sighting = self._sighted(meaning, Kind.WAITING, str(meaning.error))
        return meaning

    def prepares(self, appeared: Appeared) -> bool:
        """Whether other objects need `appeared` to be understood: a playlist or init segment."""
        if appeared.key.endswith(_PLAYLIST):
            return True
        with _Media(self._ports, appeared, 1) as media, suppress(Invalid):
            return self._find_init(Meaning(appeared), media)
        return False

    def waiting_for(self, seen: Sighting) -> list[Sighting]:
        """What waits for `seen`."""
        waiting = [
            each
            for each in self._sightings
            if each.kind is Kind.WAITING and each.rule_id == seen.rule_id
        ]
        if seen.kind is Kind.INIT:
            return waiting
        named = self._entries(seen)
        return [each for each in waiting if each.key in named]

    def sightings_of(self, appeared: Appeared) -> list[Sighting]:
        """What was seen of `appeared` while it could not be placed."""
        own = (appeared.bucket, appeared.key, Kind.WAITING)
        return [each for each in self._sightings if (each.bucket, each.key, each.kind) == own]

    def _find(self, meaning: Meaning, attempts: int) -> None:
        appeared = meaning.appeared
        if appeared.size == 0:
            raise Rejected(Reason.EMPTY, "the object is empty")
        if appeared.key.endswith(_MANIFESTS) and self._find_playlist(meaning):
            return
        meaning.rule, found = self._rule_for(appeared)
        meaning.flow_id, meaning.document = self._flow_of(appeared)
        if self._is_registered(appeared, meaning):
            meaning.note = "it is registered already"
            return
        with _Media(self._ports, appeared, attempts) as media:
            if self._find_init(meaning, media):
                return
            if meaning.flow_id is None:
                raise Rejected(
                    Reason.NO_FLOW,
                    "no flow: the object has no tams-flow-id metadata and no rule matches its key",
                )
            flow = self._flows.get(meaning.flow_id)
            init = self._init_for(meaning, found, media, flow)
            timing = self._timing(meaning, found, media)
            rule = meaning.rule
            checks = rule is not None and rule.check_media and not self._imagined
            stated = meaning.tried[-1].way is Way.METADATA
            reads = timing.needs_media or (checks and not stated)
            measured = media.measured() if reads else None
            offer = ingest.offer(appeared, meaning.flow_id, timing, measured)
        meaning.offer = _with_init(offer, init)
        if rule is not None and rule.keep is Keep.MOVE:
            meaning.offer = _moved(meaning.offer)

    def _rule_for(self, appeared: Appeared) -> tuple[IngestRule | None, dict[str, str]]:
        for rule in self.rules:
            found = rule.match(appeared.bucket, appeared.key)
            if found is not None:
                return rule, found
        return None, {}

    def _flow_of(self, appeared: Appeared) -> tuple[FlowId | None, dict[str, Any] | None]:
        """The flow of an object, and what to make of it."""
        rule, found = self._rule_for(appeared)
        stated = appeared.metadata.get("tams-flow-id")
        try:
            if stated is not None:
                return FlowId(parse_uuid(stated.lower(), field="tams-flow-id")), None
            if rule is None:
                return None, None
            flow_id = rule.flow.flow_id(found)
        except Invalid as error:
            raise Rejected(Reason.NO_FLOW, str(error)) from error
        return flow_id, rule.flow.document(flow_id, found)

    def _flow_ids(self, appeared: Sequence[Appeared]) -> set[FlowId]:
        ids = set()
        for each in appeared:
            with suppress(Rejected):
                ids.add(self._flow_of(each)[0])
        return {flow_id for flow_id in ids if flow_id is not None}

    def _is_registered(self, appeared: Appeared, meaning: Meaning) -> bool:
        """Whether these bytes are registered; raises Rejected when others are, under this key."""
        known = self._known.get(ObjectId(appeared.key))
        here = Controlled(appeared.storage_id, appeared.key)
        if known is not None and known.role is not Role.ALLOCATED and here in known.instances:
            media_object.require_not_rewritten(known, appeared.etag)
            return True
        copied = self._known.get(kept_id(ingest.dropped(appeared)))
        moves = meaning.rule is not None and meaning.rule.keep is Keep.MOVE
        return copied is not None and copied.role is not Role.ALLOCATED and not moves

    def _timing(self, meaning: Meaning, found: Mapping[str, str], media: "_Media") -> Timing:
        rule = meaning.rule
        failed: list[tuple[str, Rejected]] = []
        for way in rule.times if rule else _WITHOUT_RULE:
            try:
                timing = self._by(way, meaning, found, media)
            except Rejected as error:
                meaning.tried.append(Trial(way, error=error))
                if isinstance(error, Waits):
                    raise
                failed.append((way.value, error))
            else:
                meaning.tried.append(Trial(way, found=_words(timing)))
                return timing
        raise none_of(failed)

    def _by(self, way: Way, meaning: Meaning, found: Mapping[str, str], media: "_Media") -> Timing:
        rule, appeared = meaning.rule, meaning.appeared
        if way is Way.METADATA:
            return ingest.by_metadata(appeared)
        if way is Way.MEDIA:
            return ingest.by_media(rule, media.measured(), appeared)
        assert rule is not None  # without one, only the above are tried
        if way is Way.KEY:
            return ingest.by_key(rule, found, appeared)
        entry = self._entry_for(appeared, rule)
        if entry is None:
            raise Waits("it waits for a playlist that names it")
        return ingest.by_playlist(rule, entry, appeared)

    def _find_playlist(self, meaning: Meaning) -> bool:
        """Whether the object is a playlist that some rule is to look at, or to overlook."""
        appeared = meaning.appeared
        covering = [r for r in self.rules if r.covers(appeared.bucket, appeared.key)]
        if not covering:
            return False
        meaning.rule = next((r for r in covering if Way.PLAYLIST in r.times), None)
        if meaning.rule is None or not appeared.key.endswith(_PLAYLIST):
            meaning.note = "it is a manifest that no rule looks at"
            return True
        seen = self._sighted(meaning, Kind.PLAYLIST)
        named = self._entries(seen)
        meaning.note = f"it is a playlist of {len(named)} segments"
        meaning.sighting = seen
        return True

    def _entries(self, seen: Sighting) -> Mapping[str, playlist.Entry]:
        """What a playlist says, as it is now; nothing if it is gone."""
        place = (seen.bucket, seen.key)
        if place not in self._playlists:
            file = BytesIO()
            found = self._ports.media.head(*place)
            if found is not None and found.size <= _LARGEST_PLAYLIST:
                self._ports.media.fetch(*place, file)
            try:
                self._playlists[place] = playlist.entries(file.getvalue().decode(), seen.key)
            except (Invalid, UnicodeDecodeError) as error:
                raise Rejected(
                    Reason.NOT_MEDIA, f"{seen.key} cannot be read as a playlist: {error}"
                ) from error
        return self._playlists[place]

    def _entry_for(self, appeared: Appeared, rule: IngestRule) -> playlist.Entry | None:
        for seen in self._sightings:
            ours = seen.kind is Kind.PLAYLIST and seen.rule_id == rule.id
            if ours and f"{appeared.key}/".startswith(seen.directory):
                try:
                    entry = self._entries(seen).get(appeared.key)
                except Rejected:
                    continue  # reported when it came
                if entry is not None:
                    return entry
        return None

    def _find_init(self, meaning: Meaning, media: "_Media") -> bool:
        """Whether the object is an init segment, of a rule that covers its key."""
        appeared = meaning.appeared
        rule = meaning.rule or next(
            (r for r in self.rules if r.covers(appeared.bucket, appeared.key)), None
        )
        if rule is None or appeared.size > _LARGEST_INIT or not _may_be_fragments(appeared):
            return False
        if media.shape() is not Shape.INIT:
            return False
        meaning.rule = rule
        meaning.sighting = self._sighted(meaning, Kind.INIT)
        meaning.note = "it is an init segment, kept for the media that need it"
        return True

    def _init_for(
        self, meaning: Meaning, found: Mapping[str, str], media: "_Media", flow: Flow | None
    ) -> Dropped | None:
        """The init segment that the object needs to be read; None if it needs none."""
        appeared, rule = meaning.appeared, meaning.rule
        if rule is None or not _may_be_fragments(appeared) or media.shape() is not Shape.FRAGMENT:
            return None
        inits = [
            each
            for each in self._sightings
            if each.kind is Kind.INIT and each.bucket == appeared.bucket
        ]
        entry = self._entry_for(appeared, rule) if Way.PLAYLIST in rule.times else None
        if entry is not None and entry.init_key is not None:
            wanted = entry.init_key
            inits = [each for each in inits if each.key == wanted]
        elif rule.init is not None:
            wanted = rule.prefix + filled(rule.init, found)
            inits = [each for each in inits if each.key == wanted]
        else:
            wanted = f"{directory_of(appeared.key)}/"
            inits = [each for each in inits if f"{each.directory}/" == wanted]
        if not inits:
            raise Waits(f"it waits for its init segment, {wanted}")
        inits.sort(key=lambda each: (each.modified, each.seen))
        before = [each for each in inits if each.modified <= appeared.modified]
        chosen = before[-1] if before else inits[0]
        item = Dropped(appeared.storage_id, chosen.bucket, chosen.key, chosen.etag, None)
        item = replace(item, content_type=appeared.content_type, moved_to=kept_key(item))
        media.init = item
        if meaning.document is not None and flow is None:
            essence = meaning.document.get("essence_parameters", {})
            meaning.document["essence_parameters"] = {**essence, "init_segments": True}
        return item

    def _sighted(self, meaning: Meaning, kind: Kind, reason: str | None = None) -> Sighting:
        appeared = meaning.appeared
        return Sighting(
            appeared.bucket,
            appeared.key,
            "" if kind is Kind.PLAYLIST else appeared.etag,
            kind,
            directory_of(appeared.key),
            meaning.rule.id if meaning.rule else "",
            appeared.modified,
            self._ports.clock.now(),
            reason,
        )


def kept_id(item: Dropped) -> ObjectId:
    """The id of an object that is kept as a copy: of key and bytes, as the key may be reused."""
    return ObjectId(f"{item.key}@{item.etag}")


class _Media:
    """The media of one object, fetched when first asked for."""

    def __init__(self, ports: Ports, appeared: Appeared, attempts: int) -> None:
        self._ports = ports
        self._appeared = appeared
        self._attempts = attempts
        self._file: BinaryIO | None = None
        self._measured: Measured | None = None
        self.init: Dropped | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def shape(self) -> Shape:
        """What the file is in itself."""
        return self._ports.probe.shape(self._fetched())

    def measured(self) -> Measured:
        """What the media say of their time; raises Rejected when they cannot be read."""
        if self._measured is None:
            file = self._fetched()
            try:
                with self._whole(file) as whole:
                    self._measured = self._ports.probe.measure(whole)
            except Invalid as error:
                raise Rejected(Reason.NOT_MEDIA, str(error)) from error
        return self._measured

    def _fetched(self) -> BinaryIO:
        if self._file is None:
            if self._attempts > _MOST_ATTEMPTS:
                raise Rejected(
                    Reason.UNREADABLE,
                    f"reading the media failed {self._attempts - 1} times without an answer",
                )
            self._file = TemporaryFile()  # noqa: SIM115 - closed on exit
            try:
                self._ports.media.fetch(self._appeared.bucket, self._appeared.key, self._file)
            except Invalid as error:
                raise Rejected(Reason.GONE, str(error)) from error
        self._file.seek(0)
        return self._file

    @contextmanager
    def _whole(self, file: BinaryIO) -> Iterator[BinaryIO]:
        """The media after their init segment."""
        if self.init is None:
            yield file
            return
        with TemporaryFile() as whole:
            self._ports.media.fetch(self.init.bucket, self.init.stands_at, whole)
            whole.seek(0, 2)
            copyfileobj(file, whole)
            whole.seek(0)
            yield whole


def _may_be_fragments(appeared: Appeared) -> bool:
    kind = appeared.content_type or ""
    return appeared.key.lower().endswith(_FRAGMENTS) or "mp4" in kind or "iso.segment" in kind


def _with_init(offer: Offer, init: Dropped | None) -> Offer:
    return offer if init is None else replace(offer, init_object_id=kept_id(init), init=init)


def _moved(offer: Offer) -> Offer:
    """`offer` of a copy of its object."""
    assert offer.dropped is not None  # as every offer made here
    item = replace(offer.dropped, moved_to=kept_key(offer.dropped))
    return replace(offer, segment=replace(offer.segment, object_id=kept_id(item)), dropped=item)


def _words(timing: Timing) -> str:
    if timing.timerange is not None:
        return str(timing.timerange)
    if timing.bearing is not None:
        return ingest.describe(timing.bearing)
    return "the timestamps of the media"
