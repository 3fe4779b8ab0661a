"""Making the main loop of a daemon in another process hang, by SIGUSR1."""

from pathlib import Path

# Python runs it in the main thread, which is the reactor's; all others go on.
_HANG_ON_SIGUSR1 = """
import signal, sys, time

def hang(number, frame):
    sys.modules["fedbadges.service.liveness"]._LOOP_HANGS = 4.0
    time.sleep(3600)

signal.signal(signal.SIGUSR1, hang)
"""

#: What systemd is told of it then.
HANGING = "STATUS=hanging: the bus's main loop does not run"


def hanging_modules(directory: Path) -> Path:
    """Return a new directory for PYTHONPATH with which SIGUSR1 makes the main loop hang."""
    modules = directory / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(_HANG_ON_SIGUSR1)
    return modules
