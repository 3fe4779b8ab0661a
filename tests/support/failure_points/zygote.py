"""A process that has imported what a hub needs, and forks hubs, which need not import it again.

Run as ``python -m support.failure_points.zygote``. For each line of JSON that it reads, with a
directory, a log file and the name of a failure point or null, it forks a hub, writes the hub's
process id, and writes its exit code when it has ended.
"""

import importlib
import json
import os
import sys
from collections.abc import Mapping

# With them come all others; the reactor's event loop is run by nobody but the hubs.
_NEEDED = ("fedmsg.commands.hub", "fedmsg.consumers", "pkg_resources", "fedbadges.consumers")


def main() -> None:
    """Fork hubs until nobody wants any more."""
    modules = {name: importlib.import_module(name) for name in _NEEDED}
    for line in sys.stdin:
        wanted = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _prepare(wanted)
            sys.exit(modules["fedmsg.commands.hub"].hub())
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _prepare(wanted: Mapping[str, str]) -> None:
    from support.failure_points.points import POINTS

    os.chdir(wanted["directory"])
    log = os.open(wanted["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    null = os.open(os.devnull, os.O_RDONLY)
    for new, old in ((null, 0), (log, 1), (log, 2)):
        os.dup2(new, old)
    sys.argv = ["fedmsg-hub"]
    point = wanted["point"]
    if point is not None:
        POINTS[point].arm()


if __name__ == "__main__":
    main()
