"""The `Marks`: a list per flow, the newest first.

* Only who remembers a flow makes its list; where there is none, nobody has to be told.
* A list is short and does not live long. Who misses what they saw last in it forgets everything.
* Who reads can do without and does not wait for long; who leaves a mark cannot.
"""

from collections.abc import Mapping
from secrets import token_hex
from typing import Final, cast

from infra.broker.connection import Broker
from schemas.domain.identifiers import FlowId
from schemas.domain.mark import Mark
from schemas.domain.timerange import NEVER, TimeRange

_MOST: Final = 64
_KEPT_S: Final = 600
_PATIENCE_S: Final = 1.0

# Key: list. Arguments: mark, seconds.
_FIRST: Final = """
local newest = redis.call('LINDEX', KEYS[1], 0)
if newest then return newest end
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return ARGV[1]
"""
# Keys: lists. Arguments: most, seconds, and a mark for each list.
_LEAVE: Final = """
for n, key in ipairs(KEYS) do
  if redis.call('LPUSHX', key, ARGV[n + 2]) > 0 then
    redis.call('LTRIM', key, 0, ARGV[1] - 1)
    redis.call('EXPIRE', key, ARGV[2])
  end
end
"""


class RedisMarks:
    """The `Marks` of one broker."""

    def __init__(self, url: str) -> None:
        self._broker = Broker(url)
        self._impatient = Broker(url, timeout_s=_PATIENCE_S)
        self._first = self._impatient.redis.register_script(_FIRST)
        self._leave = self._broker.redis.register_script(_LEAVE)

    def newest(self, flow_id: FlowId) -> Mark:
        """The newest mark of a flow; see `Marks.newest`."""
        key = _key(flow_id)
        with self._impatient.translated() as client:
            found = cast("bytes | None", client.lindex(key, 0))
            if found is None:
                found = cast("bytes", self._first([key], [_text(NEVER), _KEPT_S]))
        return _mark(found)

    def all(self, flow_id: FlowId) -> list[Mark]:
        """The marks of a flow, the newest first; see `Marks.all`."""
        with self._impatient.translated() as client:
            found = cast("list[bytes]", client.lrange(_key(flow_id), 0, -1))
        return [_mark(text) for text in found]

    def leave(self, spans: Mapping[FlowId, TimeRange]) -> None:
        """Leave a mark with each of some flows; see `Marks.leave`."""
        if spans:
            keys, texts = map(_key, spans), map(_text, spans.values())
            with self._broker.translated():
                self._leave(list(keys), [_MOST, _KEPT_S, *texts])


def _key(flow_id: FlowId) -> str:
    return f"tams:marks:{flow_id}"


def _text(span: TimeRange) -> str:
    """A new mark."""
    return f"{token_hex(8)} {span.start} {span.end}"


def _mark(text: bytes) -> Mark:
    token, start, end = text.decode().split()
    return Mark(token, TimeRange(int(start), int(end)))
