"""Where the packets of a stream lie in presentation time, exactly.

* A container rounds timestamps to its clock (90 kHz in MPEG-TS, 1 ms in Matroska). Where the
  rounded ones agree with a fixed frame rate, or with counted audio samples, the exact
  positions are used instead, so that what was cut apart meets again without a gap.
* Frames of a fixed rate lie on a grid of `1 / rate`; missing frames leave holes in the grid.
* Frames of a variable rate lie where their timestamps say, each until the next one starts.
* Audio lies on the grid of its sample rate. A timestamp further from the counted samples
  than the container's rounding explains starts a new count: a gap stays a gap.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import mode
from typing import Final

from schemas.domain.timerange import NS_PER_S

_STANDARD_RATES: Final = (
    *(Fraction(n, 1001) for n in (24000, 30000, 60000, 120000)),
    *(Fraction(n) for n in (5, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 100, 120)),
    Fraction(25, 2),
)
_AUDIO_TOLERANCE_TICKS: Final = 2


def floor_ns(seconds: Fraction) -> int:
    """Whole nanoseconds at or before `seconds`; every conversion here rounds this way."""
    return seconds.numerator * NS_PER_S // seconds.denominator


@dataclass(frozen=True, slots=True)
class Sampling:
    """Packet `i`, in file order, plays from `first + counts[i] * unit` for `spans[i] * unit`.

    `first` and `unit` are seconds; `rate` is the fixed frame rate of video, `None` for audio
    and for a variable rate. For audio one count is one audio sample.
    """

    first: Fraction
    unit: Fraction
    counts: Sequence[int]
    spans: Sequence[int]
    rate: Fraction | None = None

    def start(self, i: int) -> Fraction:
        """When packet `i` starts to play, in seconds of the file's own clock."""
        return self.first + self.counts[i] * self.unit

    def end(self, i: int) -> Fraction:
        """When packet `i` has played, in seconds of the file's own clock."""
        return self.first + (self.counts[i] + self.spans[i]) * self.unit

    def last(self) -> int:
        """The packet presented last."""
        return max(range(len(self.counts)), key=self.counts.__getitem__)


def video_sampling(
    pts: Sequence[int], durations: Sequence[int], time_base: Fraction, hints: Iterable[Fraction]
) -> Sampling:
    """The sampling of video frames with these timestamps.

    Args:
        pts: in file order, in units of `time_base` seconds, all different.
        durations: as the container or parser states them; only the last presented frame's,
            and only of a variable rate, is believed.
        time_base: seconds per unit.
        hints: frame rates the container or codec claims, the best first.
    """
    ordered = sorted(pts)
    first = ordered[0] * time_base
    for rate in _candidates(ordered, durations, time_base, hints):
        counts = _grid(pts, ordered, 1 / (rate * time_base))
        if counts is not None:
            return Sampling(first, 1 / rate, counts, array("q", [1]) * len(pts), rate)
    following = dict(pairwise(ordered))
    last_span = durations[pts.index(ordered[-1])] or _last_step(ordered)
    spans = array("q", (following[t] - t if t in following else last_span for t in pts))
    return Sampling(first, time_base, array("q", (t - ordered[0] for t in pts)), spans)


def audio_sampling(
    pts: Sequence[int],
    durations: Sequence[int],
    time_base: Fraction,
    sample_rate: int,
    frame_size: int,
) -> Sampling:
    """The sampling of audio packets with these timestamps, which must increase.

    Args:
        pts: in units of `time_base` seconds.
        durations: in the same units.
        time_base: seconds per unit.
        sample_rate: in audio samples per second.
        frame_size: audio samples per coded frame; 0 where packets differ, as with PCM.
    """
    samples_per_tick = time_base * sample_rate
    tolerance = max(1, int(_AUDIO_TOLERANCE_TICKS * samples_per_tick))
    fixed = _frame_size(frame_size, mode(durations), samples_per_tick, tolerance)
    spans = array("q", (fixed or round(d * samples_per_tick) for d in durations))
    counts = array("q", [0])
    for i in range(1, len(pts)):
        counted = counts[-1] + spans[i - 1]
        stated = round((pts[i] - pts[0]) * samples_per_tick)
        counts.append(counted if abs(stated - counted) <= tolerance else stated)
    return Sampling(pts[0] * time_base, Fraction(1, sample_rate), counts, spans)


def _frame_size(
    frame_size: int, typical_duration: int, samples_per_tick: Fraction, tolerance: int
) -> int:
    """`frame_size`, unless packets do not last that long; 0 then."""
    agrees = abs(round(typical_duration * samples_per_tick) - frame_size) <= tolerance
    return frame_size if agrees else 0


def _candidates(
    ordered: Sequence[int],
    durations: Sequence[int],
    time_base: Fraction,
    hints: Iterable[Fraction],
) -> Iterable[Fraction]:
    """Frame rates worth trying, the likeliest first.

    Where a container rounds to 1 ms, libav claims odd rates: the usual ones come first.
    """
    if len(ordered) == 1:
        length = durations[0] * time_base
        return [r for r in hints if length and abs(1 / r - length) <= time_base]
    average = (len(ordered) - 1) / ((ordered[-1] - ordered[0]) * time_base)
    near = [r for r in _STANDARD_RATES if abs(r - average) * 50 < average]
    near.sort(key=lambda r: abs(r - average))
    claimed = [h for h in hints if h > 0]
    usual = [h for h in claimed if h in _STANDARD_RATES]
    return dict.fromkeys([*usual, *near, *claimed])


def _grid(pts: Sequence[int], ordered: Sequence[int], period: Fraction) -> "array[int] | None":
    """The frame numbers of `pts` on a grid of `period` ticks; `None` when they do not fit.

    They fit when each is within one tick of its place, no two share a place, and nine of
    ten follow their predecessor at once (or any timestamps would fit a fine enough grid).
    """
    if period < 2:  # noqa: PLR2004 - a finer grid than this fits any timestamps
        return None
    num, den, base = period.numerator, period.denominator, ordered[0]
    previous, steps = -1, 0
    for t in ordered:
        k = (2 * (t - base) * den + num) // (2 * num)
        if abs((t - base) * den - k * num) > den or k == previous:
            return None
        steps += k == previous + 1
        previous = k
    if steps * 10 < len(ordered) * 9:
        return None
    return array("q", ((2 * (t - base) * den + num) // (2 * num) for t in pts))


def _last_step(ordered: Sequence[int]) -> int:
    return ordered[-1] - ordered[-2] if len(ordered) > 1 else 1
