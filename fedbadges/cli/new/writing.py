"""The text of a new rule's file, and of its test."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from fedbadges.cli.errors import CannotRun
from fedbadges.cli.new.draft import Draft, Scalar

#: How the topics of messages begin in a test, if the rule's topic is the end of one.
_PREFIX = "org.fedoraproject.prod"
_ENVIRONMENTS = ("prod", "stg", "dev")

#: What needs no quotes, unless YAML takes it for something else than text.
_WORD = re.compile(r"[A-Za-z][\w.-]*( [\w.-]+)*")


def rule_text(draft: Draft) -> str:
    """Return the text of the rule's file."""
    metadata = {key: getattr(draft, key) for key in ("name", "description", "creator")}
    metadata |= {"discussion": draft.discussion, "image_url": draft.image_url}
    lines = [f"{key + ':':<13} {_scalar(value)}" for key, value in metadata.items()]
    if draft.tags:
        lines.append(f"{'tags:':<13} [{', '.join(map(_scalar, draft.tags))}]")
    lines += ["", "trigger:", f"  topic: {_scalar(draft.topic)}", *_field_lines(draft, "  ")]
    if draft.count > 1:
        lines += [
            "",
            "criteria:",
            "  filter:",
            '    topics: ["%(topic)s"]',
            '    usernames: ["%(recipient)s"]',
            *_field_lines(draft, "    ", proposed=False),
            "  operation: count",
            "  condition:",
            f"    greater than or equal to: {draft.count}",
        ]
    lines += ["", f"recipient: {_scalar(f'%({draft.recipient})s')}"]
    return "\n".join(lines) + "\n"


def _field_lines(draft: Draft, indent: str, *, proposed: bool = True) -> list[str]:
    lines = []
    if draft.fields:
        lines = [f"{indent}fields:", *_comparisons(draft.fields, f"{indent}  ")]
    if proposed and draft.proposed:
        more = [] if draft.fields else [f"{indent}# fields:"]
        text = f"{indent}# What the message also has; keep what matters, here and in a filter:"
        lines += [text, *more, *_comparisons(draft.proposed, f"{indent}#   ")]
    return lines


def _comparisons(fields: Mapping[str, Scalar], indent: str) -> list[str]:
    return [
        f"{indent}{_scalar(path)}: {_scalar(_escaped(value))}" for path, value in fields.items()
    ]


def test_text(draft: Draft) -> str:
    """Return the text of the file with the rule's tests; raise CannotRun.

    Two paths may contradict each other, such as ``msg.user`` and ``msg.user.name``.
    """
    awards, count = f"{{alice: {_scalar(draft.badge_id)}}}", draft.count
    lines = ["messages:", "  message:", f"    topic: {_scalar(_whole_topic(draft))}"]
    lines += [f"    {key}: {_flow(value)}" for key, value in _body(draft, draft.fields).items()]
    lines += ["", "tests:"]
    if count == 1:
        lines += ["- name: one message brings it", "  incoming:"]
    else:
        lines.append(f"- name: message number {count} brings it")
        if count > 2:
            lines += ["  past:", f"  - {{like: message, from: alice, count: {count - 2}}}"]
        lines += ["  incoming:", "  - {like: message, from: alice, awards: {}}"]
    lines.append(f"  - {{like: message, from: alice, awards: {awards}}}")
    if count > 1:
        lines += [
            "",
            "- name: everybody's messages count for themselves",
            "  past:",
            f"  - {{like: message, from: alice, count: {count}}}",
            "  incoming:",
            "  - {like: message, from: bob, awards: {}}",
        ]
    for path in draft.fields:
        lines += ["", *_test_of_field(draft, path)]
    return "\n".join(lines) + "\n"


def _test_of_field(draft: Draft, path: str) -> Iterator[str]:
    """Yield the test that a message with another value at a path brings nothing."""
    other = {**draft.fields, path: _other(draft.fields[path])}
    body = ", ".join(f"{key}: {_flow(value)}" for key, value in _body(draft, other).items())
    yield f"- name: {_scalar(f'another {path} brings nothing')}"
    if draft.count > 1:
        yield "  past:"
        yield f"  - {{like: message, from: alice, count: {draft.count - 1}}}"
    yield "  incoming:"
    yield f"  - {{like: message, from: alice, {body}, awards: {{}}}}"


def _other(value: Scalar) -> Scalar:
    """Return another value of the same type, which is no number in the place of a truth value."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return "something else" if value != "something else" else "another"
    return value + 1 if abs(value) < 2**50 else 0


def _whole_topic(draft: Draft) -> str:
    """Return a topic of a message that the rule's topic is the end of."""
    if draft.whole_topic:
        return draft.whole_topic
    topic = draft.topic.removeprefix(".")
    parts = topic.split(".")
    return topic if len(parts) > 3 and parts[2] in _ENVIRONMENTS else f"{_PREFIX}.{topic}"


def _body(draft: Draft, fields: Mapping[str, Scalar]) -> dict[str, Any]:
    """Return the content of a message with these fields and a sender; raise CannotRun."""
    body: dict[str, Any] = {}
    for path, value in fields.items():
        _put(body, path, _escaped(value))
    _put(body, draft.recipient, draft.named)
    return body


def _put(body: dict[str, Any], path: str, value: Any) -> None:
    """Set what a message has at a path; a number there is the index of a list."""
    *above, last = path.split(".")
    within: Any = body
    for part, following in zip(above, [*above[1:], last], strict=True):
        within = _get(within, part, [] if following.isdecimal() else {})
    if last in within or (isinstance(within, list) and len(within) > int(last)):
        raise CannotRun(f"{path!r} contradicts another path")
    if isinstance(within, list):
        _get(within, last, value)
    else:
        within[last] = value


def _get(within: Any, part: str, missing: Any) -> Any:
    """Return what an object or a list has; what is missing is added; raise CannotRun."""
    if isinstance(within, dict):
        return within.setdefault(part, missing)
    if not isinstance(within, list) or not part.isdecimal() or int(part) > 20:
        raise CannotRun(f"{part!r} in a path contradicts another path, or is too large")
    index = int(part)
    within += [None] * (index + 1 - len(within))
    if within[index] is None:
        within[index] = missing
    return within[index]


def _escaped(value: Scalar) -> Scalar:
    """Return a value as it stands where templates may: with percent signs twice."""
    return value.replace("%", "%%") if isinstance(value, str) else value


def _flow(value: Any) -> str:
    """Return a value of a message as YAML on one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_scalar(key)}: {_flow(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return _scalar(value)


def _scalar(value: Scalar) -> str:
    """Return a single printable value as YAML, which may stand anywhere."""
    if isinstance(value, str) and _WORD.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)
