"""Names in operations: users and packages of past messages, and templates that name users."""

from collections.abc import Callable

import pytest
from support.databases import Databases
from support.rule_text import backends, load, message

from fedbadges.criteria.datanommer import Datanommer
from fedbadges.messages import Message
from fedbadges.rules.criteria import Question
from fedbadges.rules.names import AnySpelling, Name

pytestmark = pytest.mark.sqlite

TOPIC = "org.fedoraproject.prod.planet.post"

#: Who wrote each past message, as its sender wrote the name; datanommer has it in lower case.
AUTHORS = ["Grace", "grace", "heidi"]


@pytest.fixture(scope="module")
def backend(shared_database: Databases) -> Datanommer:
    found = backends(shared_database.datanommer_url)["datanommer"]
    assert isinstance(found, Datanommer)
    for number, author in enumerate(AUTHORS):
        past = message(
            TOPIC,
            msg_id=f"planet-{number}",
            timestamp=1700000000 + number * 86400,
            msg={"by": author, "votes": [{"by": author}]},
        )
        found.history.record(past, [author.lower()], ["kernel", "bash"][: number + 1])
    return found


#: Asks for the value of an operation over all past messages, by a rule with more lines.
Ask = Callable[..., object]


@pytest.fixture
def ask(backend: Datanommer) -> Ask:
    def ask(operation: str, about: Message, rest: str = "", users: str = "") -> object:
        rule = load(
            f"{rest}criteria:\n"
            f"  filter: {{topics: ['%(topic)s'], {users}}}\n"
            f"  operation:\n    lambda: |-\n      {operation}\n"
            f"  condition: {{lambda: value}}\n",
            {"datanommer": backend},
        )
        return rule.criteria.criterion.value(Question(about))

    return ask


def now(**msg: object) -> Message:
    return message(TOPIC, timestamp=1700000000 + 10 * 86400, msg=msg)


@pytest.mark.parametrize(
    ("operation", "value"),
    [
        ("[u.name for m in query for u in m.users]", ["grace", "grace", "heidi"]),
        ("sorted({p.name for m in query for p in m.packages})", ["bash", "kernel"]),
        ("len([m for m in query.all() if 'grace' in [u.name for u in m.users]])", 2),
        ("len([m for m in query.all() if 'bash' in {p.name for p in m.packages}])", 2),
        ("json.dumps([m.users for m in query])", '[["grace"], ["grace"], ["heidi"]]'),
        ("'%%s' %% query.first().users", "['grace']"),
        ("query.first().users", ["grace"]),
        ("type(query.first().users[0].name)", str),
    ],
)
def test_users_and_packages_of_a_past_message_are_texts_with_a_name(
    ask: Ask, operation: str, value: object
) -> None:
    assert ask(operation, now()) == value


TESTS = [
    ("m.msg['by'] == '%(msg.user)s'", 2),
    ("m.msg['by'] == %(msg.user)s", 2),
    ("'%(msg.user)s' == m.msg['by']", 2),
    ("m.msg['by'] != '%(msg.user)s'", 1),
    ("m.msg['by'] in ('x', '%(msg.user)s')", 2),
    ("any(each['by'] == '%(msg.user)s' for each in m.msg['votes'])", 2),
    ("'%(msg.user)s' in m.users", 2),
    ("'%(msg.user)s' in [u.name for u in m.users]", 2),
    ("'%(msg.user)s' not in m.users", 1),
    ("m.msg['by'] + '!' == '%(msg.user)s!'", 1),
    ("m.msg['by'] == '%(msg.user)s'.lower()", 1),
]


