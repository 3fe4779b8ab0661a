"""The demos, on each bus: what they show, and what they say where RabbitMQ is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.broker import needs_broker

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "demo"

WITHOUT_BROKER = """
import sys
import rabbitmq
rabbitmq._SERVERS = ()
import run_on_broker
sys.exit(run_on_broker.show.run(run_on_broker.demo))
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install what names the users of the demo's messages, as ``make`` does."""
    home = tmp_path_factory.mktemp("plugin")
    unwanted = shutil.ignore_patterns("*.egg-info", "build", "__pycache__")
    sources = shutil.copytree(DEMO / "usernames", home / "sources", ignore=unwanted)
    install = ("-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation")
    subprocess.run([sys.executable, *install, "--target", home / "there", sources], check=True)
    return home / "there"


@pytest.mark.slow
@pytest.mark.parametrize("script", ["run.py", pytest.param("run_on_broker.py", marks=needs_broker)])
def test_demo_shows_the_badges_that_had_to_be_awarded(script: str, plugin: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", DEMO / script],
        env=os.environ | {"PYTHONPATH": str(plugin)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.count("http://127.0.0.1:") == (2 if script == "run_on_broker.py" else 1)
    assert "Exactly the 29 badges that had to be awarded." in done.stdout
    if script == "run_on_broker.py":
        assert "consumer-1 made 0" not in done.stdout
        assert "consumer-2 made 0" not in done.stdout


def test_demo_on_a_broker_names_the_package_that_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_BROKER], cwd=DEMO, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert "apt install --no-install-recommends rabbitmq-server" in done.stderr
    assert "dnf install rabbitmq-server" in done.stderr
    assert done.stdout == ""
