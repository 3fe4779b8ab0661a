"""Badges as tahrir shows them, as tahrir_api itself sees them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.builders import make_config, statements
from support.databases import Databases
from support.tahrir import EDITOR, TAGGER, at_once, delete_badge
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Issuer

from fedbadges.config.settings import Settings, read_settings
from fedbadges.databases.connections import engine
from fedbadges.tahrir.badges import Unawardable
from fedbadges.tahrir.database import Tahrir


def test_publish_creates_a_badge_as_the_rule_describes_it(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    badge = api.get_badge("tagger")

    assert badge.name == "Tagger"
    assert badge.image == TAGGER.image_url
    assert badge.description == TAGGER.description
    assert badge.criteria == TAGGER.discussion
    assert sorted(tag.name for tag in badge.tags) == ["content", "tagging"]
    assert badge.issuer.name == "Example Badges"
    assert badge.issuer.origin == "https://badges.example.org"


def test_publish_changes_a_badge_whose_rule_changed(tahrir: Tahrir, api: TahrirDatabase) -> None:
    changed = replace(
        TAGGER,
        name="TAGGER",
        image_url="new.png",
        description="New",
        discussion="https://example.org/new",
        tags=("content", "new"),
    )

    tahrir.publish_badges([changed])

    badge = api.get_badge("tagger")
    assert (badge.name, badge.image, badge.description) == ("TAGGER", "new.png", "New")
    assert badge.criteria == "https://example.org/new"
    assert sorted(tag.name for tag in badge.tags) == ["content", "new"]


def test_publish_writes_nothing_where_no_rule_changed(
    tahrir: Tahrir, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with statements(settings.tahrir_url) as sent, caplog.at_level("INFO", "fedbadges"):
        tahrir.publish_badges([EDITOR, TAGGER])

    assert all(statement.startswith("SELECT") for statement in sent)
    assert caplog.messages == []


@pytest.mark.sqlite
def test_publish_logs_which_fields_changed(
    tahrir: Tahrir, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "fedbadges"):
        tahrir.publish_badges([replace(EDITOR, description="New", image_url="new.png")])

    assert caplog.messages == ["Changed badge badge=editor changed=description,image"]


@pytest.mark.sqlite
def test_publish_warns_of_a_badge_that_it_creates_again(
    tahrir: Tahrir, api: TahrirDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """Rules are reloaded at any time, and the badge may be published before it is awarded."""
    delete_badge(api, "editor")

    tahrir.publish_badges([EDITOR, TAGGER, replace(EDITOR, id="new", name="New")])

    assert caplog.messages == ["Created a badge again that was deleted from tahrir badge=editor"]


@pytest.mark.sqlite
def test_publish_keeps_tags_of_the_web_site_where_the_rule_has_none(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    api.update_badge("editor", tags=["by-hand"])

    tahrir.publish_badges([EDITOR])

    assert [tag.name for tag in api.get_badge("editor").tags] == ["by-hand"]


@pytest.mark.sqlite
def test_publish_removes_tags_where_the_rule_has_an_empty_list(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    tahrir.publish_badges([replace(TAGGER, tags=())])

    assert api.get_badge("tagger").tags == []


@pytest.mark.sqlite
def test_publish_keeps_an_issuer_whose_origin_changed(
    tahrir: Tahrir, api: TahrirDatabase, shared_database: Databases, tmp_path: Path
) -> None:
    config = make_config(shared_database, tmp_path, issuer_origin="https://new.example.org")
    moved, _ = read_settings(config)

    Tahrir(moved).publish_badges([EDITOR, replace(TAGGER, id="new", name="New")])

    assert api.session.scalar(sa.select(sa.func.count(Issuer.id))) == 1
    assert api.get_badge("new").issuer.name == "Example Badges"


def test_several_daemons_can_publish_the_same_badges_at_once(
    settings: Settings, api: TahrirDatabase
) -> None:
    assert at_once(lambda: Tahrir(settings).publish_badges([EDITOR, TAGGER])) == [Unawardable()] * 3

    assert sorted(badge.id for badge in api.get_all_badges()) == ["editor", "tagger"]


@pytest.mark.sqlite
def test_publish_returns_legacy_badges(tahrir: Tahrir, api: TahrirDatabase) -> None:
    api.update_badge("editor", legacy=True)

    assert tahrir.publish_badges([EDITOR, TAGGER]) == Unawardable(legacy=frozenset(["editor"]))


@pytest.mark.sqlite
def test_publish_refuses_only_the_badge_whose_name_is_taken(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    api.update_badge("tagger", name="Second")
    second, third = (replace(EDITOR, id=name.lower(), name=name) for name in ("Second", "Third"))

    published = tahrir.publish_badges([second, third])

    assert published.refused == {
        "second": "tahrir has a badge of this name under another id, 'tagger'"
    }
    assert sorted(badge.id for badge in api.get_all_badges()) == ["editor", "tagger", "third"]


@pytest.mark.sqlite
def test_publish_leaves_a_badge_whose_new_name_is_taken_unchanged(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    api.update_badge("tagger", name="EDITOR")

    published = tahrir.publish_badges([replace(EDITOR, name="EDITOR"), replace(TAGGER, name="X")])

    assert set(published.refused) == {"editor"}
    assert api.get_badge("editor").name == "Editor"


def test_publish_refuses_a_badge_whose_name_is_taken_meanwhile(
    tahrir: Tahrir, settings: Settings
) -> None:
    made = engine(settings.tahrir_url)
    asked: list[str] = []

    def take(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        if "badges.name IN" not in statement:
            return
        asked.append(statement)
        if len(asked) == 1:
            with sa.create_engine(made.url).begin() as other:
                other.execute(sa.text("UPDATE badges SET name = 'Second' WHERE id = 'tagger'"))

    sa.event.listen(made, "after_cursor_execute", take)
    try:
        published = tahrir.publish_badges([replace(EDITOR, id="second", name="Second")])
    finally:
        sa.event.remove(made, "after_cursor_execute", take)

    assert len(asked) == 2
    assert set(published.refused) == {"second"}


def test_unawardable_badges_are_found_without_writing(
    tahrir: Tahrir, settings: Settings, api: TahrirDatabase
) -> None:
    api.session.execute(sa.text("UPDATE badges SET legacy = true WHERE id = 'tagger'"))
    api.session.commit()
    other = replace(EDITOR, id="other")

    with statements(settings.tahrir_url) as sent:
        found = tahrir.unawardable([EDITOR, TAGGER, other, replace(EDITOR, id="new", name="New")])

    assert found.legacy == {"tagger"}
    assert list(found.refused) == ["other"]
    assert {statement.split()[0] for statement in sent} == {"SELECT"}


@pytest.mark.sqlite
def test_badges_are_listed_with_whether_they_can_be_awarded(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    api.get_badge("tagger").legacy = True
    api.session.commit()

    assert tahrir.badges() == {"editor": True, "tagger": False}


@pytest.mark.sqlite
def test_publish_sends_as_few_statements_for_many_badges_as_for_two(
    tahrir: Tahrir, settings: Settings
) -> None:
    """Rules are published each time that one of them changes."""
    many = [replace(TAGGER, id=f"tagger-{each}", name=f"Tagger {each}") for each in range(30)]
    tahrir.publish_badges(many)

    sent = []
    for wanted in ([EDITOR, TAGGER], many):
        with statements(settings.tahrir_url) as found:
            tahrir.publish_badges(wanted)
        sent.append(len(found))

    assert sent[1] == sent[0]
