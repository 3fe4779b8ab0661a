"""The rights that docs/tahrir.rst names suffice for a user who does not own tahrir's tables."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.builders import make_settings
from support.databases import Databases
from support.tahrir import DAY, EDITOR, TAGGER, award
from tahrir_api.model import CurrentValue as ValueRow
from tahrir_api.model import Milestone

from fedbadges.databases.connections import engine
from fedbadges.errors import DatabaseUnusable
from fedbadges.tahrir.current_values import CurrentValue, find_outdated, write_values
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.series import BadgeSeries

PAGE = Path(__file__).parents[2] / "docs/tahrir.rst"
BOTH = BadgeSeries("Both", "Editor to Tagger", ("editor", "tagger"))
READS = "GRANT SELECT ON badges, persons, assertions, fedbadges_revocations TO fedbadges"


@pytest.fixture
def limited(postgresql_database: Databases) -> Iterator[Databases]:
    """The databases, for a user with few rights."""
    owner = engine(postgresql_database.tahrir_url)
    with owner.begin() as connection:
        connection.execute(sa.text("CREATE ROLE fedbadges LOGIN PASSWORD 'never-to-be-logged'"))
        connection.execute(sa.text(READS))
    url = owner.url.set(username="fedbadges", password="never-to-be-logged")
    yield Databases(
        "postgresql",
        url.render_as_string(hide_password=False),
        postgresql_database.datanommer_url,
    )
    engine(url).dispose()
    with owner.begin() as connection:
        connection.execute(sa.text("DROP OWNED BY fedbadges"))
        connection.execute(sa.text("DROP ROLE fedbadges"))


def test_documented_rights_suffice(
    limited: Databases, postgresql_database: Databases, tmp_path: Path
) -> None:
    given = Tahrir(make_settings(postgresql_database, tmp_path))
    given.publish_badges([EDITOR, TAGGER])
    award(given, "tagger", "alice")
    settings = make_settings(limited, tmp_path, prepare_statements=False)
    tahrir = Tahrir(settings)
    value = CurrentValue("editor", 1, 3, DAY)
    with pytest.raises(DatabaseUnusable, match="permission denied"):
        write_values(settings, [value])
    with pytest.raises(DatabaseUnusable, match="permission denied"):
        tahrir.publish_series([BOTH])

    statements = re.findall(r"^ +(GRANT [^;]+);", PAGE.read_text(), re.M)
    with engine(postgresql_database.tahrir_url).begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))

    (number,) = find_outdated(settings, {("editor", "alice"): DAY}).values()
    assert write_values(settings, [CurrentValue("editor", number, 3, DAY)]) == 1
    tahrir.publish_series([BOTH])
    tahrir.publish_series([])
    tahrir.publish_series([BOTH])
    with engine(postgresql_database.tahrir_url).connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(ValueRow)) == 1
        assert connection.scalar(sa.select(sa.func.count()).select_from(Milestone)) == 2
