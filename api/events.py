"""`/events`: what happens to flows, segments and sources, as server-sent events (an extension).

* An event has the name of its type, and the body that webhooks are sent.
* A stream whose filters let nothing through goes on all the same: its place is told every few
  seconds, and a client that comes again names it.
"""

from functools import partial
from typing import Any, Final, assert_never

import orjson
from flask import Response

from api import event_stream
from api.blueprint import Blueprint
from api.context import ports
from api.event_stream import BEAT_S, event_text
from api.following import tail
from schemas.domain.event import Event, EventType
from schemas.http.examples import EVENT
from schemas.http.queries import PLACE, PLACE_PATTERN, EventsAsked, EventsSchema
from tasks import events
from tasks.ports import Ports

blueprint = Blueprint("Events", __name__, description="What happens, as it happens.")

_EVENTS: Final[dict[str, Any]] = event_stream.described(
    [each.value for each in EventType],
    "JSON; the body that a webhook is sent for such an event, and `{}` of a `reset`.",
    description="Server-sent events, each with the name of its type, and `reset`.",
    example={"event": EVENT["event_type"], "id": "1024", "data": orjson.dumps(EVENT).decode()},
)


@blueprint.route("/events")
@blueprint.arguments(EventsSchema, location="query")
@blueprint.heeding(event_stream.heeded(PLACE_PATTERN))
@blueprint.response(200, **_EVENTS)
@blueprint.operation("GET_events", 400, 503)
def follow_events(asked: EventsAsked) -> Response:
    """Follow what happens from now on, or from the last event that was received.

    The filters are those of webhooks. When events after the last one received are not kept any
    more, the event `reset` comes before those that are.
    """
    given = event_stream.last_event_id(asked.last_event_id, PLACE)
    after = None if given is None else int(given)
    told = events.follow(ports(), tail(), asked.wanted, after, BEAT_S)
    return event_stream.stream(told, partial(_text, ports(), asked))


def _text(ports: Ports, asked: EventsAsked, told: events.Told) -> str:
    match told:
        case Event() as event:
            body = events.body(
                ports, event, asked.urls, with_object_timerange=asked.with_object_timerange
            )
            return event_text(event.type.value, event.sequence, orjson.dumps(body).decode())
        case events.Reset(place):
            return event_text("reset", place, "{}")
        case events.Reached(place):
            return f"id: {place}\n\n"  # without data it is no event
        case _:
            assert_never(told)
