"""The daemon as a process of its own: ``fedmsg-hub`` or ``fedmsg-badges``."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from support.bus import Bus
from support.databases import PASSWORD, Databases
from support.forked import Forked, zygote
from support.sizes import ALONE
from support.waiting import TIMEOUT, eventually

SETTINGS_FILE = "badges.py"

ENDS_WITHIN = 10.0
"""Seconds that a daemon may take to stop, with the messages in flight."""

STOP_TIMEOUT = ENDS_WITHIN if ALONE else TIMEOUT
"""Seconds that a stop may take. Only what runs alone measures it."""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(asctime)s %(name)s: %(message)s"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "stream": "ext://sys.stderr",
        }
    },
    "root": {"level": "INFO", "handlers": ["stderr"]},
    "loggers": {"fedbadges": {"level": "DEBUG"}},
}


def default_settings(databases: Databases, bus: Bus, rules: Path) -> dict[str, object]:
    """Return the configuration of a small deployment that keeps its own history."""
    return {
        "environment": "dev",
        "endpoints": bus.endpoints,
        "zmq_enabled": True,
        "validate_signatures": False,
        "sign_messages": False,
        "logging": LOGGING,
        "fedmsg.consumers.badges.enabled": True,
        "badges.yaml.directory": str(rules),
        "badges_global": {
            "database_uri": databases.tahrir_url,
            "badge_issuer": {
                "issuer_origin": "https://badges.example.org",
                "issuer_name": "Example Badges",
                "issuer_org": "https://example.org",
                "issuer_contact": "badges@example.org",
            },
        },
        "datanommer.sqlalchemy.url": databases.datanommer_url,
        "fedbadges.datagrepper_url": "https://datagrepper.example.org",
        "badges.record_messages": True,
        "badges.rank_interval": 0.2,
    }


class Hub:
    """A daemon in a directory of its own, with the configuration that it reads there."""

    #: Whether it is forked, which saves the imports, rather than started as its users do.
    forks = False

    #: The failure point at which the next one dies, if any; it must be forked.
    point: str | None = None

    def __init__(self, directory: Path, settings: Mapping[str, object]) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | Forked | None = None
        #: Where it finds further modules.
        self.python_path: Path | None = None
        self.log_file = directory / "log"
        self.settings_file = directory / "fedmsg.d" / SETTINGS_FILE
        self.settings_file.parent.mkdir(parents=True)
        self.configure(settings)

    def configure(self, settings: Mapping[str, object]) -> None:
        """Write the configuration, a line for each key."""
        lines = [f"    {key!r}: {value!r},\n" for key, value in settings.items()]
        self.settings_file.write_text("config = {\n" + "".join(lines) + "}\n")

    def location_of(self, key: str) -> str:
        """Return ``file:line`` of a configuration key."""
        lines = self.settings_file.read_text().splitlines()
        number = next(n for n, line in enumerate(lines, 1) if line.startswith(f"    {key!r}:"))
        return f"{self.settings_file}:{number}"

    def start(self, command: str = "fedmsg-hub", *arguments: str) -> None:
        if self.forks:
            environment = self._environment()
            self._process = zygote(command).fork(
                arguments, self._directory, self.log_file, environment, self.point
            )
            return
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [Path(sys.executable).with_name(command), *arguments],
                cwd=self._directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command beside it to its end, and return its exit code and what it printed."""
        program, *arguments = command
        done = subprocess.run(
            [Path(sys.executable).with_name(program), *arguments],
            cwd=self._directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
            check=False,
        )
        return done.returncode, done.stdout.decode()

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def exit_code(self, within: float = TIMEOUT) -> int:
        """Wait until it has ended, at most so many seconds, and return its exit code."""
        assert self._process is not None
        return self._process.wait(within)

    def stop(self, number: signal.Signals = signal.SIGTERM, within: float = TIMEOUT) -> int:
        """Send it a signal, wait until it has ended, and return its exit code."""
        self.send_signal(number)
        return self.exit_code(within)

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Stop it at once, if it still runs."""
        if self._process is not None and self.running():
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Stop it at once, and whatever started it."""
        self.kill()

    def megabytes(self) -> float:
        """Return how much memory it has now."""
        return int(self._status("VmRSS").removesuffix(" kB")) / 1024

    def handles(self, number: signal.Signals) -> bool:
        """Return True if it has installed a handler for this signal."""
        return bool(int(self._status("SigCgt"), 16) >> (number - 1) & 1)

    def log(self) -> str:
        """Return all that it has printed and logged until now."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def lines_with(self, text: str) -> list[str]:
        """Return the lines, logged or printed, that contain a text."""
        return [line for line in self.log().splitlines() if text in line]

    def logged(self, level: str, *parts: str) -> list[str]:
        """Return the log lines of a level that contain all these parts."""
        lines = [line for line in self.log().splitlines() if line.startswith(level + " ")]
        return [line for line in lines if all(part in line for part in parts)]

    def wait_for_log(self, level: str, *parts: str) -> str:
        """Wait for a log line of a level that contains all these parts, and return it."""
        return eventually(
            lambda: self.logged(level, *parts), f"a line at {level} with {', '.join(parts)}"
        )[0]

    def check_log(self) -> None:
        """Raise AssertionError if something went wrong unseen, or a password was logged."""
        log = self.log()
        assert PASSWORD not in log
        assert "Traceback" not in log
        assert not self.logged("ERROR")
        assert not self.logged("CRITICAL")

    def _status(self, key: str) -> str:
        """Return what Linux says of the process."""
        assert self._process is not None
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(line for line in lines if line.startswith(f"{key}:")).partition(":")[2].strip()

    def _environment(self) -> dict[str, str]:
        # What the hub reads besides its own directory is kept from it.
        others = ("VIRTUAL_ENV", "PYTHONPATH", "FEDMSG_CONFIG")
        kept = {key: value for key, value in os.environ.items() if key not in others}
        path = {} if self.python_path is None else {"PYTHONPATH": str(self.python_path)}
        return kept | {"HOME": str(self._directory), "PYTHONUNBUFFERED": "1"} | path
