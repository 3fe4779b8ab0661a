"""A deployment to try the commands of docs/rule-authors.rst with."""

config = {
    "badges.yaml.directory": "rules",
    "badges_global": {
        "database_uri": "sqlite:///tahrir.db",
        "badge_issuer": {
            "issuer_origin": "https://badges.example.org",
            "issuer_name": "Example Badges",
            "issuer_org": "https://www.example.org",
            "issuer_contact": "badges@example.org",
        },
    },
    "datanommer.sqlalchemy.url": "sqlite:///datanommer.db",
    "endpoints": {},
}
