"""``fedmsg-badges --version``, which needs no configuration."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path


def test_version_is_shown_where_nothing_is_configured(tmp_path: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("fedmsg-badges"), "--version"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )

    version = importlib.metadata.version("fedbadges")
    assert (done.returncode, done.stdout) == (0, f"fedmsg-badges {version}\n")
