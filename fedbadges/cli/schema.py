"""``fedbadges schema``: the rule language as a JSON Schema, for editors."""

import json

import click

_EPILOG = """\b
Examples:
  fedbadges schema > rule.schema.json
  fedbadges schema --tests > test.schema.json
\b
An editor that speaks YAML's language server then completes and checks a rule
whose first line is:
  # yaml-language-server: $schema=rule.schema.json
"""


@click.command(epilog=_EPILOG)
@click.option("--tests", is_flag=True, help="Describe the files that 'fedbadges test' takes.")
def schema(tests: bool) -> None:
    """Print a JSON Schema of rules, with the criteria of all backends that are installed."""
    # Not at the top: these take a while to import, and completion and --help want to be fast.
    from fedbadges.cli.configuration import placeholder_settings
    from fedbadges.criteria.backends import load_backends
    from fedbadges.rules.rule import rule_schema
    from fedbadges.ruletests.format import suite_schema

    described = suite_schema() if tests else rule_schema(load_backends(placeholder_settings({})))
    click.echo(json.dumps(described, indent=2))
