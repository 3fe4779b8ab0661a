"""Names the users of the demo's messages; also an example of such a plugin, and of a schema."""

from setuptools import setup

# The words that fedmsg puts between a topic's prefix and its end, such as `git` in
# org.fedoraproject.prod.git.receive. fedmsg.meta finds a processor for each by this entry point.
KINDS = [
    "bodhi",
    "fas",
    "fedbadges",
    "fedocal",
    "git",
    "infragit",
    "meetbot",
    "pagure",
    "planet",
    "wiki",
]

setup(
    name="fedbadges-demo-usernames",
    version="1.0.0",
    description="Names the users of the messages that the fedbadges demo publishes",
    license="GPL-3.0-or-later",
    python_requires=">=3.10",
    py_modules=["fedbadges_demo_usernames", "fedbadges_demo_schema"],
    # fedora-messaging comes with fedbadges.
    install_requires=["fedmsg >= 1.1.7"],
    entry_points={
        "fedmsg.meta": [
            f"{kind} = fedbadges_demo_usernames:{kind.capitalize()}Processor" for kind in KINDS
        ],
        "fedora.messages": ["demo.log = fedbadges_demo_schema:LogV1"],
    },
)
