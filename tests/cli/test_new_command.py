"""``fedbadges new``."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from hypothesis import example, given
from hypothesis import strategies as st
from support.command import fedbadges
from support.command_deployment import CommandDeployment
from support.databases import Databases

BASE = ("--topic", "wiki.article.edit", "--recipient", "msg.user")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory, where no configuration is found."""
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return path


def passes(path: Path) -> bool:
    """Return True if nothing is found in a rule, and its tests pass."""
    checked, tested = fedbadges("check", path), fedbadges("test", f"{path}.test")
    assert checked.output == "nothing found in 1 file\n"
    assert tested.exit_code == 0, tested.output
    return True


def written(done: Result, path: Path) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    assert done.stderr.endswith(f"{path} written\n{path}.test written\n")
    return yaml.safe_load(path.read_text())


def test_options_make_a_rule_and_its_test_that_pass(directory: Path) -> None:
    more = ("--count", "100", "--field", "msg.minor=0", "--field", 'msg.title=50% off: "x"')
    done = fedbadges("new", "--name", "Scribe", *BASE, *more, "--tag", "wiki", "--tag", "a b")

    rule = written(done, Path("scribe.yml"))
    assert rule["trigger"] == {
        "topic": "wiki.article.edit",
        "fields": {"msg.minor": 0, "msg.title": '50%% off: "x"'},
    }
    assert rule["criteria"]["condition"] == {"greater than or equal to": 100}
    assert rule["criteria"]["filter"]["fields"] == rule["trigger"]["fields"]
    assert (rule["recipient"], rule["tags"]) == ("%(msg.user)s", ["wiki", "a b"])
    assert passes(Path("scribe.yml"))


def test_a_single_message_needs_no_criteria(directory: Path) -> None:
    done = fedbadges("new", "--name", "Scribe", *BASE)

    assert "criteria" not in written(done, Path("scribe.yml"))
    assert passes(Path("scribe.yml"))


@pytest.mark.parametrize("broken", ["greater than or equal to: 3", "msg.minor: 0", "usernames"])
def test_the_written_test_fails_for_another_rule(directory: Path, broken: str) -> None:
    fedbadges("new", "--name", "Scribe", *BASE, "--count", "3", "--field", "msg.minor=0")
    path = Path("scribe.yml")
    other = {
        "greater than or equal to: 3": "greater than or equal to: 4",
        "msg.minor: 0": "msg.minor: {any: [0, 1]}",
        "usernames": "not_usernames",
    }
    path.write_text(path.read_text().replace(broken, other[broken]))

    assert fedbadges("test", ".").exit_code == 1


def test_questions_ask_for_what_is_missing(directory: Path) -> None:
    answers = "Scribe\nwiki.article.edit\nmsg.author.name\n5\nYou edited five pages.\n"
    done = fedbadges("new", input=answers)

    rule = written(done, Path("scribe.yml"))
    assert done.stdout == ""
    assert rule["description"] == "You edited five pages."
    assert rule["criteria"]["condition"] == {"greater than or equal to": 5}
    assert passes(Path("scribe.yml"))


def test_no_answer_writes_nothing(directory: Path) -> None:
    done = fedbadges("new", "--name", "Scribe", input="")

    assert done.exit_code == 2
    assert done.stderr.endswith("\nNothing written: there is no --topic\n")
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("there", ["scribe.yml", "scribe.yml.test"])
def test_nothing_is_overwritten_without_force(directory: Path, there: str) -> None:
    Path(there).write_text("mine")

    refused = fedbadges("new", "--name", "Scribe", *BASE)
    files = [path.name for path in directory.iterdir()]
    forced = fedbadges("new", "--name", "Scribe", *BASE, "--force")

    assert (refused.exit_code, refused.stderr) == (2, f"{there} exists; --force overwrites it\n")
    assert files == [there]
    assert forced.exit_code == 0
    assert passes(Path("scribe.yml"))


