"""What is no honest message, sent over the bus to a real hub."""

import json
import random
from pathlib import Path

import pytest
from support import hostile
from support.bus import PREFIX
from support.databases import Postgresql
from support.fault_runs import run_with_faults
from support.sizes import SEED, size

pytestmark = pytest.mark.slow

FRAMES = size(200, 2_000)

TOPIC = f"{PREFIX}.logger.step"

DEEP = 100_000

# Not what json makes of anything.
TEXTS = (
    "",
    "{",
    "null",
    "7",
    '"text"',
    "[]",
    "NaN",
    "[" * DEEP,
    "[" * DEEP + "]" * DEEP,
    '{"body":' * DEEP,
    f'{{"topic": "{TOPIC}", "msg": {"[" * 900 + "]" * 900}}}',
    f'{{"topic": "{TOPIC}", "msg": {{"log": "{"x" * 10_000_000}"}}}}',
    f'{{"topic": "{TOPIC}", "msg": {{"log": {"9" * 10_000}}}}}',
    f'{{"topic": "{TOPIC}", "topic": 1, "msg": -Infinity}}',
    f'{{"topic": "{TOPIC}", "username": "\\ud800", "msg_id": "x\\n{hostile.FORGED}"}}',
)


def test_hub_goes_on_awarding_among_hostile_frames(postgresql: Postgresql, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    real = hostile.real_messages()
    frames = [
        *TEXTS,
        *(json.dumps(hostile.changed(chance.choice(real), chance)) for _ in range(FRAMES)),
    ]
    chance.shuffle(frames)
    with run_with_faults(tmp_path, postgresql) as running:
        running.start()
        for frame in frames:
            running.bus.send_text(frame, TOPIC)
        running.send(200)
        running.wait_until_awarded()
        running.stop()

        running.check()
        running.hub.check_log()
        assert not [
            line for line in running.hub.log().splitlines() if line.startswith(hostile.FORGED)
        ]
