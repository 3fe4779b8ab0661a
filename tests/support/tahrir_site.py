"""Serve tahrir 2.1.0 over a database of fedbadges: a script for an environment with tahrir.

What is outside is left out: nobody can log in, and all have the same avatar. tahrir 2.1.0 was
written for tahrir-api 1.3, so two things that later releases changed are as they were.
"""

import sys

from tahrir_api import model
from tahrir_api.dbapi import TahrirDatabase
from werkzeug.serving import run_simple


class Tags(list):
    """The tags of a badge, of which pages ask what they ask of the text that these were."""

    def _text(self) -> str:
        return "".join(f"{tag.name}," for tag in self)

    def strip(self, characters: str) -> str:
        return self._text().strip(characters)

    def __getitem__(self, index):
        return self._text()[index] if isinstance(index, slice) else super().__getitem__(index)


def main(url: str, images: str, port: str) -> None:
    TahrirDatabase._make_leaderboard = TahrirDatabase.make_leaderboard
    model.Badge.tags.prop.collection_class = Tags
    # Importing it configures the mappers.
    from tahrir.app import create_app

    app = create_app(
        {
            "SECRET_KEY": "of the tests",
            "SQLALCHEMY_DATABASE_URI": url,
            "TAHRIR_EMAIL_DOMAIN": "example.org",
            "TAHRIR_TITLE": "Example Badges",
            "TAHRIR_PNGS_PATH": images,
            "TAHRIR_STLS_PATH": None,
            "TAHRIR_SOCIAL_TWITTER": False,
            "TAHRIR_OPENBADGES_MODAL": False,
            "OIDC_ENABLED": False,
            "SESSION_COOKIE_SECURE": False,
        }
    )
    app.jinja_env.filters["as_avatar"] = lambda email, size: "/pngs/avatar.svg"
    run_simple("127.0.0.1", int(port), app)


if __name__ == "__main__":
    main(*sys.argv[1:])
