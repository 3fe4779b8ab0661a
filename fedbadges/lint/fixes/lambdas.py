"""Reading Python expressions of rules as predicates over the fields of a message."""

from __future__ import annotations

import ast
import itertools
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fedbadges.lint.fixes.patterns import literal_tests
from fedbadges.lint.fixes.predicates import Leaf, Predicate, several
from fedbadges.lint.fixes.syntax import (
    NotRewritable,
    asked_of_test,
    is_key,
    literal,
    literal_items,
    unrolled,
    without_if,
    without_keys,
)
from fedbadges.rules.templates import PATH

_COMPARISONS: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Eq: ("equal to", operator.eq),
    ast.Is: ("equal to", operator.eq),
    ast.NotEq: ("is not", operator.ne),
    ast.IsNot: ("is not", operator.ne),
    ast.Gt: ("greater than", operator.gt),
    ast.GtE: ("greater than or equal to", operator.ge),
    ast.Lt: ("less than", operator.lt),
    ast.LtE: ("less than or equal to", operator.le),
}
_SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Gt: ast.Lt,
    ast.Lt: ast.Gt,
    ast.GtE: ast.LtE,
    ast.LtE: ast.GtE,
}
_TEXTS = {"startswith": "starts with", "endswith": "ends with"}

_PATH = re.compile(PATH)
_PART = re.compile(r"[^().\s]+")


@dataclass(frozen=True)
class Access:
    """How an expression reads a field; it has the ``default`` if the message lacks it.

    If it ``raises``, there is no default.
    """

    parts: tuple[str, ...]
    raises: bool = True
    default: Any = None

    @property
    def path(self) -> str:
        """Return the path; raise NotRewritable if ``fields`` cannot name it."""
        dotted = ".".join(self.parts)
        if (
            not self.parts
            or not all(map(_PART.fullmatch, self.parts))
            or not _PATH.fullmatch(dotted)
        ):
            raise NotRewritable
        return dotted

    @property
    def template(self) -> str:
        """Return the template that has the value."""
        return f"%({self.path})s"

    def leaf(self, check: Any, test: Callable[[Any], Any]) -> Leaf:
        """Return a check of the field; ``test`` tells what the expression says of a default."""
        return Leaf(self.path, check, None if self.raises else _answer(test, self.default))


def _answer(test: Callable[..., Any], *values: Any) -> bool | None:
    try:
        return bool(test(*values))
    except Exception:  # whatever a comparison of two values raises
        return None


#: Returns the parts of the path that a name or an attribute of one stands for; None for any other.
Root = Callable[[ast.expr], tuple[str, ...] | None]


def message_root(node: ast.expr) -> tuple[str, ...] | None:
    """Return the path of ``msg`` in a trigger: the whole message."""
    return () if isinstance(node, ast.Name) and node.id == "msg" else None


def past_root(name: str) -> Root:
    """Return what reads the attributes of a past message, which the expression calls so."""

    def root(node: ast.expr) -> tuple[str, ...] | None:
        match node:
            case ast.Attribute(value=ast.Name(id=used), attr=("msg" | "topic") as attribute):
                return (attribute,) if used == name else None
        return None

    return root


