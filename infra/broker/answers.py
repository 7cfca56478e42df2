"""The `Answers`: what was answered to requests that may be made again, for a day.

* Who takes a request on writes its fingerprint under the key; the answer takes that place.
* A request whose process died is given up after a time, when it can have been answered no more.
* All answers together have a limit, beyond which the oldest go before their day is over; a single
  one that is too large is not kept at all.
"""

import time
import zlib
from typing import Final, cast

from infra.broker.connection import Broker
from tasks.ports import Kept

_KEPT_S: Final = 86_400
_LARGEST_SHARE: Final = 64
_ORDER: Final = "tams:answers"
_SIZE: Final = "tams:answers:size"

# Keys: answer, its signal, order, size. Arguments: fingerprint, answer, kept seconds, moment, most.
_KEEP: Final = """
local present = redis.call('GET', KEYS[1])
if present and string.sub(present, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
local value = ARGV[1] .. '=' .. ARGV[2]
redis.call('SET', KEYS[1], value, 'EX', ARGV[3])
redis.call('RPUSH', KEYS[2], 1)
redis.call('EXPIRE', KEYS[2], 60)
local new = redis.call('ZADD', KEYS[3], ARGV[4], #value .. ' ' .. KEYS[1])
local size = redis.call('INCRBY', KEYS[4], #value * new)
while true do
  local oldest = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
  local expired = oldest[2] and tonumber(oldest[2]) < tonumber(ARGV[4]) - tonumber(ARGV[3])
  if not oldest[1] or not (expired or size > tonumber(ARGV[5])) then return 1 end
  local length, key = string.match(oldest[1], '^(%d+) (.*)$')
  if not expired then redis.call('DEL', key) end
  redis.call('ZREM', KEYS[3], oldest[1])
  size = redis.call('DECRBY', KEYS[4], length)
end
"""
# Keys: answer, its signal. Argument: fingerprint.
_DROP: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('RPUSH', KEYS[2], 1)
redis.call('EXPIRE', KEYS[2], 60)
return 1
"""


class RedisAnswers:
    """The `Answers`: a text per key."""

    def __init__(self, broker: Broker, *, working_s: int, most_bytes: int) -> None:
        """`working_s` is how long a request may take, `most_bytes` what all answers may take."""
        self._broker = broker
        self._working_s = working_s
        self._most_bytes = most_bytes

    def begin(self, key: str, fingerprint: str) -> Kept | None:
        """Take a request on; see `Answers.begin`."""
        with self._broker.translated() as client:
            present = client.set(_key(key), fingerprint, nx=True, ex=self._working_s, get=True)
            if present is None:
                client.delete(_signal(key))
                return None
        found, _, answer = cast("bytes", present).partition(b"=")
        return Kept(found.decode(), zlib.decompress(answer) if answer else None)

    def keep(self, key: str, fingerprint: str, answer: bytes) -> None:
        """Keep an answer; see `Answers.keep`."""
        packed = zlib.compress(answer)
        if len(packed) > self._most_bytes // _LARGEST_SHARE:
            self.drop(key, fingerprint)
            return
        keys = (_key(key), _signal(key), _ORDER, _SIZE)
        arguments = (fingerprint, packed, _KEPT_S, time.time(), self._most_bytes)
        with self._broker.translated() as client:
            client.eval(_KEEP, len(keys), *keys, *cast("tuple[str, ...]", arguments))

    def drop(self, key: str, fingerprint: str) -> None:
        """Give a request up; see `Answers.drop`."""
        with self._broker.translated() as client:
            client.eval(_DROP, 2, _key(key), _signal(key), fingerprint)

    def wait(self, key: str, timeout_s: float) -> None:
        """Wait for `keep` or `drop`."""
        signal = _signal(key)
        with self._broker.translated() as client:
            client.blmove(signal, signal, cast("int", timeout_s))  # others may wait for it too


def _key(key: str) -> str:
    return f"tams:answer:{key}"


def _signal(key: str) -> str:
    return f"tams:answer:{key}:signal"
