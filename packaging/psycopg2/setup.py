"""A psycopg2 that contains nothing and requires psycopg2-binary.

psycopg2 has no wheel for Linux, so installing it takes a C compiler and libpq's headers.
psycopg2-binary has wheels and is the same module, but datanommer.models asks for the name
psycopg2, and the hub refuses to load a consumer while any name among its requirements is
missing. Installed before fedbadges, this satisfies both.

For development and the demo. In production, install the real psycopg2, which uses the
system's libpq.
"""

import sys

from setuptools import setup

BINARY = "2.9.13"
# On Python 3.10 datanommer.models asks for a version before 2.9, although it works with 2.9;
# psycopg2-binary has no wheel that old for that Python.
VERSION = BINARY if sys.version_info >= (3, 11) else "2.8.6"

setup(
    name="psycopg2",
    version=VERSION,
    description="Stands in for psycopg2 and requires psycopg2-binary",
    install_requires=[f"psycopg2-binary == {BINARY}"],
    python_requires=">=3.10",
    py_modules=[],
    packages=[],
)
