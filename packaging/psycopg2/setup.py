"""A psycopg2 that contains nothing and requires psycopg2-binary.

psycopg2 has no wheel for Linux, so installing it takes a C compiler and libpq's headers.
psycopg2-binary has wheels and is the same module, but datanommer.models asks for the name
psycopg2, and the hub refuses to load a consumer while any name among its requirements is
missing. Installed before fedbadges, this satisfies both.

For development and the demo. In production, install the real psycopg2, which uses the
system's libpq.
"""

from setuptools import setup

VERSION = "2.9.13"

setup(
    name="psycopg2",
    version=VERSION,
    description="Stands in for psycopg2 and requires psycopg2-binary",
    install_requires=[f"psycopg2-binary == {VERSION}"],
    python_requires=">=3.10",
    py_modules=[],
    packages=[],
)
