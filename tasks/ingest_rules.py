"""Keeping the rules for dropped objects, and trying them out.

* A rule changed or deleted holds for what is looked at from then on; segments stay what they are.
* Trying out changes nothing, and says all that would be found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from schemas.domain.changes import Changes
from schemas.domain.errors import Invalid, RuleNotFound, TamsError
from schemas.domain.ingest import Appeared, Forecast
from schemas.domain.ingest_rule import IngestRule, RuleId, derived, in_order
from schemas.domain.query import Listing, Page, page_of
from schemas.domain.rejection import Reason, reason_of
from schemas.rules import from_json
from tasks import segments
from tasks.meaning import Reader
from tasks.ports import Ports, Snapshot


def listing(ports: Ports, wanted: Listing) -> Page[IngestRule]:
    """The rules, in the order they are tried in."""
    with ports.metadata.read() as snapshot:
        rules = in_order(snapshot.rules())
    ranks = {rule.id: number for number, rule in enumerate(rules)}
    return page_of(rules, lambda rule: (0, ranks[rule.id], rule.id), wanted)


def get(ports: Ports, rule_id: RuleId) -> IngestRule:
    """A rule; raises RuleNotFound when there is none."""
    with ports.metadata.read() as snapshot:
        return _existing(snapshot, rule_id)


def create(ports: Ports, document: Mapping[str, Any]) -> IngestRule:
    """Keep a new rule.

    Raises:
        Invalid: naming the field at fault.
    """
    rule = _checked(ports, from_json(RuleId(ports.ids.new()), ports.clock.now(), document))

    def decide(snapshot: Snapshot) -> tuple[Changes, IngestRule]:
        known = {each.id for each in snapshot.rules()}  # an earlier attempt may have committed
        return Changes(add=() if rule.id in known else (rule,)), rule

    return ports.metadata.transact(decide)


def change(ports: Ports, rule_id: RuleId, document: Mapping[str, Any]) -> IngestRule:
    """Put `document` in the place of a rule.

    Raises:
        RuleNotFound: when there is no such rule.
        Invalid: naming the field at fault.
    """

    def decide(snapshot: Snapshot) -> tuple[Changes, IngestRule]:
        known = _existing(snapshot, rule_id)
        rule = _checked(ports, from_json(rule_id, known.created, document))
        return Changes(replace=(rule,)), rule

    return ports.metadata.transact(decide)


def delete(ports: Ports, rule_id: RuleId) -> None:
    """Delete a rule, and what was seen for it; raises RuleNotFound when there is none."""
    tried = False

    def decide(snapshot: Snapshot) -> tuple[Changes, None]:
        nonlocal tried
        known = {rule.id: rule for rule in snapshot.rules()}.get(rule_id)
        if known is None and not tried:
            raise RuleNotFound(f"ingest rule {rule_id} does not exist")
        tried = True
        seen = snapshot.sightings(rule_id=rule_id)
        return Changes(remove=(*((known,) if known else ()), *seen)), None

    ports.metadata.transact(decide)


def load(ports: Ports, documents: Sequence[Mapping[str, Any]]) -> list[IngestRule]:
    """Keep the rules of a file, each known by its label: the same again changes nothing.

    Raises:
        Invalid: when one has no label, or breaks a rule.
    """
    now = ports.clock.now()

    def decide(snapshot: Snapshot) -> tuple[Changes, list[IngestRule]]:
        known = {rule.id: rule for rule in snapshot.rules()}
        wanted = [_labelled(ports, document, now) for document in documents]
        kept = [replace(w, created=known[w.id].created) if w.id in known else w for w in wanted]
        changes = Changes(
            add=tuple(rule for rule in kept if rule.id not in known),
            replace=tuple(r for r in kept if r.id in known and known[r.id] != r),
        )
        return changes, kept

    return ports.metadata.transact(decide)


def try_out(ports: Ports, bucket: str, key: str, metadata: Mapping[str, str]) -> Forecast:
    """What would become of the object under `key`, or of one there if there is none.

    Where nothing stands, only what key and `metadata` say can be found out.

    Raises:
        Invalid: when the bucket is not that of a storage backend.
    """
    try:
        appeared = ports.media.head(bucket, key)
    except Invalid as error:
        raise Invalid(f"bucket: {error}", field="bucket") from error
    exists = appeared is not None
    if appeared is None:
        appeared = _imagined(ports, bucket, key, metadata)
    reader = Reader(ports, [appeared], imagined=not exists)
    meaning = reader.meaning(appeared)
    flow_id, segment = meaning.flow_id, None
    fault: TamsError | None = meaning.error
    creates = meaning.document is not None and flow_id is not None and not reader.exists(flow_id)
    if meaning.offer is not None and not creates:
        try:
            segment = segments.try_out(ports, meaning.offer)
        except TamsError as refusal:
            fault = refusal
    note = meaning.note
    if not exists and fault is not None and reason_of(fault) is Reason.GONE:
        fault, note = None, "there is no such object; the rest is for its media to tell"
    return Forecast(
        exists,
        meaning.rule.id if meaning.rule else None,
        segment.flow_id if segment else flow_id,
        creates,
        meaning.tried,
        segment,
        fault,
        note,
    )


def _existing(snapshot: Snapshot, rule_id: RuleId) -> IngestRule:
    for rule in snapshot.rules():
        if rule.id == rule_id:
            return rule
    raise RuleNotFound(f"ingest rule {rule_id} does not exist")


def _labelled(ports: Ports, document: Mapping[str, Any], now: datetime) -> IngestRule:
    label = document.get("label")
    if not label:
        raise Invalid("every rule of a file needs a label of its own", field="label")
    rule_id = RuleId(derived("ingest-rule", label))
    return _checked(ports, from_json(rule_id, now, document))


def _checked(ports: Ports, rule: IngestRule) -> IngestRule:
    buckets = {backend.bucket for backend in ports.media.backends.values()}
    if rule.bucket not in buckets:
        raise Invalid(
            f"bucket: {rule.bucket!r} is not that of a storage backend, as {min(buckets)!r} is",
            field="bucket",
        )
    return rule


def _imagined(ports: Ports, bucket: str, key: str, metadata: Mapping[str, str]) -> Appeared:
    """An object that is not there, as it would be if it were written now."""
    storage = next(b.id for b in ports.media.backends.values() if b.bucket == bucket)
    named = {name.lower(): value for name, value in metadata.items()}
    return Appeared(storage, bucket, key, "", 1, None, named, ports.clock.now())
