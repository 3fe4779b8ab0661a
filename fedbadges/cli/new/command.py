"""``fedbadges new``: a rule and its test."""

from __future__ import annotations

import getpass
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.deployment import (
    HISTORY,
    RULES,
    TAHRIR,
    Deployment,
    placeholder_settings,
    with_deployment,
)
from fedbadges.cli.errors import GOOD, CannotRun

if TYPE_CHECKING:
    from fedbadges.cli.new.draft import Draft
    from fedbadges.cli.new.proposal import Proposal

#: A test has at most 10,000 messages.
_MOST = 10_000

#: Names of files that are neither hidden nor hard to type.
_FILE = re.compile(r"\w[\w.+-]*")

_EPILOG = """\b
Examples:
  fedbadges new
  fedbadges new --name Scribe --topic wiki.article.edit --recipient msg.user --count 100
  fedbadges new --name Fixer --topic git.receive --recipient msg.agent --field msg.branch=main
  fedbadges new --from-message 2014-96f4b8a7-fc7f-4c0b-9e6c-0d1b7a0f3f52 rules/git

\b
The exit code is 0, or 2 if nothing was written.
"""


@click.command(epilog=_EPILOG)
@click.argument("path", type=click.Path(path_type=Path), metavar="[FILE]", required=False)
@click.option("--name", help="The badge's name.")
@click.option("--topic", help="The end of the topic of the messages that bring it.")
@click.option("--recipient", metavar="PATH", help="Where a message names who gets it.")
@click.option("--count", type=click.IntRange(1, _MOST), help="How many messages it takes.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="PATH=VALUE",
    help="What a message must have, as in msg.minor=0; may be given several times.",
)
@click.option("--description", help="What somebody did to get it.")
@click.option("--creator", help="Who made the badge; without it, you.")
@click.option("--discussion", metavar="URL", help="Where it was discussed.")
@click.option("--image-url", metavar="URL", help="Its picture.")
@click.option("--tag", "tags", multiple=True, help="May be given several times.")
@click.option("--from-message", metavar="MSG_ID", help="Propose what this stored message has.")
@click.option("--force", is_flag=True, help="Overwrite files.")
@with_deployment(RULES, TAHRIR, HISTORY)
def new(
    deployment: Deployment,
    path: Path | None,
    from_message: str | None,
    force: bool,
    **given: Any,
) -> None:
    """Write a rule and its test, which pass 'fedbadges check' and 'fedbadges test'.

    FILE is the rule's file, or a directory; without it, it is named for the badge. Its test is in a
    file of this name with .test behind it. Name, topic and recipient are asked for if they are not
    given. Paths are as in templates: msg.user.
    """
    from fedbadges.cli.new.proposal import propose
    from fedbadges.cli.new.writing import rule_text, test_text

    proposal: Proposal | None = None
    if from_message is not None:
        proposal = propose(*_message(from_message, deployment))
    draft = _draft(given, proposal)
    texts = rule_text(draft), test_text(draft)
    path = _path(path, draft)
    files = path, path.with_name(f"{path.name}.test")
    _verify(*texts)
    _write(dict(zip(files, texts, strict=True)), force)
    for file in files:
        click.echo(f"{file} written", err=True)
    raise SystemExit(GOOD)


def _message(msg_id: str, deployment: Deployment) -> tuple[dict[str, Any], frozenset[str]]:
    """Return a stored message and its users; raise CannotRun."""
    from fedbadges.errors import DamagedRow
    from fedbadges.history.message_reader import MessageReader
    from fedbadges.messages import fits_databases

    url = deployment.settings.history_url
    if not url.database and url.get_backend_name() == "sqlite":
        raise CannotRun("--from-message needs a datanommer: --history-url, or a configuration")
    try:
        found = (
            MessageReader(deployment.settings).message(msg_id) if fits_databases(msg_id) else None
        )
    except DamagedRow as error:
        raise CannotRun(f"datanommer's message {msg_id!r} cannot be read: {error}") from None
    if found is None:
        raise CannotRun(f"datanommer has no message {msg_id!r}")
    return found.body, found.users


