"""``fedbadges schema``: the rule language for editors."""

from __future__ import annotations

import json

import click

_EPILOG = """\b
Examples:
  fedbadges schema > rule.schema.json
\b
An editor that speaks YAML's language server then completes and checks a rule
whose first line is:
  # yaml-language-server: $schema=rule.schema.json
"""


@click.command(epilog=_EPILOG)
def schema() -> None:
    """Print a JSON Schema of rules, with the criteria of all backends that are installed."""
    # Not at the top: these take a while to import, and completion and --help want to be fast.
    from fedbadges.cli.configuration import no_settings
    from fedbadges.daemon import load_backends
    from fedbadges.rules.schema import rule_schema

    click.echo(json.dumps(rule_schema(load_backends(no_settings({}))), indent=2))
