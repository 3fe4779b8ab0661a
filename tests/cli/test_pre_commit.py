"""The hooks for repositories of rules, run by pre-commit itself."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import GOOD
from support.rule_text import complete

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("git"), reason="there is no git"),
]


def git(directory: Path, *arguments: str) -> str:
    """Run git, with nothing of the configuration of whoever runs the tests."""
    who = ["-c", "user.name=alice", "-c", "user.email=alice@example.org"]
    done = subprocess.run(
        ["git", *who, "-c", "init.defaultBranch=main", *arguments],
        cwd=directory,
        env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def commit_all(directory: Path) -> str:
    """Make a repository of a directory; return the revision."""
    git(directory, "init", "--quiet")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", "All")
    return git(directory, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def fedbadges_repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a repository with the working tree, and its revision."""
    tools = (".git", ".tox", ".venv", ".hypothesis", ".*_cache", "__pycache__")
    unwanted = shutil.ignore_patterns(*tools, "*.egg-info", "var")
    clone = tmp_path_factory.mktemp("released") / "fedbadges"
    shutil.copytree(ROOT, clone, ignore=unwanted)
    return clone, commit_all(clone)


def two_lines_of_documentation() -> str:
    """Return the configuration of pre-commit that the documentation shows."""
    text = (ROOT / "docs/rule-authors.rst").read_text()
    (found,) = re.findall(r"^    repos:\n    .*fedbadges-check.*\n", text, re.MULTILINE)
    return re.sub("^    ", "", found, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory for the environments that pre-commit installs."""
    return tmp_path_factory.mktemp("cache")


def pre_commit(rules: Path, cache: Path) -> tuple[int, str]:
    """Run all hooks of a repository of rules; return the exit code and what was shown."""
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files", "--color=never"],
        cwd=rules,
        env=os.environ | {"PRE_COMMIT_HOME": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.usefixtures("pypi")
def test_documented_pre_commit_hook_checks_rules(
    fedbadges_repository: tuple[Path, str], cache: Path, tmp_path: Path
) -> None:
    released, revision = fedbadges_repository
    rules = tmp_path / "badges"
    rules.mkdir()
    config = two_lines_of_documentation()
    assert config.count("\n") == 2
    config = re.sub(r"repo: [^,]+", f"repo: {released}", config)
    config = re.sub(r"rev: [^,]+", f"rev: {revision}", config)
    (rules / ".pre-commit-config.yaml").write_text(config)
    (rules / "fixer.yml").write_text(complete(GOOD))
    (rules / "README.md").write_text("Rules")
    commit_all(rules)

    code, shown = pre_commit(rules, cache)
    assert (code, shown.splitlines()[-1].rpartition(".")[2]) == (0, "Passed"), shown

    (rules / "fixer.yml").write_text(complete(GOOD + "trigger: {topc: git.receive}\n"))
    code, shown = pre_commit(rules, cache)

    assert code == 1
    assert "fixer.yml:6:11: error: unknown key 'topc' in a trigger; did you mean 'topic'?" in shown
    assert "1 error found in 1 file" in shown


@pytest.mark.usefixtures("pypi")
def test_pre_commit_hook_runs_rule_tests(
    fedbadges_repository: tuple[Path, str], cache: Path, tmp_path: Path
) -> None:
    released, revision = fedbadges_repository
    rules = tmp_path / "badges"
    for name in ("gardener.yml", "gardener.yml.test"):
        (rules / "git").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "rules/git" / name, rules / "git")
    hook = f"{{repo: {released}, rev: {revision}, hooks: [{{id: fedbadges-test}}]}}"
    (rules / ".pre-commit-config.yaml").write_text(f"repos:\n- {hook}\n")
    commit_all(rules)

    code, shown = pre_commit(rules, cache)
    assert (code, shown.splitlines()[-1].rpartition(".")[2]) == (0, "Passed"), shown

    rule = rules / "git/gardener.yml"
    rule.write_text(rule.read_text().replace("threshold:    2", "threshold:    3"))
    code, shown = pre_commit(rules, cache)

    assert code == 1
    assert "expected: alice gets gardener-commits-i with incoming message 2" in shown
