"""JUnit's XML, which GitLab, Jenkins and others show as results of tests.

It is valid by the schema of Jenkins' xUnit plugin, which is stricter than what others accept:
no file and line of a test case, so that these stand in the text of a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fedbadges.cli.formats.report import Case, Report, Suite
from fedbadges.util.text import printable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def print_junit(report: Report) -> None:
    """Print a suite for each file, with its cases."""
    from xml.etree.ElementTree import Element, indent, tostring

    whole = Element("testsuites", name=f"fedbadges {report.command}")
    whole.extend(_suite(report.command, suite) for suite in report.suites)
    indent(whole)
    click.echo('<?xml version="1.0" encoding="UTF-8"?>')
    # As ASCII, in which any other character is a reference, whatever the encoding of the output.
    click.echo(tostring(whole, encoding="us-ascii").decode())


def _suite(command: str, suite: Suite) -> Element:
    from xml.etree.ElementTree import Element

    path = printable(suite.path)
    found = Element(
        "testsuite",
        name=path,
        file=path,
        tests=str(len(suite.cases)),
        failures=str(sum(bool(case.failures) for case in suite.cases)),
        errors="0",
    )
    found.extend(_case(f"fedbadges {command}", case) for case in suite.cases)
    return found


def _case(classname: str, case: Case) -> Element:
    """Return a case; its first failure has the text of all, since readers look at no other."""
    from xml.etree.ElementTree import Element, SubElement

    # XML has no control characters, not even escaped.
    found = Element("testcase", classname=classname, name=printable(case.name))
    if case.failures:
        first = case.failures[0]
        failure = SubElement(found, "failure", type=first.code, message=printable(first.text))
        failure.text = "\n".join(map(str, case.failures))
    return found
