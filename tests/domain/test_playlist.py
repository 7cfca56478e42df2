"""What an HLS playlist says of the segments it names."""

import pytest

from schemas.domain.errors import Invalid
from schemas.domain.keys import parse_iso
from schemas.domain.playlist import Entry, entries
from schemas.domain.timerange import NS_PER_S

NOON = parse_iso("2026-11-25T12:00:00.000Z")


def playlist(*lines: str) -> dict[str, Entry]:
    return entries("\n".join(["#EXTM3U", "#EXT-X-VERSION:6", *lines]), "hls/one/live.m3u8")


def test_entries_are_as_far_apart_as_their_durations_add_up_to() -> None:
    found = playlist("#EXTINF:2.002000,", "a.ts", "#EXTINF:1.5,Title", "b.ts", "#EXTINF:3,", "c.ts")

    assert [(e.key, e.offset_ns, e.duration_ns) for e in found.values()] == [
        ("hls/one/a.ts", 0, 2_002_000_000),
        ("hls/one/b.ts", 2_002_000_000, 1_500_000_000),
        ("hls/one/c.ts", 3_502_000_000, None),
    ]
    assert found["hls/one/b.ts"].near == (("hls/one/a.ts", 0), ("hls/one/c.ts", 3_502_000_000))


def test_a_date_counts_on_to_the_next_discontinuity() -> None:
    found = playlist(
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-25T13:00:00.000+0100",
        *("#EXTINF:2.0,", "a.ts", "#EXTINF:2.0,", "b.ts"),
        "#EXT-X-DISCONTINUITY",
        *("#EXTINF:2.0,", "c.ts"),
    )

    dates = [entry.date and entry.date.ns for entry in found.values()]
    assert dates == [NOON.ns, NOON.ns + 2 * NS_PER_S, None]
    assert found["hls/one/c.ts"].near == ()


def test_without_dates_a_discontinuity_parts_nothing() -> None:
    found = playlist("#EXTINF:2.0,", "a.ts", "#EXT-X-DISCONTINUITY", "#EXTINF:2.0,", "b.ts")

    assert found["hls/one/b.ts"].near == (("hls/one/a.ts", 0),)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("a.ts", "hls/one/a.ts"),
        ("720p/a.ts?token=1", "hls/one/720p/a.ts"),
        ("../two/a%20b.ts", "hls/two/a b.ts"),
        ("https://elsewhere.example/a.ts", None),
        ("../../../a.ts", None),
        ("/a.ts", None),
    ],
)
def test_an_address_leads_to_a_key_beside_the_playlist(address: str, key: str | None) -> None:
    assert list(playlist("#EXTINF:2.0,", address)) == ([] if key is None else [key])


def test_init_segments_and_byte_ranges_are_noted() -> None:
    found = playlist(
        '#EXT-X-MAP:URI="init.mp4"',
        *("#EXTINF:2.0,", "a.m4s", "#EXTINF:2.0,", "#EXT-X-BYTERANGE:10@0", "b.m4s"),
    )

    a, b = found.values()
    assert (a.init_key, a.byte_range) == ("hls/one/init.mp4", False)
    assert (b.init_key, b.byte_range) == ("hls/one/init.mp4", True)


def test_every_entry_of_a_long_playlist_knows_some_of_all_parts_of_it() -> None:
    lines = [line for n in range(1_000) for line in ("#EXTINF:2.0,", f"{n}.ts")]

    near = dict(playlist(*lines)["hls/one/500.ts"].near)

    assert len(near) < 100
    assert {f"hls/one/{n}.ts" for n in (480, 499, 501, 520)} <= near.keys()
    assert min(near.values()) < 50 * NS_PER_S
    assert max(near.values()) > 1_900 * NS_PER_S


@pytest.mark.parametrize("text", ["", "no playlist", "#EXTM3U\n#EXTINF:long,\na.ts"])
def test_what_is_no_playlist_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        entries(text, "a.m3u8")


def test_a_master_playlist_has_no_entries() -> None:
    assert playlist("#EXT-X-STREAM-INF:BANDWIDTH=1", "720p/live.m3u8") == {}
