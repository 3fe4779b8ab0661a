"""Lambdas: expressions that see their argument and a few modules, and disturb nobody."""

import builtins
import json
import warnings

import pytest
from support.rule_text import assert_mistakes, complete, load, message, mistakes

import fedbadges.rules.expressions
from fedbadges.errors import MissingValue
from fedbadges.rules.expressions import Expression

NASTY = [
    "\" or __import__('os').system('x') or \"",
    "' or __import__('os').system('x') or '",
    '"',
    "'",
    '"""',
    "'''",
    "\\",
    "\\n",
    "a\nb",
    "a\r\nb",
    "{query}",
    "{{",
    "}",
    "%",
    "%%",
    "%s",
    "%(topic)s",
    "%(msg.author)s",
    "_template_0_",
    "_template_values[0]",
    "\x00",
    "\ud800",
    "#",
    ")",
    "",
]


def operation(expression: str) -> Expression:
    """Returns the lambda of a rule's operation, written as a block, where nothing is escaped."""
    block = "\n".join("      " + line for line in expression.split("\n"))
    return load(
        "criteria:\n"
        "  filter: {topics: [a]}\n"
        f"  operation:\n    lambda: |-\n{block}\n"
        "  condition: {equal to: 1}\n"
    ).criteria.criterion.operation.expression


def compute(expression: str, query: object = None, **msg: object) -> object:
    found = operation(expression)
    return found(query, found.fill(message(msg=msg).body))


def trigger(expression: str) -> object:
    """Returns what a trigger's lambda gives for an empty message."""
    text = json.dumps(expression)
    return load(f"trigger:\n  lambda: {text}\n").trigger.expression({})


# What they see


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("json.dumps([1])", "[1]"),
        ("re.match('a+', 'aab').group()", "aa"),
        ("datetime.datetime(2020, 1, 2).day", 2),
        ("math.floor(1.5)", 1),
        ("fedmsg.meta.__name__", "fedmsg.meta"),
        ("sorted(set(map(str, range(2))))", ["0", "1"]),
        ("__import__('string').digits", "0123456789"),
    ],
)
def test_an_expression_sees_some_modules_and_the_builtins(expression, value):
    assert trigger(expression) == value


def test_an_expression_sees_nothing_of_the_program():
    for name in ("ast", "Expression", "parse_expression", "warnings", "Problems", "_function"):
        assert hasattr(fedbadges.rules.expressions, name)
        with pytest.raises(NameError):
            trigger(name)


def test_an_expression_cannot_change_the_globals_of_the_program():
    trigger("globals().update(json=None, parse_expression=None, extra=1)")
    assert fedbadges.rules.expressions.json is json
    assert fedbadges.rules.expressions.parse_expression is not None
    assert not hasattr(fedbadges.rules.expressions, "extra")


def test_an_expression_cannot_change_the_globals_of_another():
    trigger("globals().update(json=None, extra=1)")
    assert trigger("json.dumps(1)") == "1"
    with pytest.raises(NameError):
        trigger("extra")


def test_an_expression_cannot_change_the_builtins():
    trigger("globals()['__builtins__'].update(len=None)")
    assert builtins.len is len
    assert trigger("len('ab')") == 2


def test_nested_scopes_of_an_expression_see_the_argument():
    assert compute("[q for q in query if (lambda m: m in query)(q)]", query=[1, 2]) == [1, 2]


def test_an_expression_is_compiled_when_the_rule_is_loaded(monkeypatch):
    found = operation("len(query)")
    monkeypatch.setattr(builtins, "compile", None)
    assert found([1, 2]) == 2


# Templates in an operation


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("quote", ["'", '"', "'''", '"""'])
def test_a_template_in_quotes_is_replaced_by_any_text(name, quote):
    expression = f"[m for m in query if m == {quote}%(msg.author)s{quote}]"
    assert compute(expression, query=[name, "other"], author=name) == [name]


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("prefix", ["", "r", "f", "u", "rf"])
def test_a_template_in_part_of_a_quoted_text_is_replaced_by_its_text(name, prefix):
    assert compute(prefix + '"<%(msg.author)s|%(msg.author)s>"', author=name) == f"<{name}|{name}>"


@pytest.mark.parametrize(
    "value", [*NASTY, 7, 1.5, True, None, ["a", 1], {"a": [1]}], ids=lambda value: repr(value)[:20]
)
def test_a_template_without_quotes_is_replaced_by_the_typed_value(value):
    assert compute("[%(msg.x)s]", x=value) == [value]


def test_a_template_in_quotes_turns_other_values_into_text():
    assert compute("'%(msg.x)s'", x=7) == "7"
    assert compute("'a' + '%(msg.x)s' 'b'", x=["c"]) == "a['c']b"


def test_braces_around_a_template_in_an_f_string_are_python():
    assert compute("f'{%(msg.x)s + 1:>4}|{{%(msg.x)s}}|{len(query)}'", query="ab", x=7) == (
        "   8|{7}|2"
    )
    assert compute("f'{1:%(msg.width)s}'", width=5) == "    1"
    assert compute("""f'{"%(msg.x)s"!r}'""", x="it's") == '"it\'s"'


