"""Hostile messages and rule files: real ones with random changes, and random ones."""

import contextlib
import copy
import importlib.util
import json
import random
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from support.bus import PREFIX

_ROOT = Path(__file__).resolve().parents[2]
CORPUS = _ROOT.parent / "shared" / "corpus"

FORGED = "CRITICAL forged: everything is lost"
"""What hostile text would have stand in the log as a line of its own."""

_LINE_ENDS = ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029")


def nested(depth: int, inner: object = 1) -> object:
    """Return lists within lists."""
    for _ in range(depth):
        inner = [inner]
    return inner


# Nothing of it can be the name of an account.
JUNK: tuple[object, ...] = (
    *(f"x{end}{FORGED}{end}" for end in _LINE_ENDS),
    *(f"{name}\n{FORGED}" for name in ("root", "%(msg)s", "' OR 1=1 --")),
    *("", " ", "\x00", "a\x00b", "\ud800", "\x1b[31mred", "\u202eabc x", "a b", "a@b c", "x" * 70),
    *("%(msg)s", "%(recipient)s", "%s %s", "%", "{0.__class__}", "__import__('os') ", "../../x"),
    *("x " * 50_000, "1.2.3.4", "::1", "/", "@", "http://[", "\ufeff x"),
    *(None, True, False, 0, -1, 2**70, 10**400, 1e308, -0.0),
    *(float("nan"), float("inf"), float("-inf")),
    *([], {}, [[]], [{}], {"": ""}, [None, 1, [2]], {"name": ["a b"], "x": ""}),
    *({"name": {"name": 1}, "x": ""}, [[{"nick": "x"}]], [{"name": 1}]),
    *(nested(200), nested(900), [" "] * 2_000, {f"/{number}": number for number in range(2_000)}),
)


def real_rules() -> dict[str, str]:
    """Return the texts of rules that are in use, by their file names without ending."""
    paths = CORPUS.glob("rules/*.yml") if CORPUS.is_dir() else (_ROOT / "rules").rglob("*.yml")
    return {path.stem: path.read_text() for path in sorted(paths)}


def eager_rules() -> dict[str, str]:
    """Return those of them that name a recipient, awarding for one message already."""
    criteria = {
        "filter": {"msg_id": "%(msg_id)s"},
        "operation": "count",
        "condition": {"equal to": 1},
    }
    eager = {}
    for name, text in real_rules().items():
        # Some are YAML to fedbadges only.
        with contextlib.suppress(yaml.YAMLError):
            body = yaml.safe_load(text)
            if "recipient" in body:
                body |= {"name": f"Eager {body['name']}", "criteria": criteria}
                eager[f"eager-{name}"] = yaml.safe_dump(body)
    return eager


def real_messages() -> list[dict]:
    """Return messages that were sent once, or those of the demo where there are none."""
    if CORPUS.is_dir():
        entries = json.loads((CORPUS / "messages.json").read_text())
        return [entry["message"] for entry in entries if isinstance(entry["message"], dict)]
    spec = importlib.util.spec_from_file_location("scenario", _ROOT / "demo" / "scenario.py")
    assert spec is not None
    assert spec.loader is not None
    scenario = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scenario)
    return [
        {
            "topic": sent.topic,
            "msg": sent.msg,
            "msg_id": f"2026-{uuid.uuid4()}",
            "timestamp": time.time(),
            "i": 1,
            "username": sent.username,
        }
        for sent in scenario.STORY
    ]


def words(value: Any) -> set[str]:
    """Return everything in messages that could be somebody's name, in lower case."""
    if isinstance(value, str):
        text = value.lower()
        return {text, *re.findall(r"[\w.+-]+", text)}
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return set().union(*map(words, value)) if isinstance(value, list) else set()


# Messages


def changed(message: dict, chance: random.Random) -> dict:
    """Return a message with one to three of its values spoilt; its id is a new one, or spoilt."""
    body = copy.deepcopy(message)
    body["msg_id"] = f"2026-{uuid.UUID(int=chance.getrandbits(128))}"
    # Found before anything changes: the junk itself is not to be changed.
    places = list(_places(body))
    for holder, key in chance.sample(places, min(len(places), chance.randint(1, 3))):
        chance.choice(_CHANGES)(holder, key, chance)
    return body


def _places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """Find every value within, by what holds it and its key there."""
    if depth > 20:
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield value, key
        if inner and isinstance(inner, (dict, list)):
            yield from _places(inner, depth + 1)


def _replace(holder: Any, key: Any, chance: random.Random) -> None:
    holder[key] = chance.choice(JUNK)


def _remove(holder: Any, key: Any, chance: random.Random) -> None:
    # Without an item of a list, the others would stand at other places.
    if isinstance(holder, dict):
        del holder[key]


def _wrap(holder: Any, key: Any, chance: random.Random) -> None:
    holder[key] = chance.choice(([holder[key]], {"x": holder[key]}, {"name": holder[key]}))


def _spoil(holder: Any, key: Any, chance: random.Random) -> None:
    """Put junk among values of its kind."""
    holder[key] = [holder[key], chance.choice(JUNK), holder[key]]