def _draft(given: dict[str, Any], proposal: Proposal | None) -> Draft:
    """Return what the options say and, for what they lack, a message or answers.

    Raises CannotRun.
    """
    from fedbadges.cli.new.draft import Draft, parse_field, parse_path

    topic = given["topic"] or (proposal and proposal.topic)
    recipient = given["recipient"] or (proposal and proposal.recipient)
    asks = not (given["name"] and topic and recipient)
    name = given["name"] or _ask("name", "The badge's name")
    topic = topic or _ask("topic", "The topic of the messages, such as wiki.article.edit")
    if not recipient:
        recipient = _ask("recipient", "Where a message names who gets it, such as msg.user")
    recipient = parse_path(recipient)
    count, description = given["count"], given["description"]
    if asks and count is None:
        count = _ask("count", "How many messages it takes", 1, click.IntRange(1, _MOST))
    if asks and description is None:
        description = _ask("description", "What somebody did to get it", "To be described.")
    draft = Draft(
        name=name.strip(),
        topic=topic.strip(),
        recipient=recipient,
        description=description or "To be described.",
        creator=given["creator"] or getpass.getuser(),
        discussion=given["discussion"] or "https://badges.example.org/ideas",
        image_url=given["image_url"] or "https://badges.example.org/image.png",
        tags=given["tags"],
        count=count or 1,
        fields=dict(map(parse_field, given["fields"])),
    )
    return draft if proposal is None else _with_proposal(draft, proposal)


def _with_proposal(draft: Draft, proposal: Proposal) -> Draft:
    whole = proposal.whole_topic
    if not f".{whole}".endswith(f".{draft.topic}"):
        whole = ""
    more = {
        path: value
        for path, value in proposal.fields.items()
        if path not in draft.fields and path != draft.recipient
    }
    named = proposal.named(draft.recipient)
    if named is None:
        raise CannotRun(f"--recipient: the keys at {draft.recipient!r} cannot be names in a test")
    return replace(draft, proposed=more, whole_topic=whole, named=named)


def _ask(option: str, question: str, default: Any = None, kind: Any = None) -> Any:
    """Ask a question; raise CannotRun where nobody answers."""
    try:
        return click.prompt(question, default=default, type=kind, err=True)
    except click.Abort:
        click.echo(err=True)
        raise CannotRun(f"Nothing written: there is no --{option}") from None


def _path(path: Path | None, draft: Draft) -> Path:
    """Return the rule's file; raise CannotRun if that cannot be one."""
    if path is None or path.is_dir():
        if _FILE.fullmatch(draft.badge_id) is None:
            raise CannotRun(f"{draft.badge_id!r} is no name for a file: give FILE")
        path = (path or Path()) / f"{draft.badge_id}.yml"
    if path.suffix not in (".yml", ".yaml") or path.name.startswith("."):
        raise CannotRun(f"{path}: a rule's file ends with .yml or .yaml, and begins with no dot")
    return path


def _verify(rule: str, test: str) -> None:
    """Check and test what is to be written; raise CannotRun with what is wrong."""
    from fedbadges.criteria.backends import load_backends
    from fedbadges.errors import RuleError
    from fedbadges.lint.linter import Linter
    from fedbadges.ruletests.runner import HISTORY_URL, TAHRIR_URL, RuleTestRunner

    changes = {HISTORY: HISTORY_URL, TAHRIR: TAHRIR_URL, "badges.keep_counts": False}
    settings = placeholder_settings(changes)
    with tempfile.TemporaryDirectory(prefix="fedbadges-") as directory:
        path = Path(directory) / "rule.yml"
        path.write_text(rule, encoding="utf-8")
        tests = path.with_name("rule.yml.test")
        tests.write_text(test, encoding="utf-8")
        wrong = [each.text for each in Linter(load_backends(settings), settings).run([path])]
        if not wrong:
            runner = RuleTestRunner(settings)
            try:
                suite = runner.load(tests)
                for one in suite.tests:
                    wrong += [
                        f"{one.name}: expected: {each.expected}; got: {each.got}"
                        for each in runner.run(suite, one)
                    ]
            except RuleError as error:
                wrong = [problem.text for problem in error.problems]
    if wrong:
        raise CannotRun("Nothing written, as the rule would be wrong:", *wrong)


def _write(texts: dict[Path, str], force: bool) -> None:
    """Write files, none of which must exist unless with ``force``; raise CannotRun."""
    there = [str(file) for file in texts if file.exists() or file.is_symlink()]
    if there and not force:
        raise CannotRun(*(f"{file} exists; --force overwrites it" for file in there))
    for file, text in texts.items():
        try:
            with file.open("w" if force else "x", encoding="utf-8") as opened:
                opened.write(text)
        except OSError as error:
            raise CannotRun(f"{file} cannot be written: {error.strerror or error}") from None
