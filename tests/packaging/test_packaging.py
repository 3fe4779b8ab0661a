"""The source archive, an installation into an empty environment, and what make needs."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest
from support.databases import Databases
from support.deployment import run_deployment
from support.rules import counting_rule

ROOT = Path(__file__).parents[2]

LOAD_CONSUMERS = """
import pkg_resources
for entry in pkg_resources.iter_entry_points("moksha.consumer", "fedmsg-badges"):
    print(entry.load())
"""
LOADED = "<class 'fedbadges.consumers.FedoraBadgesConsumer'>\n"


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command that must succeed, and return what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


def can_compile_psycopg2() -> bool:
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return bool(shutil.which("pg_config") and shutil.which("cc")) and header.exists()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the clone, since an installation leaves files there."""
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "var")
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("clone") / "fedbadges", ignore=unwanted)


@pytest.fixture(scope="module", params=["psycopg2-binary", "psycopg2"])
def environment(
    request: pytest.FixtureRequest,
    sources: Path,
    pypi: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Create a virtual environment and install fedbadges into it."""
    if request.param == "psycopg2" and not can_compile_psycopg2():
        pytest.skip("psycopg2 needs a C compiler and the headers of Python and libpq")
    stand_in = ["./packaging/psycopg2"] if request.param == "psycopg2-binary" else []
    path = tmp_path_factory.mktemp(request.param) / "venv"
    run(sys.executable, "-m", "venv", path)
    # What was built before, by another pip, says nothing about this one.
    install = (path / "bin" / "python", "-m", "pip", "--no-cache-dir", "install")
    run(*install, "pip >= 23.1")
    run(*install, *stand_in, ".", cwd=sources)
    return path


def test_source_archive_contains_the_rules_and_their_tests(sources: Path, tmp_path: Path) -> None:
    build = "import sys, setuptools.build_meta as b; b.build_sdist(sys.argv[1])"
    run(sys.executable, "-W", "ignore", "-c", build, tmp_path, cwd=sources)

    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    rules = {str(path.relative_to(ROOT)) for path in (ROOT / "rules").rglob("*.yml*")}
    assert {name for name in rules if name.endswith(".test")}
    assert rules <= names
    assert {"fedbadges/ruletests/runner.py", "man/fedbadges.1"} <= names


def test_pkg_resources_loads_the_consumer_of_this_environment(tmp_path: Path) -> None:
    assert run(sys.executable, "-W", "ignore", "-c", LOAD_CONSUMERS, cwd=tmp_path) == LOADED


@pytest.mark.slow
def test_pkg_resources_loads_the_consumer_of_a_new_environment(
    environment: Path, tmp_path: Path
) -> None:
    assert run(environment / "bin" / "python", "-c", LOAD_CONSUMERS, cwd=tmp_path) == LOADED


@pytest.mark.slow
def test_a_new_environment_has_the_manual_pages(environment: Path) -> None:
    pages = {page.name for page in (environment / "share" / "man" / "man1").iterdir()}
    assert {page.name for page in (ROOT / "man").iterdir()} <= pages


@pytest.mark.slow
@pytest.mark.started
def test_hub_of_a_new_environment_awards_a_badge(
    environment: Path,
    postgresql_database: Databases,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A deployment runs the hub that is installed beside this interpreter.
    monkeypatch.setattr(sys, "executable", str(environment / "bin" / "python"))
    rules = {"first": counting_rule("First Step", "logger.first", 1)}

    with run_deployment(tmp_path / "hub", postgresql_database, rules) as deployment:
        deployment.publish("logger.first", username="ann")

        deployment.wait_for_badge("ann", "first-step")


def write_python(directory: Path, script: str) -> Path:
    """Write an interpreter that runs a piece of shell before what it is given."""
    path = directory / "python3"
    path.write_text(f'#!/bin/sh\n{script}\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 127", "python3 is missing: apt install python3-venv"),
        ('case "$*" in *version_info*) exit 1;; esac', "is too old: install Python 3.10 or newer"),
        ('case "$*" in *ensurepip*) exit 1;; esac', "python3 lacks venv: apt install python3-venv"),
    ],
    ids=["no python3", "old python3", "no venv"],
)
@pytest.mark.parametrize("target", ["demo", "lint", "test"])
def test_make_names_the_package_that_is_missing(
    tmp_path: Path, target: str, script: str, expected: str
) -> None:
    python = write_python(tmp_path, script)
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("Makefile", "setup.py", "pyproject.toml", "tox.ini", "packaging", "demo"):
        (clone / name).symlink_to(ROOT / name)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}

    done = subprocess.run(
        ["make", target, f"PYTHON={python}"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
    )

    message, make_says = done.stderr.splitlines()
    assert expected in message
    assert "dnf install" in message
    assert make_says.startswith("make: ***")
    assert not (clone / ".venv").exists()