_CHANGES: tuple[Callable[[Any, Any, random.Random], None], ...] = (
    _replace,
    _replace,
    _replace,
    _remove,
    _wrap,
    _spoil,
)


def made_up(messages: Iterable[dict]) -> st.SearchStrategy[Any]:
    """Make messages of anything, on topics and with keys of real ones; they name nobody."""
    messages = list(messages)
    topics = st.sampled_from(sorted({message["topic"] for message in messages}))
    keys = st.sampled_from(sorted(_keys(messages)))
    # With a blank in it, no text is a name.
    text = st.text(max_size=12).map(lambda text: f"{text} ")
    scalars = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), text, st.sampled_from(JUNK)
    )
    values = st.recursive(
        scalars,
        lambda parts: st.lists(parts, max_size=3) | st.dictionaries(keys | text, parts, max_size=4),
        max_leaves=10,
    )
    message = st.fixed_dictionaries(
        {"topic": st.one_of(topics, topics, topics, values), "msg": values},
        optional=dict.fromkeys(("msg_id", "timestamp", "username", "i", "headers"), values),
    )
    return st.one_of(message, message, message, values)


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


BAIT = "bait"
"""What every name begins with that nobody is to get a badge under."""

TOPIC = f"{PREFIX}.hostile.fit"


def fitting(name: str, chance: random.Random) -> dict:
    """Return a message that names somebody, whatever else there is to it."""
    body = _sent({"user": name, "more": chance.choice(JUNK)}, chance)
    for key in ("timestamp", "username", "i", "headers"):
        if chance.random() < 0.3:
            body[key] = chance.choice(JUNK)
    return body


def unfitting(number: int, chance: random.Random) -> dict:
    """Return a message that almost names somebody."""
    name = f"{BAIT}{number}"
    msg = chance.choice(
        (
            name,
            [name],
            [{"user": name}],
            json.dumps({"user": name}),
            {"User": name},
            {"user ": name},
            {"users": name},
            {"msg": {"user": name}},
            {"user.user": name},
            {"user": f"{name} x"},
            {"user": f" {name}"},
            {"user": f"{name}\n"},
            {"user": f"{name}\x00"},
            {"user": f"{name}\ud800"},
            {"user": f"{name}@example.org"},
            {"user": f"{name}/x"},
            {"user": f"http://{name}.id.example.org/"},
            {"user": f"{name}%(topic)s"},
            {"user": name + "x" * 64},
            {"user": f"-{name}"},
            {"user": [[{"nick": name}]]},
            {"user": [f"{name}\n{FORGED}", {"nick": name}]},
        )
    )
    body = _sent(msg, chance)
    if chance.random() < 0.3:
        body["msg"] = {"user": name}
        body["topic"] = chance.choice(
            (f"{TOPIC}.{name}", f"{PREFIX}.nothostile.fit", f"{TOPIC}\n", "hostile", [TOPIC], None)
        )
    return body


def _sent(msg: object, chance: random.Random) -> dict:
    return {
        "topic": TOPIC,
        "msg": msg,
        "msg_id": f"2026-{uuid.UUID(int=chance.getrandbits(128))}",
        "timestamp": time.time(),
        "i": 1,
        "username": "root",
    }


# Rule files

PIECES = (
    *""" \t:-?[]{},&*!|>'"%@`#()=.\n""",
    *("\n  ", "\n- ", ": ", "<<: *a", "&a ", "*a", "!!int ", "!!python/object:os.system ", "---\n"),
    *("%(", ")s", "%(msg.x)s", "%()s", "name", "trigger", "criteria", "filter", "operation"),
    *("condition", "topic", "category", "lambda: ", "all", "any", "not", "recipient", "count"),
    *("greater than", "start", "30 days ago", "\x00", "\ufeff", "\u2028", "\x85", "msg", "query"),
    *("1e400", ".inf", "0x", "1:1", "2023-02-30", "~", "yes", "yield", "(" * 300, "[" * 3_000),
)


def changed_rule(text: str, chance: random.Random) -> str:
    """Return a rule's text with one to four changes: letters, lines, or the order of lines."""
    for _ in range(chance.randint(1, 4)):
        text = chance.choice((_change_letters, _change_letters, _change_lines))(text, chance)
    return text


def _change_letters(text: str, chance: random.Random) -> str:
    start = chance.randrange(len(text) + 1)
    end = start + chance.choice((0, 0, 1, 3, 20))
    return text[:start] + chance.choice((*PIECES, "")) + text[end:]


def _change_lines(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    if not lines:
        return text
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    change = chance.randrange(4)
    if change == 0:
        del lines[one]
    elif change == 1:
        lines.insert(other, lines[one])
    elif change == 2:
        lines[one], lines[other] = lines[other], lines[one]
    else:
        lines[one] = "  " * chance.randrange(4) + lines[one].lstrip()
    return "".join(lines)


def made_up_rules() -> st.SearchStrategy[str]:
    """Make rule files of anything that could stand in one."""
    pieces = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=40)
    return pieces.map("".join)
