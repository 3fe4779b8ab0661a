"""From the bus to the database and back to the bus, through a real ``fedmsg-hub``."""

import re
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from support.databases import Databases, tahrir
from support.deployment import Deployment, run_deployment
from support.rules import counting_rule, rule
from support.tahrir import delete_badge
from support.waiting import eventually

RULES = {
    "first": counting_rule("First Step", "logger.first", 1),
    "fifty": counting_rule("Fifty Steps", "logger.fifty", 50),
    "last": counting_rule("Last Step", "logger.last", 1),
    "deleted": counting_rule("Deleted", "logger.deleted", 1),
    "editor": rule(
        "Editor",
        """
trigger:
  topic: wiki.edit
criteria:
  datanommer:
    filter:
      topics: ["%(topic)s"]
    operation: count
    condition:
      greater than or equal to: 1
recipient: "%(msg.user)s"
""",
        description="Edited a page",
        image_url="https://badges.example.org/pngs/editor.png",
    ),
    "collector": rule(
        "Collector",
        """
trigger:
  topic: fedbadges.badge.award
criteria:
  datanommer:
    filter:
      topics: ["%(topic)s"]
      contains: ['"username": "%(msg.user.username)s"']
    operation: count
    condition:
      greater than or equal to: 3
recipient: "%(msg.user.username)s"
""",
    ),
}


pytestmark = pytest.mark.parametrize(
    "shared_database",
    ["postgresql", pytest.param("sqlite", marks=pytest.mark.slow)],
    indirect=True,
    scope="module",
)


