"""A process that has imported what a daemon needs, and forks daemons, which need not import it.

Run as ``python -m support.zygote PROGRAM``. For each line of JSON that it reads, with a directory,
a log file, an environment, the arguments of a command, and the name of a failure point or null, it
forks a daemon and writes ``+`` and its process id; when that has ended, the process id and its exit
code.
"""

import gc
import importlib
import json
import os
import signal
import sys
import threading
from typing import Any

# With them come all others; the reactor's event loop is run by nobody but the daemons.
_FEDMSG = ("fedmsg.commands.hub", "fedmsg.consumers", "pkg_resources", "fedbadges.consumers")

#: Of each program the modules that it needs, and which function of the first one it calls.
_PROGRAMS = {
    "fedmsg-hub": (_FEDMSG, "hub"),
    "fedmsg-badges": (("fedbadges.buses.fedmsg.command", *_FEDMSG), "run_command"),
    "fedora-messaging": (
        ("fedora_messaging.cli", "fedbadges.fedora_messaging", "tahrir_messages"),
        "cli",
    ),
}


def main(program: str) -> None:
    """Fork daemons until nobody wants any more."""
    names, function = _PROGRAMS[program]
    module, *_ = map(importlib.import_module, names)
    gc.freeze()
    # It ends when nobody writes to it any more.
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _prepare(json.loads(line))
            sys.exit(getattr(module, function)())
        _say(f"+{pid}")
        threading.Thread(target=_wait_for, args=(pid,), daemon=True).start()


def _wait_for(pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    _say(f"{pid} {os.waitstatus_to_exitcode(status)}")


def _say(text: str) -> None:
    # Not by print, whose lock another thread may have when this process forks.
    os.write(1, f"{text}\n".encode())


def _prepare(wanted: dict[str, Any]) -> None:
    """Make this process what a new one would be."""
    os.environ.clear()
    os.environ.update(wanted["environment"])
    for path in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        sys.path.append(path)
        if "pkg_resources" in sys.modules:
            sys.modules["pkg_resources"].working_set.add_entry(path)
    os.chdir(wanted["directory"])
    log = os.open(wanted["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    null = os.open(os.devnull, os.O_RDONLY)
    for new, old in ((null, 0), (log, 1), (log, 2)):
        os.dup2(new, old)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    sys.argv = wanted["command"]
    _renew_reactor()
    if wanted["point"] is not None:
        from support.failure_points.points import POINTS

        POINTS[wanted["point"]].arm()


def _renew_reactor() -> None:
    """Give Twisted's reactor what it must not share with that of another process."""
    # Not before a program has chosen one.
    from twisted.internet import reactor

    reactor.__init__()  # type: ignore[misc]


if __name__ == "__main__":
    main(sys.argv[1])
