"""The messages in the window: indexes answer as a walk over all of them would."""

import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fedbadges.history.matching import Matcher
from fedbadges.history.window.reader import RecentMessage
from fedbadges.history.window.recent_rows import RecentRows
from fedbadges.rules.filters import FilledFilter

TIMES = st.integers(0, 9).map(lambda second: datetime.datetime(2026, 1, 1, 0, 0, second))
NAMES = st.sampled_from(["ann", "bea"])
TOPICS = st.sampled_from(["one", "two"])
ROWS = st.builds(
    RecentMessage,
    id=st.integers(1, 30),
    msg_id=st.sampled_from([None, "a", "b", "c"]),
    topic=TOPICS,
    timestamp=TIMES,
    category=st.just("x"),
    agent=st.none(),
    users=st.frozensets(NAMES).map(tuple),
    packages=st.just(()),
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        key: st.frozensets(of).map(tuple) for key, of in (("users", NAMES), ("topics", TOPICS))
    },
).map(lambda lists: FilledFilter(tuple(lists.items())))


@given(
    st.lists(ROWS, min_size=1, max_size=12, unique_by=lambda row: row.id),
    st.lists(TIMES | st.tuples(st.booleans(), st.lists(st.integers(0, 11))), max_size=6),
    FILTERS,
    TIMES,
)
def test_any_index_gives_what_all_messages_give(
    stored: list[RecentMessage], steps: list[Any], filled: FilledFilter, after: datetime.datetime
) -> None:
    rows = RecentRows()
    expected: dict[int, RecentMessage] = {}
    for step in steps:
        if isinstance(step, datetime.datetime):
            rows.drop_until(step)
            expected = {each.id: each for each in expected.values() if each.timestamp > step}
            continue
        are_older, numbers = step
        added = [stored[number % len(stored)] for number in numbers]
        if are_older:
            rows = rows.with_older(added)
        for row in added:
            rows.add(row)
        expected |= {row.id: row for row in added}

    matches = Matcher(filled).matches
    found = [each.id for each in rows.candidates(filled, after) if matches(each)]
    assert sorted(found) == sorted(
        each.id for each in expected.values() if each.timestamp > after and matches(each)
    )
    assert len(rows) == len(expected)
    for row in stored:
        same = [each.id for each in expected.values() if each.msg_id == row.msg_id]
        assert sorted(each.id for each in rows.with_msg_id(row.msg_id)) == sorted(same)
        assert rows.has_msg_id(row.msg_id) == bool(same)
        assert (row.id in rows) == (row.id in expected)


def test_latest_people_are_those_of_the_newest_messages() -> None:
    first = datetime.datetime(2026, 1, 1)
    rows = RecentRows(
        RecentMessage(
            number, None, "one", first.replace(second=number), "x", None, (f"user{number}",), ()
        )
        for number in (3, 1, 2)
    )

    assert rows.latest_people(2) == {"user3", "user2"}
    assert rows.latest_people(9) == {"user3", "user2", "user1"}