@pytest.mark.parametrize(
    "lines",
    [
        {"rest": "recipient: '%(msg.user)s'\n"},
        {"rest": "recipient: '%(msg.user)s'\nrecipient_nick2fas: Yes\n"},
        {"users": "users: ['%(msg.user)s', heidi]"},
        {"users": "usernames: {lambda: \"['heidi', '%(msg.user)s']\"}"},
        {"users": "not_agents: ['%(msg.user)s'], users: [grace, heidi]"},
    ],
    ids=lambda lines: next(iter(lines.values())).strip(),
)
@pytest.mark.parametrize(("test", "count"), TESTS)
def test_template_of_a_user_in_an_operation_matches_both_spellings(
    ask: Ask, test: str, count: int, lines: dict[str, str]
) -> None:
    if "agents" in lines.get("users", ""):
        count = 0  # where no agent is known, nobody is not the agent, as in SQL
    for operation in (f"len([m for m in query.all() if {test}])", f"[{test} for m in query]"):
        value = ask(operation, now(user="Grace"), **lines)
        assert (value if isinstance(value, int) else sum(value)) == count


def test_template_of_users_in_an_operation_matches_both_spellings_of_each(ask: Ask) -> None:
    operation = "len([m for m in query.all() if m.msg['by'] in %(msg.people)s])"

    about = now(people=["Grace", "Heidi", 7])
    assert ask(operation, about, rest="recipient: '%(msg.people)s'\n") == 3
    assert ask(operation, about) == 1


@pytest.mark.parametrize(
    ("recipient", "template"),
    [
        ("msg.user", "'%(msg.user.name)s'"),
        ("msg.user", "%(msg.user)s['name']"),
        ("msg.people", "'%(msg.people.0.name)s'"),
        ("msg.people", "%(msg.people)s[0]['name']"),
    ],
)
def test_name_of_an_object_in_an_operation_matches_both_spellings(
    ask: Ask, recipient: str, template: str
) -> None:
    operation = f'len([m for m in query.all() if m.msg["by"] == {template}])'

    about = now(user={"name": "Grace", "id": 7}, people=[{"name": "Grace"}])
    assert ask(operation, about, rest=f"recipient: '%({recipient})s'\n") == 2


def test_template_of_something_else_matches_as_it_is_written(ask: Ask) -> None:
    operation = "len([m for m in query.all() if m.msg['by'] == '%(msg.kind)s'])"

    about = now(user="Grace", kind="Grace")
    assert ask(operation, about, rest="recipient: '%(msg.user)s'\n") == 1


def test_name_in_lower_case_matches_only_itself(ask: Ask) -> None:
    operation = "len([m for m in query.all() if m.msg['by'] == '%(msg.user)s'])"

    assert ask(operation, now(user="grace"), rest="recipient: '%(msg.user)s'\n") == 1


def test_rules_with_and_without_a_recipient_do_not_share_counts(ask: Ask) -> None:
    operation = "len([m for m in query.all() if m.msg['by'] == '%(msg.user)s'])"

    for _ in range(2):
        assert ask(operation, now(user="Grace")) == 1
        assert ask(operation, now(user="Grace"), rest="recipient: '%(msg.user)s'\n") == 2


def test_recipient_names_users_in_criteria_below_operators(backend: Datanommer) -> None:
    question = (
        "{filter: {topics: ['%(topic)s']}, condition: {equal to: 2}, operation: {lambda: "
        "\"len([m for m in query.all() if m.msg['by'] == '%(msg.user)s'])\"}}"
    )
    for criteria in (f"any: [{question}]", f"all: [not: {{not: {question}}}]"):
        body = f"recipient: '%(msg.user)s'\ncriteria: {{{criteria}}}\n"
        rule = load(body, {"datanommer": backend})
        assert rule.criteria.holds(Question(now(user="Grace")))


def test_text_around_a_template_of_a_user_is_plain_text(ask: Ask) -> None:
    found = ask("['<%(msg.user)s>', '%(msg.n)s', '%(msg.user)s']", now(user="Grace", n=7))

    assert found == ["<Grace>", "7", "Grace"]


def test_spellings_are_equal_to_what_a_filter_looks_for() -> None:
    name = AnySpelling("Grace")

    assert [each for each in ("Grace", "grace", "GRACE", "gracE", 7, None) if each == name] == [
        "Grace",
        "grace",
    ]
    assert name == Name("grace")
    assert Name("grace") == name
    assert name != "heidi"
    assert name.startswith("G")
    assert {name: 1}["Grace"] == 1
    assert repr(name) == "'Grace'"