@pytest.fixture(scope="module")
def deployment(
    shared_database: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with run_deployment(tmp_path_factory.mktemp("hub"), shared_database, RULES) as running:
        # At once, before the daemon has published anything.
        running.publish("logger.first", username="zoe")
        yield running


def wait_until_handled(deployment: Deployment, username: str) -> None:
    """Wait until all that was published before this is done: messages are handled in order."""
    deployment.publish("logger.last", username=username)
    deployment.wait_for_badge(username, "last-step")


def test_first_award_after_the_start_is_announced_on_the_bus(deployment: Deployment) -> None:
    deployment.bus.wait_for_award("zoe", "first-step")

    announced = deployment.bus.heard("fedbadges.badge.award")
    assert announced[0]["msg"]["user"]["username"] == "zoe"


def test_assertion_links_to_the_message_that_earned_it(deployment: Deployment) -> None:
    message = deployment.publish("logger.first", username="ann")

    link = deployment.wait_for_badge("ann", "first-step")

    assert link == (
        f"https://datagrepper.example.org/id?id={message['msg_id']}&is_raw=true&size=extra-large"
    )


def test_new_person_has_an_address_at_the_default_domain(deployment: Deployment) -> None:
    deployment.publish("logger.first", username="bea")
    deployment.wait_for_badge("bea", "first-step")

    with tahrir(deployment.databases) as database:
        assert database.get_person(nickname="bea").email == "bea@fedoraproject.org"


def test_award_notice_names_badge_and_user(deployment: Deployment) -> None:
    deployment.publish("wiki.edit", {"user": "cleo"})

    award = deployment.bus.wait_for_award("cleo", "editor")

    with tahrir(deployment.databases) as database:
        person_id = database.get_person(nickname="cleo").id
    assert award["msg"] == {
        "badge": {
            "name": "Editor",
            "description": "Edited a page",
            "image_url": "https://badges.example.org/pngs/editor.png",
            "badge_id": "editor",
        },
        "user": {"username": "cleo", "badges_user_id": person_id},
    }


def test_announced_award_is_in_the_database(deployment: Deployment) -> None:
    deployment.publish("logger.first", username="dora")

    deployment.bus.wait_for_award("dora", "first-step")

    assert "first-step" in deployment.badges("dora")


def test_new_rank_is_announced_on_the_bus(deployment: Deployment) -> None:
    deployment.publish("logger.first", username="eve")

    advance = eventually(
        lambda: deployment.bus.heard(
            "fedbadges.person.rank.advance", lambda msg: msg["person"]["nickname"] == "eve"
        ),
        "eve's rank on the bus",
    )[0]

    assert set(advance["msg"]) == {"person", "old_rank"}
    assert advance["msg"]["person"]["email"] == "eve@fedoraproject.org"
    assert advance["msg"]["person"]["rank"] >= 1


def test_badge_for_fifty_messages_is_awarded_at_the_fiftieth(
    deployment: Deployment,
) -> None:
    for _ in range(49):
        deployment.publish("logger.fifty", username="fay")
    wait_until_handled(deployment, "fay")
    assert "fifty-steps" not in deployment.badges("fay")

    fiftieth = deployment.publish("logger.fifty", username="fay")

    assert fiftieth["msg_id"] in deployment.wait_for_badge("fay", "fifty-steps")


def test_messages_of_other_people_do_not_count(deployment: Deployment) -> None:
    for _ in range(49):
        deployment.publish("logger.fifty", username="gus")
    deployment.publish("logger.fifty", username="hal")
    wait_until_handled(deployment, "gus")

    assert "fifty-steps" not in deployment.badges("gus")
    assert "fifty-steps" not in deployment.badges("hal")


def test_badge_is_awarded_and_announced_only_once(deployment: Deployment) -> None:
    first = deployment.publish("logger.first", username="ida")
    deployment.wait_for_badge("ida", "first-step")

    deployment.publish("logger.first", username="ida")
    wait_until_handled(deployment, "ida")
    deployment.bus.wait_for_award("ida", "last-step")

    assert first["msg_id"] in deployment.badges("ida")["first-step"]
    announced = [award["msg"]["badge"]["badge_id"] for award in deployment.bus.awards("ida")]
    assert announced == ["first-step", "last-step"]


def test_person_who_opted_out_gets_no_badge(deployment: Deployment) -> None:
    with tahrir(deployment.databases) as database:
        database.add_person("jan@fedoraproject.org", nickname="jan")
        database.get_person(nickname="jan").opt_out = True
        database.session.commit()

    deployment.publish("logger.first", username="jan")
    wait_until_handled(deployment, "kim")
    deployment.bus.wait_for_award("kim", "last-step")

    assert deployment.badges("jan") == {}
    assert deployment.bus.awards("jan") == []


@pytest.mark.parametrize("username", ["koji", "192.0.2.7", "2001:db8::7"])
def test_banned_usernames_and_addresses_do_not_become_persons(
    deployment: Deployment, username: str
) -> None:
    deployment.publish("logger.first", username=username)
    wait_until_handled(deployment, f"after-{username.replace(':', '.')}-x")

    with tahrir(deployment.databases) as database:
        assert database.get_person(nickname=username) is None


def test_trigger_matches_only_whole_parts_of_a_topic(deployment: Deployment) -> None:
    deployment.publish("infrawiki.edit", {"user": "lea"})
    deployment.publish("wiki.edit", {"user": "mia"})

    deployment.wait_for_badge("mia", "editor")

    assert deployment.badges("lea") == {}


def test_award_notices_trigger_rules(deployment: Deployment) -> None:
    collect_three(deployment, "nia")

    link = deployment.wait_for_badge("nia", "collector")

    assert any(award["msg_id"] in link for award in deployment.bus.awards("nia"))


def test_rule_for_three_awards_does_not_award_for_two(deployment: Deployment) -> None:
    deployment.publish("logger.first", username="ole")
    deployment.publish("logger.last", username="ole")
    # Awards are announced in order: when hers are handled, so are his.
    collect_three(deployment, "pia")
    deployment.wait_for_badge("pia", "collector")

    assert set(deployment.badges("ole")) == {"first-step", "last-step"}


def collect_three(deployment: Deployment, username: str) -> None:
    deployment.publish("logger.first", username=username)
    deployment.publish("logger.last", username=username)
    deployment.publish("wiki.edit", {"user": username})


def test_each_award_is_logged_with_its_latency(deployment: Deployment) -> None:
    message = deployment.publish("logger.first", username="quinn")

    line = deployment.hub.wait_for_log("INFO", "quinn", "first-step", message["msg_id"])

    assert re.search(r" ms_since_sent=\d+ ms_since_received=\d+$", line)


def test_database_urls_without_a_driver_work(deployment: Deployment) -> None:
    urls = (deployment.databases.tahrir_url, deployment.databases.datanommer_url)
    assert {sa.make_url(url).drivername for url in urls} == {deployment.databases.kind}

    deployment.publish("logger.first", username="ria")

    deployment.wait_for_badge("ria", "first-step")


def test_badge_that_was_deleted_from_tahrir_is_created_again(deployment: Deployment) -> None:
    deployment.publish("logger.deleted", username="sam")
    deployment.wait_for_badge("sam", "deleted")
    with tahrir(deployment.databases) as database:
        delete_badge(database, "deleted")

    for name in ("tom", "una", "vic"):
        deployment.publish("logger.deleted", username=name)

    for name in ("tom", "una", "vic"):
        deployment.wait_for_badge(name, "deleted")
        deployment.bus.wait_for_award(name, "deleted")
    assert len(deployment.hub.logged("WARNING", "Created a badge again")) == 1
