"""What to write instead of what YAML cannot read, or reads as something else."""

import re

import yaml

#: Signs and words of comparisons, and what a condition has for them.
SIGNS = {
    ">=": "greater than or equal to",
    "=>": "greater than or equal to",
    ">": "greater than",
    "<=": "less than or equal to",
    "=<": "less than or equal to",
    "<": "less than",
    "==": "equal to",
    "=": "equal to",
    "!=": "is not",
    "<>": "is not",
    "at least": "greater than or equal to",
    "more than": "greater than",
    "at most": "less than or equal to",
    "fewer than": "less than",
}

#: Nobody reads a longer line.
_MOST_CHARACTERS = 1000

_SIGN = r"['\"]?(?P<sign>>=|=>|<=|=<|==|!=|<>|[<>=])(?=\W)"
_SIGN_LINE = re.compile(rf"(?:^|.*\bcondition\s*:)[\s{{]*{_SIGN}")
_DOUBLE_LAMBDA = re.compile(r".*\blambda\s*:\s*lambda\b")
_LAMBDA = re.compile(r"\s*(-\s+)*lambda\s*:\s*[\[{]")
_LAMBDA_WITHIN = re.compile(r".*[{,]\s*lambda\s*:")
_QUOTE_BEFORE = re.compile(r".*['\"]\s*")


def comparison(text: str) -> str | None:
    """Return the words for a comparison that is written by a sign, as in ``>= 5``."""
    found = re.match(_SIGN, f"{text.strip()} ")
    return SIGNS[found["sign"]] if found else None


def yaml_hint(error: yaml.MarkedYAMLError, line: str, column: int) -> str:
    """Return what to write where YAML reports an error, with ``; `` in front; or nothing.

    ``line`` is the line of the error, which is in its column, from 0.
    """
    if len(line) > _MOST_CHARACTERS:
        return ""
    return _hint_of_rules(line) or _hint_of_yaml(error, line, column)


def _hint_of_rules(line: str) -> str:
    """Return what to write for a comparison by a sign, or for a lambda with 'lambda'."""
    found = _SIGN_LINE.match(line)
    if found:
        return f"; write '{SIGNS[found['sign']]}' for '{found['sign']}'"
    if _DOUBLE_LAMBDA.match(line):
        return "; write the expression alone, without 'lambda …:', and put it in quotes"
    return ""


def _hint_of_yaml(error: yaml.MarkedYAMLError, line: str, column: int) -> str:
    """Return what needs quotes."""
    problem, context = error.problem or "", error.context or ""
    if "flow" in context and _LAMBDA_WITHIN.match(line):
        return "; a lambda within braces needs quotes around it"
    if problem.startswith("mapping values"):
        return "; a text with ': ' in it needs quotes around it"
    if "cannot start any token" in problem:
        sign = line[column : column + 1]
        if sign == "\t":
            return "; indent by blanks, not by tabs"
        return f"; a text that begins with '{sign}' needs quotes around it"
    if context.endswith(("an alias", "an anchor", "a tag")):
        return "; a text that begins with '*', '&' or '!' needs quotes around it"
    if "block mapping" in context and _LAMBDA.match(line):
        return "; a lambda that begins with a bracket needs quotes around it"
    if "block mapping" in context and _QUOTE_BEFORE.fullmatch(line[:column]):
        return "; a text that begins with a quote needs quotes around the whole"
    return ""