@dataclass
class ExpressionReader:
    """Reads predicates; ``templates`` maps the names that stand for templates to their texts.

    ``compares_fields`` tells if a field may be compared with another one. ``flags`` collects the
    paths that are truth values by their defaults, ``compared`` those compared with others,
    ``constants`` what the others are compared with, and ``read_paths`` all of them. Those in
    ``numbers`` must be numbers.
    """

    root: Root
    templates: Callable[[str], str | None] = field(default=lambda name: None)
    compares_fields: bool = True
    flags: set[str] = field(default_factory=set)
    compared: set[str] = field(default_factory=set)
    constants: dict[str, list[Any]] = field(default_factory=dict)
    read_paths: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)

    def read(self, node: ast.expr) -> Predicate:
        """Return the predicate of an expression; raise NotRewritable."""
        match node:
            case ast.BoolOp(op=op, values=values):
                word = "all" if isinstance(op, ast.And) else "any"
                return several(word, [self.read(value) for value in values])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.read(operand).negated()
            case ast.Call(func=ast.Name(id=("any" | "all") as word), args=[items], keywords=[]):
                return several(word, [self.read(item) for item in unrolled(items)])
            case ast.Call(func=ast.Name(id="bool"), args=[value], keywords=[]):
                return self.read(value)
            case ast.IfExp():
                return self.read(without_if(node))
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Name(id="re"), attr=("match" | "search" | "fullmatch") as name
                ),
                args=[pattern, text],
                keywords=[],
            ):
                return self._literal_pattern(name, literal(pattern), self.access(text))
            case ast.Call(func=ast.Attribute(attr=name), args=[value], keywords=[]) if (
                name in _TEXTS
            ):
                return self._text_test(node.func, value)
            case ast.Compare(left=left, ops=ops, comparators=others):
                operands = itertools.pairwise([left, *others])
                compared = zip(ops, operands, strict=True)
                return several("all", [self._compare(one, op, two) for op, (one, two) in compared])
        return self._truth(self.access(node))

    def access(self, node: ast.expr) -> Access:
        """Return how an expression reads a field; raise NotRewritable if it is no such."""
        found = self._access(node)
        self.read_paths.add(found.path)
        return found

    def _access(self, node: ast.expr) -> Access:
        parts = self.root(node)
        if parts is not None:
            return Access(parts)
        match node:
            case ast.Subscript(value=inner, slice=ast.Constant(value=key)) if is_key(key):
                return Access((*self._access(inner).parts, str(key)))
            case ast.Call(
                func=ast.Attribute(value=inner, attr="get"), args=[ast.Constant(value=str(key))]
            ) if not node.keywords:
                return self._got(inner, key, None)
            case ast.Call(
                func=ast.Attribute(value=inner, attr="get"),
                args=[ast.Constant(value=str(key)), default],
                keywords=[],
            ):
                return self._got(inner, key, literal(default))
        raise NotRewritable

    def _got(self, inner: ast.expr, key: str, default: Any) -> Access:
        before = self._access(inner)
        if not before.raises and before.default not in ({}, None):
            raise NotRewritable
        return Access((*before.parts, key), raises=False, default=default)

    def _truth(self, access: Access) -> Predicate:
        """Return the predicate of a value that is taken for true or false."""
        if isinstance(access.default, bool) and not access.raises:
            self.flags.add(access.path)
            return access.leaf(True, bool)
        false = access.leaf({"any": [False, None, {"length": 0}]}, operator.not_)
        return false.negated()

    def _text_test(self, function: ast.expr, node: ast.expr) -> Predicate:
        assert isinstance(function, ast.Attribute)
        access, wanted = self.access(function.value), literal(node)
        texts = wanted if isinstance(wanted, tuple) else (wanted,)
        if not all(isinstance(text, str) for text in texts):
            raise NotRewritable
        name = _TEXTS[function.attr]
        checks = [{name: self._value(access, text)} for text in texts]
        test = operator.methodcaller(function.attr, wanted)
        return access.leaf(checks[0] if len(checks) == 1 else {"any": checks}, test)

    def _literal_pattern(self, function: str, pattern: Any, access: Access) -> Predicate:
        """Return the predicate of a regular expression that has no signs of one within."""
        tests = literal_tests(function, pattern) if isinstance(pattern, str) else ()
        if not tests:
            raise NotRewritable
        checks = [
            value if name == "equal to" else {name: value}
            for name, value in ((name, self._value(access, text)) for name, text in tests)
        ]
        test = getattr(re, function)
        check = checks[0] if len(checks) == 1 else {"any": checks}
        return access.leaf(check, lambda value: test(pattern, value))

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Predicate:
        if isinstance(op, (ast.In, ast.NotIn)):
            found = self._contained(left, right)
            return found if isinstance(op, ast.In) else found.negated()
        holds = asked_of_test(left, op, right)
        if holds is not None:
            return self.read(left) if holds else self.read(left).negated()
        if self._is_value(left):
            return self._compare(right, _SWAPPED.get(type(op), type(op))(), left)
        name, compare = _COMPARISONS[type(op)]
        match left:
            case ast.Call(func=ast.Name(id="len"), args=[measured], keywords=[]):
                access, length = self.access(without_keys(measured)), literal(right)
                if type(length) is not int:
                    raise NotRewritable
                check = length if name == "equal to" else {name: length}
                return access.leaf({"length": check}, lambda value: compare(len(value), length))
            case ast.Subscript(
                value=ast.Call(
                    func=ast.Attribute(value=split, attr="split"),
                    args=[ast.Constant(value=".")],
                    keywords=[],
                ),
                slice=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)),
            ):
                return self._last_part(self.access(split), name, self._constant(right))
        access = self.access(left)
        if not self._is_value(right):
            return self._compare_fields(access, name, self.access(right))
        wanted = self._constant(right)
        value = self._value(access, wanted)
        check = value if name == "equal to" else {name: value}
        if isinstance(wanted, bool) and name in ("equal to", "is not"):
            self.flags.add(access.path)
            check = wanted is (name == "equal to")
        return access.leaf(check, lambda found: compare(found, wanted))

    def _last_part(self, access: Access, name: str, wanted: Any) -> Predicate:
        """Return the predicate of a topic whose last part is compared."""
        if access.path != "topic" or not isinstance(wanted, str) or not _PART.fullmatch(wanted):
            raise NotRewritable
        found = Leaf("topic", {"ends with": self._value(access, f".{wanted}")}, None)
        if name not in ("equal to", "is not"):
            raise NotRewritable
        return found if name == "equal to" else found.negated()

    def _compare_fields(self, one: Access, name: str, other: Access) -> Predicate:
        """Return the predicate of two fields that are compared.

        Where either may be missing, there is a part for each way in which they may be equal, or
        differ.
        """
        if not self.compares_fields:
            raise NotRewritable
        defaults = [each.default for each in (one, other) if not each.raises]
        if any(each is not None for each in defaults):
            raise NotRewritable
        self.compared |= {one.path, other.path}
        if name not in ("equal to", "is not"):
            return Leaf(one.path, {name: other.template}, None)
        differ = name == "is not"
        check = {name: other.template} if differ else other.template
        found: list[Predicate] = [Leaf(one.path, check, None)]
        there, absent = {"exists": True}, {"exists": False}
        if differ:
            cases = [(one, other)] if not one.raises else []
            cases += [(other, one)] if not other.raises else []
            found += [
                several("all", [Leaf(a.path, absent, True), Leaf(b.path, there, False)])
                for a, b in cases
            ]
        elif not one.raises and not other.raises:
            both = [Leaf(each.path, absent, True) for each in (one, other)]
            found.append(several("all", both))
        return several("any", found)

    def _contained(self, left: ast.expr, right: ast.expr) -> Predicate:
        """Return the predicate of ``left in right``."""
        if not self._is_value(left):
            access = self.access(left)
            if not isinstance(right, (ast.List, ast.Tuple, ast.Set)):
                return self._holds_field(access, self.access(without_keys(right)))
            values = [self._constant(item) for item in literal_items(right)]
            checks = [self._value(access, value) for value in values]
            check = checks[0] if len(checks) == 1 else {"any": checks}
            return access.leaf(check, lambda value: value in values)
        wanted, access = self._constant(left), self.access(without_keys(right))
        if access.parts == ("msg",) and isinstance(wanted, str) and _PART.fullmatch(wanted):
            return Leaf(f"msg.{wanted}", {"exists": True}, False)
        return access.leaf({"contains": self._value(access, wanted)}, lambda value: wanted in value)

    def _holds_field(self, item: Access, access: Access) -> Predicate:
        """Return the predicate of a field that has the value of another one within."""
        if not self.compares_fields:
            raise NotRewritable
        self.compared |= {item.path}
        return access.leaf({"contains": item.template}, lambda value: object() in value)

    def _is_value(self, node: ast.expr) -> bool:
        try:
            self._constant(node)
        except NotRewritable:
            return False
        return True

    def _constant(self, node: ast.expr) -> Any:
        """Return a single value of JSON, or a Filled template."""
        match node:
            case ast.Name(id=name) if self.templates(name) is not None:
                return Filled(str(self.templates(name)))
            case ast.Constant(value=str(text)) if self.templates(text) is not None:
                return Filled(str(self.templates(text)))
        value = literal(node)
        if value is None or isinstance(value, (str, bool, int, float)):
            return value
        raise NotRewritable

    def _value(self, access: Access, value: Any) -> Any:
        """Return a value as a rule has it, and note that the field is compared with it."""
        if isinstance(value, Filled):
            return value.text
        self.constants.setdefault(access.path, []).append(value)
        if isinstance(value, str):
            return value.replace("%%", "%%%%").replace("%(", "%%(")
        return value


@dataclass(frozen=True)
class Filled:
    """A template in an expression; no default equals its value."""

    text: str

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = object.__hash__
