"""The formats for machines, by the values of ``--format``."""

from collections.abc import Callable, Mapping

from fedbadges.cli.formats.github import print_github
from fedbadges.cli.formats.junit import print_junit
from fedbadges.cli.formats.report import Report
from fedbadges.cli.formats.sarif import print_sarif

PRINTERS: Mapping[str, Callable[[Report], None]] = {
    "github": print_github,
    "junit": print_junit,
    "sarif": print_sarif,
}
