"""Configurations in TOML, as fedora-messaging reads them."""

import json
from collections.abc import Mapping
from typing import Any


def to_toml(config: Mapping[str, Any]) -> str:
    """Return TOML with a line for each key; ``None`` has no place there and is left out."""
    return "".join(
        f"{json.dumps(key)} = {_value(value)}\n"
        for key, value in config.items()
        if value is not None
    )


def consumer_config(config: Mapping[str, Any]) -> str:
    """Return a file that has these keys in the table for consumers."""
    return f"[consumer_config]\n{to_toml(config)}"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple, set, frozenset)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)