def test_a_dangling_link_is_not_followed(directory: Path) -> None:
    Path("scribe.yml").symlink_to(directory / "elsewhere")

    assert fedbadges("new", "--name", "Scribe", *BASE).exit_code == 2
    assert not Path("elsewhere").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--recipient", "user"], "'user' begins with none of msg, username: try 'msg.user'"),
        (["--recipient", "msg..user"], "'msg..user' is not the path of a field"),
        (["--field", "msg.minor"], "'msg.minor' is not like 'msg.minor=0'"),
        (["--field", "msg.minor={greater than: 0}"], "a value is text, a number, or true or false"),
        (["--field", "msg.user=x"], "'msg.user' contradicts another path"),
        (["--field", "msg.user.name=x"], "'msg.user' contradicts another path"),
        (["--field", "topic=x"], "'topic' begins with none of msg, username"),
        (["--name", "a/b"], "'a/b' is no name for a file: give FILE"),
        (["--name", "a/b", "file.yml"], "Nothing written, as the rule would be wrong:\n"),
        (["--name", "n" * 200, "file.yml"], "Nothing written, as the rule would be wrong:\n"),
        (["--topic", "a *"], "Nothing written, as the rule would be wrong:\n"),
        (["file.txt"], "file.txt: a rule's file ends with .yml or .yaml"),
        (["missing/file.yml"], "missing/file.yml cannot be written: No such file or directory"),
    ],
)
def test_what_makes_no_rule_is_said_and_nothing_is_written(
    directory: Path, arguments: list[str], said: str
) -> None:
    done = fedbadges("new", "--name", "Scribe", *BASE, *arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert list(directory.iterdir()) == []


def deployment_with(database: Databases, directory: Path, msg: Any, *users: str) -> list[Any]:
    """Store a message, and return the options to propose from it."""
    deployment = CommandDeployment(database, directory)
    deployment.store("git.receive", users, msg, msg_id="2024-1")
    return ["--config", directory / "config.py", "--from-message", "2024-1"]


def test_a_stored_message_proposes_topic_recipient_and_fields(
    database: Databases, tmp_path: Path, directory: Path
) -> None:
    msg = {"commit": {"author": "Alice", "branch": "main", "lines": 7}, "repo": "a\nb"}
    options = deployment_with(database, tmp_path, msg, "alice")

    done = fedbadges("new", "--name", "Pusher", "--field", "msg.commit.branch=main", *options)

    rule = written(done, Path("pusher.yml"))
    assert rule["trigger"] == {"topic": "git.receive", "fields": {"msg.commit.branch": "main"}}
    assert rule["recipient"] == "%(msg.commit.author)s"
    assert "#   msg.commit.lines: 7\n" in Path("pusher.yml").read_text()
    assert "repo" not in Path("pusher.yml").read_text()
    test = yaml.safe_load(Path("pusher.yml.test").read_text())
    assert test["messages"]["message"] == {
        "topic": "org.fedoraproject.dev.git.receive",
        "msg": {"commit": {"branch": "main", "author": "%(from)s"}},
    }
    assert passes(Path("pusher.yml"))


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("msg", "users", "recipient", "named"),
    [
        ({"people": [{"name": "alice"}, {"name": "bob"}], "by": "alice"}, ["alice", "bob"],
         "msg.people", {"people": [{"name": "%(from)s"}]}),
        ({"people": ["alice", "bob"]}, ["alice", "bob"], "msg.people", {"people": ["%(from)s"]}),
        ({"author": {"name": "Alice", "id": 3}}, ["alice"], "msg.author.name",
         {"author": {"name": "%(from)s"}}),
        ({"commits": [{"by": "alice"}]}, ["alice"], "msg.commits.0.by",
         {"commits": [{"by": "%(from)s"}]}),
        ({"alice": 3, "by": "alice"}, ["alice"], "msg.by", {"by": "%(from)s"}),
    ],
)  # fmt: skip
def test_the_recipient_names_most_users_of_the_message(
    database: Databases,
    tmp_path: Path,
    msg: Any,
    users: list[str],
    recipient: str,
    named: Any,
) -> None:
    options = deployment_with(database, tmp_path, msg, *users)

    done = fedbadges("new", "--name", "Pusher", *options)

    assert written(done, Path("pusher.yml"))["recipient"] == f"%({recipient})s"
    test = yaml.safe_load(Path("pusher.yml.test").read_text())
    assert test["messages"]["message"]["msg"] == named
    assert passes(Path("pusher.yml"))


@pytest.mark.sqlite
def test_an_unknown_message_writes_nothing(
    database: Databases, tmp_path: Path, directory: Path
) -> None:
    options = deployment_with(database, tmp_path, {})[:2]

    done = fedbadges("new", "--name", "Pusher", *options, "--from-message", "2024-2")

    assert (done.exit_code, done.stderr) == (2, "datanommer has no message '2024-2'\n")
    assert list(directory.iterdir()) == []


def test_a_stored_message_needs_a_history() -> None:
    done = fedbadges("new", "--name", "Pusher", "--from-message", "2024-2")

    assert done.exit_code == 2


VALUES = st.one_of(
    st.integers(), st.booleans(), st.floats(), st.text(), st.sampled_from(["%", "%(x)s", "on", "~"])
)


@pytest.mark.thorough
@given(
    name=st.text(min_size=1),
    value=VALUES,
    count=st.integers(1, 9),
    path=st.sampled_from(["msg.a", "msg.a.b", "msg.list.1", "msg.list.0.c"]) | st.text(),
)
@example(name="Fun: 100%", value="50% off: [x", count=2, path="msg.a")
@example(name="yes", value="null", count=1, path="msg.on")
def test_whatever_is_given_is_refused_or_passes(
    name: str, value: Any, count: int, path: str
) -> None:
    # The command itself checks and tests what it is about to write.
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "rule.yml"
        arguments = ["--name", name, *BASE, "--count", str(count), "--field", f"{path}={value}"]
        done = fedbadges("new", *arguments, file)

        assert done.exit_code in (0, 2)
        assert done.stderr
        assert file.exists() is (done.exit_code == 0)
        assert "Traceback" not in done.output
        if file.exists():
            (expected,) = yaml.safe_load(file.read_text())["trigger"]["fields"].values()
            assert str(expected).replace("%%", "%").lower() == str(value).strip().lower()
