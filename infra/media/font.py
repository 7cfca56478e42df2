"""Digits for a clock burnt into pictures, without depending on any installed font.

* A glyph is 5 by 7 cells, drawn here as text; a line of them becomes rows of bytes.
"""

from collections.abc import Sequence
from typing import Final

GLYPH_WIDTH: Final = 5
GLYPH_HEIGHT: Final = 7

_DRAWN: Final = {
    "0": ".###.|#...#|#..##|#.#.#|##..#|#...#|.###.",
    "1": "..#..|.##..|..#..|..#..|..#..|..#..|.###.",
    "2": ".###.|#...#|....#|...#.|..#..|.#...|#####",
    "3": ".###.|#...#|....#|..##.|....#|#...#|.###.",
    "4": "...#.|..##.|.#.#.|#..#.|#####|...#.|...#.",
    "5": "#####|#....|####.|....#|....#|#...#|.###.",
    "6": "..##.|.#...|#....|####.|#...#|#...#|.###.",
    "7": "#####|....#|...#.|..#..|.#...|.#...|.#...",
    "8": ".###.|#...#|#...#|.###.|#...#|#...#|.###.",
    "9": ".###.|#...#|#...#|.####|....#|...#.|.##..",
    ":": ".....|..#..|..#..|.....|..#..|..#..|.....",
}


def rows(text: str, scale: int, paper: int, ink: int) -> Sequence[bytes]:
    """The rows of `text` (digits and colons), each cell `scale` pixels wide and high.

    Every glyph is followed by an empty column of cells; a pixel is one byte.
    """
    cells = [
        "".join(_DRAWN[character].split("|")[row] + "." for character in text)
        for row in range(GLYPH_HEIGHT)
    ]
    pixels = {".": bytes([paper]) * scale, "#": bytes([ink]) * scale}
    return [b"".join(pixels[cell] for cell in line) for line in cells for _ in range(scale)]
