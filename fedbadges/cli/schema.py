"""``fedbadges schema``: the rule language as a JSON Schema, for editors."""

import click

from fedbadges.cli.deployment import placeholder_settings
from fedbadges.cli.terminal import print_json

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
    from fedbadges.criteria.backends import load_backends
    from fedbadges.rules.series import file_schema
    from fedbadges.ruletests.format import suite_schema

    if tests:
        print_json(suite_schema())
    else:
        print_json(file_schema(load_backends(placeholder_settings({}))))
