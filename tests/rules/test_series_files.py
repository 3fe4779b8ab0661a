"""A rule file that gives several badges."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rule_text import HERE, PARSING, PATH
from support.rules import only_rule

from fedbadges.errors import Place, RuleError
from fedbadges.rules.loader import load_text
from fedbadges.rules.rule import Rule

COMMON = """\
creator: alice
discussion: https://badges.example.org/discussion
image_url: https://badges.example.org/pngs/badge.png
trigger: {topic: git.receive}
recipient: "%(msg.user)s"
"""
CRITERIA = 'criteria: {filter: {users: ["%(msg.user)s"]}, operation: count}\n'
SERIES = f"""\
series: Gardener
badges:
- {{name: Gardener I, threshold: 1, description: One push.}}
- {{name: Gardener II, threshold: 10, description: Ten pushes.}}
{COMMON}{CRITERIA}"""


def load(text: str) -> tuple[Rule, ...]:
    return load_text(text.encode(), PATH, PARSING)


def assert_mistakes(text: str, *expected: str) -> None:
    """Verify the mistakes of a file: one message for each place that is marked in ``text``."""
    pieces = text.split(HERE)
    before = ["".join(pieces[:count]) for count in range(1, len(pieces))]
    places = [(part.count("\n") + 1, len(part) - part.rfind("\n")) for part in before]
    with pytest.raises(RuleError) as caught:
        load("".join(pieces))
    assert [str(problem) for problem in caught.value.problems] == [
        f"{PATH}:{line}:{column}: {message}"
        for (line, column), message in zip(places, expected, strict=True)
    ]


def test_each_badge_of_a_series_is_a_rule_with_a_place_of_its_own() -> None:
    first, second = load(SERIES)

    assert [first.badge.name, second.badge.id] == ["Gardener I", "gardener-ii"]
    assert [first.badge.description, second.badge.description] == ["One push.", "Ten pushes."]
    assert [first.threshold, second.threshold] == [1, 10]
    assert first.series == second.series == "Gardener"
    assert [str(first.place), str(second.place)] == [f"{PATH}:3:3", f"{PATH}:4:3"]


def test_what_a_badge_says_replaces_what_the_series_says() -> None:
    own = "- {name: Third, threshold: 11, description: Own, creator: bob, tags: [own]}\n"
    *_, second, third = load(SERIES.replace("creator:", f"{own}tags: [all]\ncreator:", 1))

    assert (second.badge.creator, second.badge.tags) == ("alice", ("all",))
    assert (third.badge.creator, third.badge.tags) == ("bob", ("own",))


QUESTION = "filter: {topics: [a.b]}, operation: count"
OTHER = "{filter: {topics: [c.d]}, operation: count, condition: {equal to: 3}}"
FORMS = st.sampled_from(
    [
        "{%s}",
        "{datanommer: {%s}}",
        "{any: [{%s}, " + OTHER + "]}",
        "{all: [{not: " + OTHER + "}, {any: [{datanommer: {%s}}, {%s}]}]}",
    ]
)
THRESHOLDS = st.lists(
    st.one_of(st.integers(-5, 10**9), st.floats(0, 10**6).map(lambda each: round(each, 3))),
    min_size=1,
    max_size=6,
    unique=True,
).map(sorted)


@given(FORMS, THRESHOLDS)
def test_a_badge_of_a_series_is_what_a_file_of_its_own_would_give(
    form: str, thresholds: list[int | float]
) -> None:
    head = SERIES.partition("badges:\n")[0]
    badges = "".join(
        f"- {{name: Badge {number}, threshold: {threshold}, description: Of the tests}}\n"
        for number, threshold in enumerate(thresholds)
    )
    rest = COMMON + f"criteria: {form.replace('%s', QUESTION)}\n"

    rules = load(f"{head}badges:\n{badges}{rest}")

    assert len(rules) == len(thresholds)
    for number, (threshold, rule) in enumerate(zip(thresholds, rules, strict=True)):
        reached = f"{QUESTION}, condition: {{greater than or equal to: {threshold}}}"
        alone = only_rule(
            f"{head}name: Badge {number}\ndescription: Of the tests\n{COMMON}"
            f"criteria: {form.replace('%s', reached)}\n".encode(),
            PATH,
            PARSING,
        )
        assert replace(rule, place=Place(PATH, 1, 1), threshold=None) == alone


def test_mistakes_in_the_badges_have_the_places_of_the_badges() -> None:
    assert_mistakes(
        f"""\
