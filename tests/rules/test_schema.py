"""The JSON Schema of rules: it takes what the daemon takes, and sees what a schema can see."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.builders import make_settings
from support.databases import Databases
from support.documented import EXAMPLES, completed
from support.rule_text import complete
from support.schemas import as_json

from fedbadges.criteria.backends import load_backends
from fedbadges.errors import RuleError
from fedbadges.rules.criteria import Backends
from fedbadges.rules.loader import load_text
from fedbadges.rules.series import file_schema
from fedbadges.rules.yaml_document import Node, parse_document

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus" / "rules"
FILES = [*ROOT.glob("rules/**/*.yml"), *CORPUS.glob("*.yml")]


@pytest.fixture(scope="module")
def backends() -> Backends:
    return load_backends(make_settings(Databases("sqlite", "sqlite://", "sqlite://"), ROOT))


@pytest.fixture(scope="module")
def validator(backends: Backends) -> Draft202012Validator:
    schema = file_schema(backends)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def errors(validator: Draft202012Validator, text: bytes) -> list[str]:
    found = validator.iter_errors(as_json(parse_document(text, "rule.yml")))
    return [f"{error.json_path}: {error.message}" for error in found]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_schema_accepts_every_real_rule(validator: Draft202012Validator, path: Path) -> None:
    assert errors(validator, path.read_bytes()) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.page.name}:{e.line}")
def test_the_schema_accepts_every_rule_of_the_documentation(
    validator: Draft202012Validator, example: Any
) -> None:
    assert errors(validator, completed(example.text)) == []


QUESTION = "operation: count, condition: {equal to: 1}}"
SERIES = """\
series: Scribe
badges:
- {name: Scribe I, threshold: 1}
- {name: Scribe II, threshold: 2.5, image_url: a, tags: [b], creator: c}
description: a
creator: a
discussion: a
image_url: a
trigger: {topic: git.receive}
"""
OPEN = "{filter: {users: [a]}, operation: count}"


@pytest.mark.parametrize(
    "body",
    [
        f"name: '  {'a' * 114}  '\n",
        f"description: |\n  {'é' * 128}\n",
        f"creator: {'a' * 500}\n",
        "issuer_id:\n",
        "series: Scribe\n",
        "tags: []\n",
        "tags: ''\n",
        "recipient: '%% %( msg.a b )s 100% %%(x'\n",
        "recipient: '%(msg.0)s'\nrecipient_nick2fas: No\n",
        "recipient: {any: ['%(msg.a)s', 'x%( b )s']}\nrecipient_nick2fas: Yes\n",
        "except: '%(msg.a)s'\n",
        "except: ['%(msg.a)s', '%(msg.b)s']\n",
        "trigger: {topic: ' git.receive '}\n",
        "trigger: {not: {topic: {not: {any: [a, {all: [b]}]}}}}\n",
        "trigger: {category: {any: [git, wiki]}}\n",
        "trigger: {topic: a, category: b, not: {lambda: msg}, any: [{topic: c}]}\n",
        "trigger: {fields: {msg.x: 1, 'msg.a b.0': a, topic: '%(msg.a)s b', msg.y: null}}\n",
        "trigger: {fields: {msg.x: {is equal to: yes}, msg.y: {greater than: a}}}\n",
        "trigger: {fields: {msg.x: {contains: 1, not: {any: ['', {all: [-1.5]}]}}}}\n",
        "trigger: {fields: {msg.x: {length: '%(msg.n)s', exists: yes, starts with: '%(a)s'}}}\n",
        "trigger: {fields: {msg.x: {length: {not: {any: [1, {less than: 3, is not: 0}]}}}}}\n",
        "criteria: {not: {any: [{datanommer: {filter: {users: [a]}, " + QUESTION + "}]}}\n",
        "criteria: {filter: {users: [7, yes, a], start: 2014-01-01}, " + QUESTION + "\n",
        "criteria: {filter: {end: 1500000000, page: 1, rows_per_page: 0}, " + QUESTION + "\n",
        "criteria: {filter: {msg_id: {lambda: a}, start: 3 days ago, order: desc}, "
        + QUESTION
        + "\n",
        "criteria: {filter: {users: 'x%(a)s', not_users: {lambda: a}}, " + QUESTION + "\n",
        "criteria: {filter: {users: [a]}, operation: longest streak of days, "
        "condition: {equal to: 1}}\n",
        "criteria: {filter: {users: [a]}, operation: {count distinct: ' msg.a b.0 '}, "
        "condition: {equal to: 1}}\n",
        "criteria: {filter: {users: [a]}, operation: {lambda: query}, condition: {is not: -1.5}}\n",
        "criteria: {filter: {users: [a]}, operation: count, condition: {lambda: value}}\n",
        "criteria: {filter: {topics: [a], fields: {msg.x: '%(recipient)s'}}, " + QUESTION + "\n",
        "criteria: {filter: {page: 1, fields: {topic: {ends with: a}}}, " + QUESTION + "\n",
        "criteria: {libravatar: {exists: No}}\n",
    ],
)
def test_the_schema_accepts_what_the_daemon_accepts(
    validator: Draft202012Validator, backends: Backends, body: str
) -> None:
    text = complete(body).encode()

    assert load_text(text, "rule.yml", backends)
    assert errors(validator, text) == []


@pytest.mark.parametrize(
    "group", ["' packager '", "{any: [packager, docs]}", "{not: {all: [packager]}}"]
)
def test_the_schema_accepts_groups(
    validator: Draft202012Validator, backends: Backends, group: str
) -> None:
    text = complete(f"criteria: {{fasjson: {{group: {group}}}}}\n").encode()

    assert load_text(text, "rule.yml", backends, configured=False)
    assert errors(validator, text) == []


@pytest.mark.parametrize(
    "body",
    [
        # Of the whole
        "critera: 1\n",
        "name: 7\n",
        "name: ' '\n",
        "creator:\n",
        f"discussion: {'a' * 129}\n",
        "series: [a]\n",
        "series: ''\n",
        "tags: {a: b}\n",
        "tags: [a, 7]\n",
        "tags: ['']\n",
        "recipient: alice\n",
        "recipient: [a]\n",
        "recipient: '%(recipient)s'\n",
        "recipient: '%(msg.user'\n",
        "recipient: '%(msg.user)s %(msg..b)s'\n",
        "recipient: '%()s'\n",
        "recipient: '%%(msg.user)s'\n",
        "recipient: '%(msg.user)s'\nrecipient_nick2fas: 1\n",
        "recipient_nick2fas: Yes\n",
        "recipient: {any: []}\n",
        "recipient: {any: '%(msg.a)s'}\n",
        "recipient: {any: ['%(msg.a)s', alice]}\n",
        "recipient: {all: ['%(msg.a)s']}\n",
        "except: alice\n",
        "except: []\n",
        "except: ['%(recipient)s']\n",
        "except: {any: ['%(msg.a)s']}\n",
        # Triggers
        "trigger: git.receive\n",
        "trigger: {}\n",
        "trigger: {topc: a}\n",
        "trigger: {topic: a, catgory: b}\n",
        "trigger: {topic: [a]}\n",
        "trigger: {topic: ''}\n",
        "trigger: {topic: git.*}\n",
        "trigger: {topic: '%(topic)s'}\n",
        "trigger: {topic: a b}\n",
        "trigger: {topic: {any: []}}\n",
        "trigger: {topic: {some: [a]}}\n",
        "trigger: {category: git.receive}\n",
        "trigger: {category: {any: [git, 7]}}\n",
        "trigger: {fields: {}}\n",
        "trigger: {fields: [a]}\n",
        "trigger: {fields: {'%(msg.x)s': 1}}\n",
        "trigger: {fields: {msg..x: 1}}\n",
        "trigger: {fields: {msg.x: [1]}}\n",
        "trigger: {fields: {msg.x: {}}}\n",
        "trigger: {fields: {msg.x: {y: 1}}}\n",
        "trigger: {fields: {msg.x: '%(a'}}\n",
        "trigger: {fields: {msg.x: {greater than: yes}}}\n",
        "trigger: {fields: {msg.x: {greater than: null}}}\n",
        "trigger: {fields: {msg.x: {starts with: 7}}}\n",
        "trigger: {fields: {msg.x: {contains: [a]}}}\n",
        "trigger: {fields: {msg.x: {exists: 1}}}\n",
        "trigger: {fields: {msg.x: {any: []}}}\n",
        "trigger: {fields: {msg.x: {any: a}}}\n",
        "trigger: {fields: {msg.x: {not: [a]}}}\n",
        "trigger: {fields: {msg.x: {length: a}}}\n",
        "trigger: {fields: {msg.x: {length: 1.5}}}\n",
        "trigger: {fields: {msg.x: {length: 'x%(msg.a)s'}}}\n",
        "trigger: {fields: {msg.x: {length: {exists: yes}}}}\n",
        "trigger: {lambda: ' '}\n",
        "trigger: {lambda: 1}\n",
        "trigger: {all: []}\n",
        "trigger: {any: {topic: a}}\n",
        "trigger: {not: [{topic: a}]}\n",
        "trigger: {any: [{not: {all: [{topc: a}]}}]}\n",
        # Criteria
        "criteria: []\n",
        "criteria: {}\n",
        "criteria: {datanomer: {}}\n",
        "criteria: {all: [], any: []}\n",
        "criteria: {all: []}\n",
        "criteria: {not: count}\n",
        "criteria: {datanommer: {filter: {users: [a]}, operation: count}}\n",
        "criteria: {filter: {users: [a]}, operation: count}\n",
        "criteria: {filter: {users: [a]}, all: [], " + QUESTION + "\n",
        "criteria: {libravatar: {exists: 1}}\n",
        "criteria: {libravatar: {}}\n",
        "criteria: {libravatar: [a]}\n",
        "criteria: {fasjson: {group: a b}}\n",
        "criteria: {fasjson: {group: {any: []}}}\n",
        "criteria: {fasjson: {grup: a}}\n",
        # Filters
        "criteria: {filter: {}, " + QUESTION + "\n",
        "criteria: {filter: {user: [a]}, " + QUESTION + "\n",
        "criteria: {filter: {fields: {msg.x: 1}}, " + QUESTION + "\n",
        "criteria: {filter: {topics: [a], fields: {}}, " + QUESTION + "\n",
        "criteria: {filter: {topics: [a], fields: {msg.x: [1]}}, " + QUESTION + "\n",
        "criteria: {filter: {users: [a], usernames: [a]}, " + QUESTION + "\n",
        "criteria: {filter: {users: []}, " + QUESTION + "\n",
        "criteria: {filter: {users: a}, " + QUESTION + "\n",
        "criteria: {filter: {users: ['']}, " + QUESTION + "\n",
        "criteria: {filter: {users: [1.5]}, " + QUESTION + "\n",
        "criteria: {filter: {users: ['%(a']}, " + QUESTION + "\n",
        "criteria: {filter: {users: {lambda: 7}}, " + QUESTION + "\n",
        "criteria: {filter: {users: {lmbda: a}}, " + QUESTION + "\n",
        "criteria: {filter: {msg_id: [a]}, " + QUESTION + "\n",
        "criteria: {filter: {start: yes}, " + QUESTION + "\n",
        "criteria: {filter: {users: [a], page: 0}, " + QUESTION + "\n",
        "criteria: {filter: {users: [a], rows_per_page: many}, " + QUESTION + "\n",
        "criteria: {filter: {users: [a], rows_per_page: 2147483648}, " + QUESTION + "\n",
        "criteria: {filter: {users: [a], order: up}, " + QUESTION + "\n",
        # Operations and conditions
        "criteria: {filter: {users: [a]}, operation: cont, condition: {equal to: 1}}\n",
        "criteria: {filter: {users: [a]}, operation: {lambda: 1}, condition: {equal to: 1}}\n",
        "criteria: {filter: {users: [a]}, operation: sum, condition: {equal to: 1}}\n",
        "criteria: {filter: {users: [a]}, operation: {sum: 1}, condition: {equal to: 1}}\n",
        "criteria: {filter: {users: [a]}, operation: {sum: msg..a}, condition: {equal to: 1}}\n",
        "criteria: {filter: {users: [a]}, operation: {largest: users}, condition: {equal to: 1}}\n",
        "criteria: {filter: {users: [a]}, operation: {count: msg.a}, condition: {equal to: 1}}\n",
        "criteria: {filter: {users: [a]}, operation: count, condition: {equals: 1}}\n",
        "criteria: {filter: {users: [a]}, operation: count, condition: {equal to: '1'}}\n",
        "criteria: {filter: {users: [a]}, operation: count, condition: {equal to: yes}}\n",
        "criteria: {filter: {users: [a]}, operation: count, condition: {}}\n",
        "criteria: {filter: {users: [a]}, operation: count, condition: {lambda: 1}}\n",
    ],
)
def test_the_schema_refuses_mistakes(
    validator: Draft202012Validator, backends: Backends, body: str
) -> None:
    text = complete(body).encode()

    with pytest.raises(RuleError):
        load_text(text, "rule.yml", backends, configured=False)
    assert errors(validator, text) != []


@pytest.mark.parametrize(
    "criteria",
    [
        OPEN,
        f"{{datanommer: {OPEN}}}",
        f"{{any: [{{libravatar: {{exists: Yes}}}}, {{all: [{OPEN}]}}]}}",
        f"{{all: [{OPEN}, {{not: {{filter: {{users: [a]}}, {QUESTION}}}]}}",
    ],
)
def test_the_schema_accepts_series(
    validator: Draft202012Validator, backends: Backends, criteria: str
) -> None:
    text = f"{SERIES}criteria: {criteria}\n".encode()

    assert len(load_text(text, "rule.yml", backends)) == 2
    assert errors(validator, text) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("series: Scribe", ""),
        ("creator: a", "name: a\ncreator: a"),
        ("creator: a", "threshold: 1\ncreator: a"),
        ("threshold: 1}", "treshold: 1}"),
        ("threshold: 1}", "threshold: '1'}"),
        ("threshold: 1}", "threshold: yes}"),
        ("threshold: 1}", "threshold: [1]}"),
        ("name: Scribe I,", "description: a,"),
        ("- {name", "- [name]\n- {name"),
        (SERIES[: SERIES.index("description")], "series: a\nbadges: {}\n"),
        (SERIES[: SERIES.index("description")], "series: a\nbadges: []\n"),
        (OPEN, "{filter: {users: [a]}}"),
        (OPEN, "{operation: count}"),
        (OPEN, f"{{not: {OPEN}}}"),
        (OPEN, "{datanommer: {filter: {users: [a]}}}"),
        (OPEN, "{filter: {users: [a]}, operation: count, condition: {}}"),
        (OPEN, f"{{any: [{OPEN}], all: [{OPEN}]}}"),
    ],
)
def test_the_schema_refuses_mistakes_in_series(
    validator: Draft202012Validator, backends: Backends, right: str, wrong: str
) -> None:
    whole = f"{SERIES}criteria: {OPEN}\n"
    text = whole.replace(right, wrong, 1).encode()

    with pytest.raises(RuleError):
        load_text(text, "rule.yml", backends)
    assert errors(validator, text) != []


@pytest.mark.parametrize("key", ["name", "description", "trigger"])
def test_the_schema_requires_what_a_rule_must_have(
    validator: Draft202012Validator, key: str
) -> None:
    rule = as_json(parse_document(complete("").encode(), "rule.yml"))
    del rule[key]

    (error,) = validator.iter_errors(rule)

    assert error.message == f"'{key}' is a required property"


def test_the_schema_describes_every_key_of_a_rule(validator: Draft202012Validator) -> None:
    for kind in ("rule", "series"):
        properties = validator.schema["$defs"][kind]["properties"]
        assert all(each["description"] for each in properties.values())


def test_the_schema_accepts_yes_and_no_as_text_for_newer_yaml(
    validator: Draft202012Validator,
) -> None:
    text = "recipient: '%(msg.a)s'\nrecipient_nick2fas: 'Yes'\n"
    assert errors(validator, complete(text).encode()) == []


def test_the_schema_accepts_any_mapping_for_a_backend_without_a_schema(backends: Backends) -> None:
    class Odd:
        def parse(self, node: Node, problems: object) -> None:
            return None

    validator = Draft202012Validator(file_schema({**backends, "odd": Odd()}))

    assert errors(validator, complete("criteria: {odd: {a: b}}\n").encode()) == []
    assert errors(validator, complete("criteria: {odd: [a]}\n").encode()) != []
