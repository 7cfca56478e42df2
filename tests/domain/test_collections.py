"""What the flows of one source may collect, and what the source collects then."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.domain.collections import Collections, require_agreement
from schemas.domain.errors import Invalid
from schemas.domain.flow import Flow, Member
from schemas.domain.identifiers import FlowId, SourceId

NOW = datetime(2026, 11, 20, tzinfo=UTC)

# Each of these sources has two flows: `a` and `a2` are of source `A`, and so on.
SOURCE_OF = {FlowId(name): SourceId(name[0].upper()) for name in ("a", "a2", "b", "b2", "c", "c2")}

Collected = list[tuple[str, str | None]]


def collector(name: str, collected: Collected | str) -> Flow:
    """A flow of source `S`; a text collects flows of one letter each, without roles."""
    members = [
        {"id": member} if role is None else {"id": member, "role": role}
        for member, role in (
            collected if isinstance(collected, list) else [(each, None) for each in collected]
        )
    ]
    document = {"source_id": "S", "format": "f", "flow_collection": members}
    return Flow(FlowId(name), document, NOW, "me", NOW, "me", "v")


def source_collection(*flows: Flow) -> list[Member]:
    return list(Collections.derive(flows, SOURCE_OF).source_collections.get("S", ()))


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("", "abc"),
        ("abc", "abc"),
        ("ac", "abc"),
        ("abc", "b"),
        ("a", "b"),
        ([("a", "x"), ("b", None)], [("a2", "x"), ("b2", "y")]),
        ([("a", "x"), ("a2", "y")], [("a2", "x")]),
        ([("a", None), ("b", None), ("a2", None)], "ab"),
        ([("unknown", "x"), ("a", None)], "ab"),
    ],
)
def test_flows_agree_on_what_both_collect_and_on_nothing_else(
    mine: Collected | str, theirs: Collected | str
) -> None:
    require_agreement(collector("m", mine), [collector("t", theirs)], SOURCE_OF)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("ba", "ab"),
        ("cab", "abc"),
        ([("b", None), ("a2", None)], "ab"),
        ([("a", "x")], [("a", "y")]),
        ([("a", "x")], [("b", None), ("a2", "X")]),
        ([("a", ""), ("b", None)], [("a", "x")]),
    ],
)
def test_flows_conflict_over_the_role_or_the_order_of_common_sources(
    mine: Collected | str, theirs: Collected | str
) -> None:
    others = [collector("none", ""), collector("t", theirs)]

    with pytest.raises(Invalid, match="flow t of the same source") as refusal:
        require_agreement(collector("m", mine), others, SOURCE_OF)

    assert refusal.value.field == "flow_collection"


def test_a_source_collects_what_its_flows_do_in_an_order_and_with_roles_that_suit_all() -> None:
    merged = source_collection(
        collector("f", "ac"), collector("g", [("a2", None), ("b", None), ("c2", "talk")])
    )

    assert merged == [Member("A"), Member("B"), Member("C", "talk")]


def test_flows_that_agree_in_pairs_but_not_all_together_still_make_a_collection() -> None:
    round_and_round = [collector("f", "ab"), collector("g", "bc"), collector("h", "ca")]

    assert {member.id for member in source_collection(*round_and_round)} == {"A", "B", "C"}


@given(st.permutations("abc"), st.lists(st.sets(st.sampled_from("abc")), max_size=4))
def test_whatever_agrees_with_one_order_is_given_in_an_order_that_agrees_with_it(
    order: list[str], parts: list[set[str]]
) -> None:
    flows = [
        collector(f"flow {n}", "".join(each for each in order if each in part))
        for n, part in enumerate(parts)
    ]

    for flow in flows:
        require_agreement(flow, flows, SOURCE_OF)
    merged = [member.id.lower() for member in source_collection(*flows)]

    assert sorted(merged) == sorted(set().union(*parts))
    for flow in flows:
        mine = [member.id for member in flow.collection]
        assert [each for each in merged if each in mine] == mine
