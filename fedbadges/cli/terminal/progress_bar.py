"""Progress bars on standard error, for somebody who watches a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import RenderableType

T = TypeVar("T")


@contextmanager
def advancing(items: Sequence[T], what: str) -> Iterator[Iterable[T]]:
    """Yield the items, and show how many of them are left."""
    if not sys.stderr.isatty():
        yield items
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        yield progress.track(items, description=what)


@contextmanager
def following(what: str, reached: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """Show the progress of the block, of which ``reached`` returns what is done and the total.

    The total is 0 while it is unknown.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress

    class Following(Progress):
        def get_renderables(self) -> Iterable[RenderableType]:
            done, total = reached()
            for task in self.task_ids:
                self.update(task, completed=done, total=total or None)
            return super().get_renderables()

    with Following(console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield


@contextmanager
def waiting(what: str, shown: bool = True) -> Iterator[None]:
    """Show that the block waits for something, of which nobody knows how long it takes."""
    if not shown or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