series: Gardener
badges:
- {{name: Gardener I, threshold: 10, {HERE}treshold: 1, description: a}}
- {{name: Gardener II, threshold: {HERE}10, description: a}}
- {{{HERE}name: Gardener (I), threshold: {HERE}ten, description: a}}
- {HERE}{HERE}{{threshold: 40}}
- {{name: Gardener V, threshold: {HERE}39.5, description: a}}
- {HERE}Gardener VI
{COMMON}{CRITERIA}""",
        "unknown key 'treshold' in a badge of a series; did you mean 'threshold'?",
        "thresholds rise from badge to badge, and 10 is not greater than 10 in line 3",
        "the badge 'gardener-i' stands in line 3 already",
        "'threshold' is a number that must be reached, such as 10",
        "missing key 'description' in a badge of a series, and in the series",
        "missing key 'name' in a badge of a series",
        "thresholds rise from badge to badge, and 39.5 is not greater than 40 in line 6",
        "a badge of a series is a mapping, and this is text",
    )


def test_mistakes_of_the_whole_series_come_once() -> None:
    assert_mistakes(
        f"""\
{HERE}{HERE}badges:
- {{name: Gardener I, threshold: 1, description: One push.}}
- {{name: Gardener II, threshold: 10, description: Ten pushes.}}
{HERE}name: Gardener
creator: alice
discussion: https://badges.example.org/discussion
image_url: https://badges.example.org/pngs/badge.png
criteria: {{filter: {HERE}[a], operation: {HERE}cont}}
""",
        "missing key 'series' in a series",
        "missing key 'trigger' in a series",
        "each badge of a series has its 'name' in the list of 'badges'",
        "a filter is a mapping, and this is a list",
        "'cont' is no operation; did you mean 'count'?",
    )


@pytest.mark.parametrize(
    "criteria",
    [
        "{filter: {topics: [a.b]}, operation: count, condition: {equal to: 1}}",
        "{any: [" + OTHER + "]}",
    ],
)
def test_criteria_without_a_question_for_the_thresholds_are_a_mistake(criteria: str) -> None:
    assert_mistakes(
        SERIES.replace(CRITERIA, f"{HERE}criteria: {criteria}\n"),
        "nothing here is compared with the thresholds of the badges; leave 'condition' out of the "
        "question that is meant",
    )


def test_question_below_not_needs_a_condition_of_its_own() -> None:
    criteria = f"criteria: {{all: [{{{QUESTION}}}, {{not: {HERE}{{{QUESTION}}}}}]}}\n"
    assert_mistakes(
        SERIES.replace(CRITERIA, criteria), "missing key 'condition' in datanommer criteria"
    )


def test_series_has_a_limited_number_of_badges() -> None:
    badges = [
        f"- {{{{name: Badge {number}, threshold: {number}, description: a}}}}\n".format()
        for number in range(51)
    ]
    text = f"series: Many\nbadges:\n{''.join(badges[:50])}{COMMON}{CRITERIA}"

    assert len(load(text)) == 50
    assert_mistakes(
        text.replace("creator:", "- " + HERE + badges[50][2:] + "creator:", 1),
        "'badges' takes at most 50, and these are 51",
    )


@pytest.mark.parametrize(
    ("badges", "message"),
    [
        ("[]", "'badges' is empty; it takes at least one"),
        ("", "'badges' takes a list, and this is empty"),
        ("{name: a}", "'badges' takes a list, and this is a mapping"),
    ],
)
def test_badges_are_a_list(badges: str, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        load(f"series: Gardener\nbadges: {badges}\n{COMMON}{CRITERIA}")
    assert [problem.text for problem in caught.value.problems] == [message]
