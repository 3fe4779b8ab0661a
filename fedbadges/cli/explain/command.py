"""``fedbadges explain``: why a message does, or does not, earn somebody a badge."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, BinaryIO

import click

from fedbadges.cli.completion import complete_rule
from fedbadges.cli.deployment import Deployment, with_deployment
from fedbadges.cli.errors import FOUND, GOOD, CannotRun
from fedbadges.cli.terminal import format_option, print_json, print_lines
from fedbadges.util.json_text import parse_json

if TYPE_CHECKING:
    from fedbadges.config.settings import Settings
    from fedbadges.messages import Message

_EPILOG = """\b
Examples:
  fedbadges explain message.json
  fedbadges explain --badge gardener-i --user alice message.json
  fedbadges explain --badge rules/new.yml --id 2014-96f4b8a7-fc7f-4c0b-9e6c-0d1b7a0f3f52
  curl "$DATAGREPPER/id?id=…" | fedbadges explain --format json -

\b
The exit code is 0 if somebody gets a badge (with --user: that user does), 1 if
nobody does, and 2 if the result is incomplete.
"""


@click.command(epilog=_EPILOG)
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--id", "msg_id", metavar="MSG_ID", help="Read the message from datanommer.")
@click.option(
    "--badge",
    "badges",
    multiple=True,
    metavar="BADGE",
    shell_complete=complete_rule,
    help="Explain one rule only, in force or not: the id of its badge, or its file.",
)
@click.option("--user", metavar="NAME", help="Explain for one user only.")
@format_option()
@with_deployment()
def explain(
    deployment: Deployment,
    file: BinaryIO | None,
    msg_id: str | None,
    badges: tuple[str, ...],
    user: str | None,
    form: str,
) -> None:
    """Explain why a message does, or does not, give a badge to somebody.

    FILE has the message as it came over the bus, in JSON; - is standard input. Everything is
    decided as the daemon does, with the rules and databases of its configuration, as they are now.
    But nothing is awarded, published or written.
    """
    if (file is None) == (msg_id is None):
        raise click.UsageError("give one message: FILE or --id MSG_ID")
    from fedbadges.cli.explain.output import data_of_explanation, trees_of
    from fedbadges.criteria.backends import load_backends
    from fedbadges.engine.explanation import Explainer, without_count_cache

    # The errors of rules are in the explanation.
    logging.getLogger("fedbadges.engine.engine").setLevel(logging.ERROR)
    user = None if user is None else user.lower()
    settings = without_count_cache(deployment.settings)
    message = _from_file(file) if file is not None else _from_datanommer(msg_id, settings)
    backends = load_backends(settings)
    chosen = deployment.chosen(badges, backends) if badges else None
    explainer = Explainer(settings, deployment.rules(backends) if chosen is None else chosen)
    found = explainer.explain(message, user, full=chosen is not None)
    if form == "json":
        print_json(data_of_explanation(found, user))
    else:
        print_lines(*trees_of(found, user, settings.consume_delay))
    if found.interrupted:
        raise CannotRun(found.interrupted)
    raise SystemExit(GOOD if found.awards else FOUND)


def _from_file(file: BinaryIO) -> Message:
    from fedbadges.messages import parse_message

    try:
        body = parse_json(file.read())
    except ValueError as error:
        raise CannotRun(f"{file.name}: not JSON: {error}") from None
    message = parse_message(body)
    if message is None:
        raise CannotRun(f"{file.name}: not a message, which is an object with a 'topic'")
    return message


def _from_datanommer(msg_id: str | None, settings: Settings) -> Message:
    from fedbadges.errors import DamagedRow
    from fedbadges.history.message_reader import MessageReader
    from fedbadges.messages import fits_databases, parse_message

    found = None
    if msg_id and fits_databases(msg_id):
        try:
            found = MessageReader(settings).message(msg_id)
        except DamagedRow as error:
            raise CannotRun(f"datanommer's message {msg_id!r} cannot be read: {error}") from None
    message = None
    if found is not None:
        message = parse_message(found.body, found.users, number=found.number)
    if message is None:
        raise CannotRun(f"datanommer has no message {msg_id!r}")
    return message
