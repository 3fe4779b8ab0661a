"""Badges: what is awarded, by whom, and where that is kept.

With these values, `fedmsg-hub` started in a clone needs nothing else: it reads ./rules, keeps its
databases in ./var, and hears this machine alone.
"""

config = {
    # Whether a hub runs the consumer that awards badges. Default: False
    "fedmsg.consumers.badges.enabled": True,
    # The directory with the rules, *.yml and *.yaml, subdirectories included; a path that does not
    # begin with / is taken from where the daemon is started. No default.
    "badges.yaml.directory": "rules",
    "badges_global": {
        # Where badges, people and awards are kept: tahrir's database. No default.
        # In production: postgresql://USER:PASSWORD@HOST/tahrir
        "database_uri": "sqlite:///var/tahrir.db",
        # Who issues the badges, as shown with each. At most 128 characters each. No default.
        "badge_issuer": {
            "issuer_origin": "https://badges.example.org",
            "issuer_name": "Example Badges",
            "issuer_org": "https://www.example.org",
            "issuer_contact": "badges@example.org",
        },
    },
    # An award links to the message that it was given for: this, then /id?id=...
    # Default: https://apps.fedoraproject.org/datagrepper
    "fedbadges.datagrepper_url": "https://datagrepper.example.org",
    # What follows the @ in a person's e-mail address. Default: fedoraproject.org
    "badges.email_domain": "example.org",
    # The hosts and the realm whose names are believed, where a rule has recipient_openid2fas,
    # recipient_distgit2fas or recipient_krb2fas.
    # Defaults: id.fedoraproject.org, src.fedoraproject.org and FEDORAPROJECT.ORG
    "badges.id_provider_hostname": "id.example.org",
    "badges.distgit_hostname": "src.example.org",
    "badges.krb_realm": "EXAMPLE.ORG",
    # Names that are programs and get no badges.
    # Default: bodhi, oscar, apache, koji and taskotron
    "badges.banned_usernames": ["bodhi", "oscar", "apache", "koji", "taskotron"],
    # Where a rule has criteria: wait at most so many seconds for datanommer to have stored the
    # message, so that it counts too. Default: 3
    "badges.consume_delay": 3,
    # With more than so many messages waiting, do not wait for datanommer. Default: 100
    "badges.delay_limit": 100,
    # Where notices go on a broker that speaks STOMP. Default: /topic/{topic}
    "badges.stomp_destination": "/topic/{topic}",
    # After an award, people's ranks are worked out anew, but at most every so many seconds.
    # Default: 5
    "badges.rank_interval": 5,
    # Tell tahrir how far people are with badges that they do not hold yet. Default: False
    "badges.progress": False,
    # Tell tahrir which badges are a series. Default: False
    "badges.series": False,
    # Notice rule files that change while the daemon runs. Default: True
    "badges.reload": True,
    # Store each message in datanommer's database. Default: False
    # In production, where datanommer does that: False.
    "badges.record_messages": True,
    # Create the tables of both databases, and the directory of an SQLite file. Default: False
    # In production, where tahrir's and datanommer's own tools do that: False.
    "badges.create_tables": True,
    # Threads that handle messages. Default: 1
    "moksha.workers_per_consumer": 1,
    # Where the hub says what it does, for `fedbadges status`, and who may listen: a file's mode.
    # Not set here, because a fedmsg-relay that reads this file takes the socket away from the hub.
    # Default: none, and nothing is said.
    # In production: "ipc:///run/fedbadges/monitoring.sock", for which systemd's units make the
    # directory, and "0660", if the daemon's group may know.
    # "moksha.monitoring.socket": "ipc://var/monitoring.sock",
    # "moksha.monitoring.socket.mode": "0600",
    # Where the daemon serves metrics for Prometheus and health checks, to whoever can connect.
    # Default: none, and nothing is served.
    # In production: "127.0.0.1:9414"
    # "badges.metrics.address": "127.0.0.1:9414",
    # What goes to the log, in the form of Python's logging.config.dictConfig. fedmsg's default
    # does not show fedbadges.
    "logging": {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "bare": {
                "format": "[%(asctime)s][%(name)10s %(levelname)7s] %(message)s",
                "datefmt": "%Y-%m-%d %H:%M:%S",
            },
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "bare",
                "stream": "ext://sys.stdout",
            },
        },
        "loggers": {
            # Each award is a line at INFO.
            "fedbadges": {"level": "INFO"},
            "fedmsg": {"level": "INFO"},
            "moksha": {"level": "INFO"},
        },
        "root": {"level": "WARNING", "handlers": ["console"]},
    },
}
