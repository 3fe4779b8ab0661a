"""What means the same as an expression of fedbadges 2.x in the other dialect."""

import ast
from collections.abc import Iterable, Iterator

from fedbadges.errors import Place
from fedbadges.rules.dialect2.syntax import MESSAGE, Syntax, parse_syntax, plain_path
from fedbadges.rules.expressions import RESULTS
from fedbadges.rules.parsing import Problems
from fedbadges.rules.templates import RECIPIENT, find_template
from fedbadges.rules.yaml_document import ScalarNode

#: What lambdas over ``msg`` have for what a message has; the others know no more.
_WITHOUT_NAMES = {"topic": "msg['topic']", "body": "msg['msg']", "id": "msg['msg_id']"}


class NotConvertible(Exception):
    """There is nothing that surely means the same; ``place`` is where, if not the whole."""

    def __init__(self, text: str, place: Place | None = None) -> None:
        super().__init__(text)
        self.place = place


def syntax_of(node: ScalarNode) -> Syntax:
    """Return the syntax of an expression that was read before."""
    syntax = parse_syntax(node, "an expression", Problems())
    if syntax is None:
        raise NotConvertible("it does not compile", node.place)
    return syntax


def template_of(part: ast.expr) -> str | None:
    """Return the template for a plain value of the message, or None."""
    dotted = plain_path(part)
    return None if dotted is None else f"%({dotted})s"


def people_of(node: ScalarNode) -> str:
    """Return the template that names the same people as a recipient; raise NotConvertible."""
    body = syntax_of(node).body
    match body:
        case ast.List(elts=[only]) | ast.Tuple(elts=[only]):
            body = only
        # Names of objects are found where the objects stand.
        case ast.ListComp(
            elt=ast.Subscript(value=ast.Name(id=item), slice=ast.Constant(value="name")),
            generators=[ast.comprehension(target=ast.Name(id=name), iter=people, ifs=[])],
        ) if item == name:
            body = people
        case ast.Call(func=ast.Name(id="list" | "set"), args=[people], keywords=[]):
            body = people
    match body:  # the keys of an object are names
        case ast.Call(func=ast.Attribute(value=people, attr="keys"), args=[], keywords=[]):
            body = people
    found = template_of(body)
    if found is None:
        raise NotConvertible("no template names these people", node.place)
    return found


def over_msg(node: ScalarNode) -> str:
    """Return an expression over ``message`` as one over ``msg``; raise NotConvertible."""
    syntax = syntax_of(node)
    start = find_template(node.text)
    if start is not None:
        what = "'%(' begins a template in the other dialect"
        raise NotConvertible(what, node.place_at(start))
    pieces = []
    for part in _uses(syntax.body, {MESSAGE, RECIPIENT}):
        match part:
            case ast.Attribute(attr=attribute) if attribute in _WITHOUT_NAMES:
                pieces.append((*syntax.span_of(part), _WITHOUT_NAMES[attribute]))
            case _:
                what = syntax.text_of(part)
                raise NotConvertible(f"a lambda over 'msg' has no '{what}'", syntax.place_of(part))
    return _on_one_line(_replaced(syntax, pieces), node)


def over_query(node: ScalarNode) -> str:
    """Return an operation over ``results`` as one over ``query``; raise NotConvertible."""
    syntax = syntax_of(node)
    pieces = []
    for part in _values(syntax.body):
        template = template_of(part)
        if template is None:
            what = syntax.text_of(part)
            raise NotConvertible(f"no template has '{what}'", syntax.place_of(part))
        pieces.append((*syntax.span_of(part), template))
    for part in _uses(syntax.body, {RESULTS}):
        pieces.append((*syntax.span_of(part), "query.all()"))
    return _on_one_line(_replaced(syntax, pieces, "%%"), node)


def _replaced(syntax: Syntax, pieces: Iterable[tuple[int, int, str]], percent: str = "%") -> str:
    """Return the text with pieces of it replaced; elsewhere ``percent`` stands for ``%``."""
    found, begin = "", 0
    for start, end, text in sorted(pieces):
        found += syntax.text[begin:start].replace("%", percent) + text
        begin = end
    return found + syntax.text[begin:].replace("%", percent)


def _on_one_line(text: str, node: ScalarNode) -> str:
    if "\n" in text.strip() and "#" in text:
        raise NotConvertible("it has several lines and a comment", node.place)
    return " ".join(line.strip() for line in text.strip().split("\n"))


def _uses(body: ast.AST, names: set[str]) -> Iterator[ast.expr]:
    """Yield the attributes of some names, and these names where they stand alone."""
    match body:
        case ast.Attribute(value=ast.Name(id=name)) if name in names and name != RESULTS:
            yield body
        case ast.Name(id=name) if name in names:
            yield body
        case ast.JoinedStr():  # Python does not know the places within
            if any(isinstance(each, ast.Name) and each.id in names for each in ast.walk(body)):
                yield body
        case _:
            for part in ast.iter_child_nodes(body):
                yield from _uses(part, names)


def _values(body: ast.AST) -> Iterator[ast.expr]:
    """Yield what an operation takes of the message: the longest plain values."""
    if isinstance(body, ast.expr) and plain_path(body) not in (None, "msg"):
        yield body
    elif isinstance(body, (ast.IfExp, ast.JoinedStr)):
        yield from _uses(body, {MESSAGE})
    elif isinstance(body, ast.Name) and body.id == MESSAGE:
        yield body
    else:
        for part in ast.iter_child_nodes(body):
            yield from _values(part)
