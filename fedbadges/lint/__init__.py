"""Findings: mistakes in rules, and what in them is probably not meant so.

``fedbadges check`` shows them. As a library::

    from fedbadges.lint.linter import Linter, list_files

    files, unreadable = list_files([Path("rules")])
    for finding in [*unreadable, *Linter(backends, settings).run(files)]:
        print(f"{finding.place}: {finding.severity}: {finding.text} [{finding.code}]")

Each kind of finding is found by the function that is named after its code.
"""