def test_each_template_of_an_expression_has_its_own_value():
    numbers = list(range(12))
    templates = ", ".join(f"%(msg.n{number})s" for number in numbers)
    assert compute(f"[{templates}]", **{f"n{number}": number for number in numbers}) == numbers


def test_text_like_the_internal_name_of_a_template_is_left_alone():
    assert compute("['_template_0_', '_template_', '%(msg.x)s']", x=1) == [
        "_template_0_",
        "_template_",
        "1",
    ]


def test_two_percent_signs_in_an_expression_stand_for_one():
    assert compute("(7 %% 4, '%% %(msg.x)s', 7 % 4)", x=1) == (3, "% 1", 3)


def test_an_expression_with_a_template_that_the_message_lacks_is_missing():
    with pytest.raises(MissingValue):
        operation("len(query) + %(msg.lacking)s").fill(message().body)


def test_percent_signs_without_a_template_are_pythons_own_but_in_operations():
    assert trigger("'%s %%'") == "%s %%"
    assert trigger("'%(1)s %%'") == "%(1)s %%"


@pytest.mark.parametrize(
    "expression",
    [
        "→query.%(topic)s",
        "→x%(topic)s",
        "→b'%(topic)s'",
        "dict(→%(topic)s=1)",
        "(lambda →%(topic)s: 1)(2)",
        "[1 for →%(topic)s in query]",
    ],
)
def test_a_template_where_no_value_can_be_is_a_mistake(expression):
    assert_mistakes(
        "criteria:\n"
        "  filter: {topics: [a]}\n"
        f"  operation: {{lambda: {json.dumps(expression, ensure_ascii=False)}}}\n"
        "  condition: {equal to: 1}\n",
        "the lambda does not compile: a template stands where no value can",
    )


# Warnings and errors


@pytest.mark.parametrize(
    "expression", ["1 is 1", "msg is not 'a'", r"re.match('\d', '1')", "(1)(2)", "assert_ is 1"]
)
def test_real_rules_compile_without_python_warnings(expression):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load(f"trigger:\n  lambda: {json.dumps(expression)}\n")
        if expression == "1 is 1":
            assert loaded.trigger.holds(message())


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("lambda: msg +→* 1", "invalid syntax"),
        ("lambda:   msg +→* 1", "invalid syntax"),
        ("lambda: 'msg +→* 1'", "invalid syntax"),
        ('lambda: " msg +→* 1"', "invalid syntax"),
        ("lambda: 'äöü +→* 1'", "invalid syntax"),
        ("lambda: len→(msg", "'(' was never closed"),
        ("lambda: len(msg)→)", "unmatched ')'"),
        ("lambda: msg +→", "it ends too early"),
        ("lambda: '(→yield)'", "a lambda cannot yield or await"),
        ("lambda: '→lambda msg: True'", "write the expression alone, without 'lambda msg:'"),
        ("lambda: '(→lambda: True)'", "write the expression alone, without 'lambda msg:'"),
        ("lambda: →for x in msg", "invalid syntax"),
    ],
)
def test_a_lambda_that_does_not_compile_is_reported_with_its_column(line, what):
    assert_mistakes(f"trigger:\n  {line}\n", f"the lambda does not compile: {what}")


@pytest.mark.parametrize(
    "line",
    [
        'lambda: "a" in msg +→* 1',
        "lambda: 'a' in msg +→* 1",
        "lambda: 'a' == \"it's\" +→* 1",
        "lambda: 'one' == 'other''s' +→* 1",
    ],
)
def test_a_lambda_with_text_in_quotes_first_is_reported_with_its_column(line):
    assert_mistakes(f"trigger:\n  {line}\n", "the lambda does not compile: invalid syntax")


@pytest.mark.parametrize(
    "expression",
    [
        "'\"%(msg.a.long.path)s\" +→* 1'",
        "'%(a)s + %(msg.a.long.path)s +→* 1'",
        "'7 %% 4 +→* %(msg.x)s'",
        "'1 →%(msg.x)s'",
        "1 +→* 1 + %(msg.x)s",
    ],
)
def test_templates_do_not_shift_the_column_of_a_mistake(expression):
    assert_mistakes(
        "criteria:\n"
        "  filter: {topics: [a]}\n"
        f"  operation:\n    lambda: {expression}\n"
        "  condition: {equal to: 1}\n",
        "the lambda does not compile: invalid syntax",
    )


def test_a_mistake_in_a_lambda_of_several_lines_is_reported_at_its_beginning():
    assert_mistakes(
        "trigger:\n  lambda: →|\n    msg +\n    * 1\n",
        "the lambda does not compile: invalid syntax",
    )


@pytest.mark.parametrize(
    "expression",
    [
        "x = 1",
        "import os",
        "x) or (y",
        "await x",
        "[x async for x in msg]",
        "*msg",
        "lambda",
        "return 1",
        "x; y",
        "f'{'",
        "a\0b",
        "(" * 300,
        "-" * 40_000 + "1",
        "+".join("x" * 20_000),
        "x" + ".a" * 20_000,
    ],
    ids=lambda text: text[:12],
)
def test_a_lambda_that_is_no_expression_is_a_mistake(expression):
    (found,) = mistakes(complete(f"trigger:\n  lambda: {json.dumps(expression)}\n"))
    assert found.startswith("rule.yml:2:")
    assert "the lambda does not compile: " in found
