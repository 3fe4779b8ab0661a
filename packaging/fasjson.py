"""Install the extra ``fasjson`` beside this Python, where it can be: it needs a compiler.

Where it cannot, its tests are skipped, which pytest says.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import requires
from pathlib import Path


def missing() -> list[str]:
    """Return what GSSAPI would need and is not there."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    found = {
        f"the C compiler {compiler}": shutil.which(compiler),
        "the headers of Kerberos (krb5-config)": shutil.which("krb5-config"),
        "the headers of Python": Path(sysconfig.get_path("include"), "Python.h").exists(),
    }
    return [name for name, there in found.items() if not there]


def wanted() -> list[str]:
    """Return what the extra asks for, as the fedbadges says that is installed here.

    Looked for by its name, it could be another project's; from the clone, it would be built anew,
    and no longer by way of the source archive.
    """
    lines = requires("fedbadges") or []
    return [line.partition(";")[0] for line in lines if 'extra == "fasjson"' in line]


if missing():
    print(f"fasjson is not tested: it would need {' and '.join(missing())}")
    sys.exit()
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "-qq", *wanted()]))
