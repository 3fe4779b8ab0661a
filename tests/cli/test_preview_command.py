"""``fedbadges preview`` as a command: its output, its formats and its exit codes."""

import datetime
import html
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.builders import make_config, make_settings, wipe
from support.bus import fedmsg_body
from support.command import fedbadges
from support.databases import Databases, awards, store_message, tahrir
from support.rule_text import complete
from support.tahrir import revoke_as_of
from support.terminal import on_terminal

from fedbadges.cli.preview import command
from fedbadges.criteria.backends import load_backends
from fedbadges.replay.selection import Selection, estimate
from fedbadges.rules.loader import load_directory
from fedbadges.tahrir.database import Tahrir

COMMAND = Path(sys.executable).with_name("fedbadges")
TOPIC = "org.example.prod.wiki.edit"
BEGIN = datetime.datetime(2014, 1, 1, tzinfo=datetime.timezone.utc)

EDITORS = {"alice": 7, "bob": 4, "carol": 3, "dave": 1}
"""How many edits each makes, one a day from the same day on."""

RULE = """\
name: Scribe
description: You edited three pages.
trigger: {topic: wiki.edit}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(recipient)s"]}
  operation: count
  condition: {greater than: 2}
recipient: "%(msg.user)s"
"""


@pytest.fixture
def wiki(shared_database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Databases:
    """A deployment in the directory where commands are called, with its rule and its history."""
    wipe(shared_database)
    for name, edits in EDITORS.items():
        store(shared_database, ((day, name) for day in range(edits)))
    (tmp_path / "rules").mkdir()
    config = make_config(shared_database, tmp_path / "rules") | {"endpoints": {}}
    (tmp_path / "fedmsg.d").mkdir()
    (tmp_path / "fedmsg.d/badges.py").write_text(f"config = {config!r}\n")
    monkeypatch.chdir(tmp_path)
    write(RULE)
    return shared_database


def store(database: Databases, edits: Iterable[tuple[int, str]], **msg: object) -> None:
    for day, name in edits:
        sent = (BEGIN + datetime.timedelta(days=day)).timestamp()
        body = fedmsg_body("", {"user": name, **msg})
        body |= {"topic": TOPIC, "timestamp": sent, "msg_id": f"2014-{name}-{day}"}
        store_message(database, body, [name])


def write(text: str) -> Path:
    path = Path("rules/scribe.yml")
    path.write_text(complete(text))
    return path


def write_series() -> None:
    lines = complete(SERIES).splitlines(keepends=True)
    Path("rules/scribe.yml").write_text("".join(x for x in lines if not x.startswith("name:")))


def found(*arguments: str) -> dict:
    done = fedbadges("preview", "--format", "json", *arguments, "scribe")
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.sqlite
def test_preview_as_text_shows_people_dates_and_counts(wiki: Databases) -> None:
    done = fedbadges("preview", "rules/scribe.yml")

    assert (done.exit_code, done.stderr) == (0, "")
    assert (
        done.stdout
        == """\
Scribe  rules/scribe.yml
You edited three pages.

Seen: 15, triggered: 15, with candidates: 10, already held: 5, criteria held: 3, awarded: 3.

3 people would have it; the first was alice on 2014-01-03, the last carol on 2014-01-03.

Who would have it, and since when
  2014-01-03 00:00  alice  org.example.prod.wiki.edit
  2014-01-03 00:00  bob    org.example.prod.wiki.edit
  2014-01-03 00:00  carol  org.example.prod.wiki.edit

Awards by day
  2014-01-03  3  ███████████████████████████████████████████████████  3 in total

How far people got
  1  1  ████████████████████████████████████████████████████████████████████████
  2  0
        threshold 3, reached by 3 of 4 ─────────────────────────────────────────
  3  1  ████████████████████████████████████████████████████████████████████████
  4  1  ████████████████████████████████████████████████████████████████████████
  5  0
  6  0
  7  1  ████████████████████████████████████████████████████████████████████████

With another threshold
  at least  awards
         1       4
         2       3
         3       3  ← the rule's own
         5       1
"""
    )


SERIES = """\
series: Scribe
badges:
- {name: Scribe I, threshold: 2}
- {name: Scribe II, threshold: 4}
- {name: Scribe III, threshold: 100}
description: You edited pages.
trigger: {topic: wiki.edit}
criteria: {filter: {topics: ["%(topic)s"], users: ["%(recipient)s"]}, operation: count}
recipient: "%(msg.user)s"
"""


@pytest.mark.sqlite
def test_preview_shows_a_series_as_one(wiki: Databases) -> None:
    write_series()

    done = fedbadges("preview", "--limit", "3", "rules/scribe.yml")

    assert (done.exit_code, done.stderr) == (0, "")
    assert (
        done.stdout
        == """\
Scribe  rules/scribe.yml
A series of 3 badges

Seen: 15, triggered: 15.

3 people would have 5 badges; the first was alice on 2014-01-02, the last bob on 2014-01-04.

The badges
  badge       at least  awards  first       last
  scribe-i           2       3  2014-01-02  2014-01-02
  scribe-ii          4       2  2014-01-04  2014-01-04
  scribe-iii       100       0

Who would have which, and since when
  2014-01-02 00:00  alice  scribe-i  org.example.prod.wiki.edit
  2014-01-02 00:00  bob    scribe-i  org.example.prod.wiki.edit
  2014-01-02 00:00  carol  scribe-i  org.example.prod.wiki.edit
  and 2 more

Awards by day
  2014-01-02  3  ███████████████████████████████████████████████████  3 in total
  2014-01-03  0                                                       3 in total
  2014-01-04  2  ██████████████████████████████████                   5 in total

How far people got
            1  1  ██████████████████████████████████████████████████████████████
                  scribe-i: threshold 2, reached by 3 of 4 ─────────────────────
            2  0
            3  1  ██████████████████████████████████████████████████████████████
                  scribe-ii: threshold 4, reached by 2 of 4 ────────────────────
            4  1  ██████████████████████████████████████████████████████████████
            5  0
            6  0
            7  1  ██████████████████████████████████████████████████████████████
      8 to 99  0
                  scribe-iii: threshold 100, reached by 0 of 4 ─────────────────
  100 or more  0

With another threshold
  at least  awards
         1       4
         2       3  ← scribe-i
         4       2  ← scribe-ii
         5       1
       100       0  ← scribe-iii
"""
    )


def test_preview_of_a_series_as_json_has_what_that_of_each_badge_has(wiki: Databases) -> None:
    write_series()
    done = fedbadges("preview", "--format", "json", "rules/scribe.yml")
    series = json.loads(done.stdout)

    assert (series["series"], series["read"], series["awards"]) == ("Scribe", 15, 5)
    assert [each["threshold"] for each in series["badges"]] == [2, 4, 100]
    assert series["counts"]["at_least"] == [2, 4, 100]
    for badge in series["badges"]:
        alone = json.loads(fedbadges("preview", "--format", "json", badge["badge"]).stdout)
        assert {key: alone[key] for key in badge if key != "threshold"} | {
            "threshold": badge["threshold"]
        } == badge
        assert series["counts"]["highest"] == alone["counts"]["highest"]


@pytest.mark.sqlite
def test_preview_of_a_series_without_a_count_has_no_chart(wiki: Databases) -> None:
    write_series()
    path = Path("rules/scribe.yml")
    text = path.read_text().replace("criteria: {", "criteria: {all: [{")
    path.write_text(text.replace("operation: count}", "operation: count}]}"))

    done = fedbadges("preview", "rules/scribe.yml")

    assert done.exit_code == 0
    assert "3 people would have 5 badges" in done.stdout
    assert "How far people got" not in done.stdout


def test_preview_as_json_has_everything(wiki: Databases) -> None:
    link = "https://datagrepper.example.org/id?id=2014-{}-2&is_raw=true&size=extra-large"

    assert found() == {
        "badge": "scribe",
        "name": "Scribe",
        "path": str(Path("rules/scribe.yml").absolute()),
        "messages": 15,
        "read": 15,
        "complete": True,
        "funnel": {
            "seen": 15,
            "triggered": 15,
            "candidates": 10,
            "held": 5,
            "criteria_held": 3,
            "awarded": 3,
            "stops": [],
        },
        "awards": 3,
        "earners": [
            {
                "username": name,
                "when": "2014-01-03T00:00:00Z",
                "topic": TOPIC,
                "msg_id": f"2014-{name}-2",
                "link": link.format(name),
            }
            for name in ("alice", "bob", "carol")
        ],
        "over_time": {
            "unit": "day",
            "periods": [{"period": "2014-01-03", "awards": 3, "total": 3}],
        },
        "counts": {
            "people": 4,
            "at_least": 3,
            "bins": [
                {"from": count, "below": count + 1, "people": people, "awarded": count >= 3}
                for count, people in enumerate((1, 0, 1, 1, 0, 0, 1), 1)
            ],
            "thresholds": [
                {"at_least": count, "awards": people, "own": count == 3}
                for count, people in ((1, 4), (2, 3), (3, 3), (5, 1))
            ],
            "highest": EDITORS,
        },
    }


@pytest.mark.sqlite
def test_preview_says_which_field_the_messages_lack(wiki: Databases) -> None:
    write(RULE.replace("msg.user", "msg.usr"))

    done = fedbadges("preview", "--html", "page.html", "scribe")

    assert done.exit_code == 0
    why = "15 messages triggered it; in all of them 'msg.usr' is missing; they have 'msg.user'."
    assert done.stdout.splitlines()[2:7] == [
        "",
        "Seen: 15, triggered: 15, with candidates: 0, already held: 0, criteria held: 0, "
        "awarded: 0.",
        why,
        "",
        "Nobody would have it.",
    ]
    assert html.escape(why, quote=False).replace("'", "&#39;") in Path("page.html").read_text()
    assert "Rule cannot work" not in done.stderr
    assert found()["funnel"]["stops"] == [
        {
            "step": "recipient",
            "part": "recipient",
            "reason": "'msg.usr' is missing",
            "count": 15,
            "total": 15,
            "missing": "msg.usr",
            "nearest": "msg.user",
        }
    ]


@pytest.mark.sqlite
def test_preview_says_which_field_of_the_filter_some_messages_lack(wiki: Databases) -> None:
    write(RULE.replace("users:", 'contains: ["%(msg.title)s"], users:'))
    store(wiki, ((day, "erin") for day in range(5)), title="Main")

    shown = fedbadges("preview", "scribe").stdout

    assert "\n18 messages had candidates; in 15 of them 'msg.title' is missing.\n" in shown


@pytest.mark.sqlite
def test_preview_escapes_the_nearest_field(wiki: Databases) -> None:
    write(RULE.replace("msg.user", "msg.username"))
    with_key = {"username\x1b<b>": 1}
    wipe(wiki)
    store(wiki, ((day, "erin") for day in range(5)), **with_key)

    shown = fedbadges("preview", "--html", "page.html", "scribe").stdout

    assert "they have 'msg.username\\x1b<b>'." in shown
    assert "msg.username\\x1b&lt;b&gt;" in Path("page.html").read_text()


@pytest.mark.sqlite
def test_preview_as_text_shows_at_most_limit_people(wiki: Databases) -> None:
    shown = fedbadges("preview", "--limit", "1", "scribe").stdout

    assert "  2014-01-03 00:00  alice  org.example.prod.wiki.edit\n  and 2 more\n" in shown
    assert "Who would" not in fedbadges("preview", "--limit", "0", "scribe").stdout


@pytest.mark.sqlite
def test_preview_awards_nothing(wiki: Databases) -> None:
    found()

    assert awards(wiki) == []


@pytest.mark.sqlite
def test_preview_leaves_out_who_opted_out(wiki: Databases) -> None:
    with tahrir(wiki) as database:
        database.add_person(nickname="bob", email="bob@example.org")
        database.get_person(nickname="bob").opt_out = True
        database.session.commit()

    whole = found()

    assert [each["username"] for each in whole["earners"]] == ["alice", "carol"]
    assert "bob" not in whole["counts"]["highest"]


@pytest.mark.sqlite
def test_preview_needs_no_tahrir_and_no_other_rules(wiki: Databases) -> None:
    Path("fedmsg.d/badges.py").write_text("config = {'endpoints': {}}\n")

    done = fedbadges("preview", "--history-url", wiki.datanommer_url, "rules/scribe.yml")

    assert (done.exit_code, done.stderr) == (0, "")
    assert "3 people would have it" in done.stdout


@pytest.mark.sqlite
def test_preview_of_criteria_without_a_count_shows_people_only(wiki: Databases) -> None:
    write(RULE.replace("{greater than: 2}", "{lambda: value > 2}"))

    assert found()["counts"] is None
    shown = fedbadges("preview", "scribe").stdout
    assert "alice" in shown
    assert "How far" not in shown


@pytest.mark.sqlite
def test_preview_of_less_than_has_no_threshold(wiki: Databases) -> None:
    write(RULE.replace("greater", "less"))

    counts = found()["counts"]
    assert (counts["at_least"], counts["thresholds"]) == (None, [])
    assert counts["highest"] == EDITORS
    shown = fedbadges("preview", "scribe").stdout
    assert "4 people would have it" in shown
    assert "reached by" not in shown


@pytest.mark.sqlite
def test_preview_of_a_rule_that_nobody_fulfils(wiki: Databases) -> None:
    write(RULE.replace("2}", "99}"))

    done = fedbadges("preview", "scribe")

    assert done.exit_code == 0
    assert "\nNobody would have it.\n" in done.stdout
    assert "threshold 100, reached by 0 of 4" in done.stdout


@pytest.mark.sqlite
def test_preview_of_a_rule_that_nothing_triggers(wiki: Databases) -> None:
    write(RULE.replace("wiki.edit", "wiki.never"))

    done = fedbadges("preview", "--html", "page.html", "scribe")

    assert done.exit_code == 0
    assert done.stdout.endswith("\nNobody would have it.\n")
    assert Path("page.html").exists()


@pytest.mark.sqlite
def test_preview_writes_a_page_and_prints_its_size(wiki: Databases) -> None:
    done = fedbadges("preview", "--html", "page.html", "scribe")

    assert done.exit_code == 0
    assert "3 people would have it" in done.stdout
    assert done.stderr == f"page.html: {math.ceil(Path('page.html').stat().st_size / 1000)} kB\n"
    text = Path("page.html").read_text()
    assert text.startswith("<!DOCTYPE html>\n")
    assert "id?id=2014-carol-2&amp;is_raw=true" in text
    assert "topics: [&#34;%(topic)s&#34;]" in text
    assert f"from {sum(EDITORS.values())} messages" in text


@pytest.mark.sqlite
def test_preview_escapes_control_characters_of_messages(wiki: Databases) -> None:
    write(RULE.replace('"%(msg.user)s"', '"%(msg.who)s"').replace("%(recipient)s", "%(msg.user)s"))
    store(wiki, [(8, "alice")], who="mallory\x1b[31m[red]\u202e")

    done = fedbadges("preview", "--html", "page.html", "scribe")

    assert done.exit_code == 0
    assert "\x1b" not in done.stdout + Path("page.html").read_text()


def interrupting(msg_id: str) -> str:
    """Return the rule, whose operation presses Ctrl-C when that message is judged."""
    press = "__import__('signal').raise_signal(2)"
    operation = f'{press} if "%(msg_id)s" == "{msg_id}" else query.count()'
    return RULE.replace("operation: count", f"operation:\n    lambda: {operation}")


@pytest.mark.sqlite
def test_preview_on_ctrl_c_shows_what_was_found_so_far(wiki: Databases) -> None:
    store(wiki, [(5, "dave")])
    write(interrupting("2014-dave-5"))

    done = fedbadges("preview", "--html", "page.html", "scribe")

    assert done.exit_code == 1
    assert "\n3 people would have it; the first was alice" in done.stdout
    assert re.search(r" Only \d+ of 16 messages were read\.\n", done.stdout)
    assert "were read" in Path("page.html").read_text()
    assert done.stderr.splitlines()[1:] == ["Stopped before the end of the history"]
    whole = json.loads(fedbadges("preview", "--format", "json", "scribe").stdout)
    assert (whole["complete"], whole["awards"], whole["messages"]) == (False, 3, 16)


@pytest.mark.sqlite
def test_preview_stopped_before_anything_was_found_exits_with_2(wiki: Databases) -> None:
    write(interrupting("2014-alice-0"))

    done = fedbadges("preview", "scribe")

    assert (done.exit_code, done.stderr) == (2, "Stopped before the end of the history\n")
    assert "\nNobody would have it. Only " in done.stdout


def test_preview_without_configuration_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    done = fedbadges("preview", "scribe")

    assert done.exit_code == 2
    assert "\nIt is read from /etc/fedmsg.d, ~/.fedmsg.d and ./fedmsg.d; " in done.stderr


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["scrobe"], "'scrobe' is neither a rule file nor the id of a badge with a rule\n"),
        (["rules/bad.yml"], "rules/bad.yml:1:1: the file is empty; a rule is a mapping\n"),
        (["--html", "no/page.html", "scribe"], "--html: there is no directory 'no'\n"),
        (["--html", "/dev/full", "scribe"], "--html: /dev/full cannot be written: No space "),
        (["--history-url", "sqlite:///no.db", "scribe"], "--history-url: there is no file 'no.db'"),
        (["--tahrir-url", "sqlite:///no.db", "scribe"], "--tahrir-url: there is no file 'no.db'"),
        (["--history-url", "nonsense", "scribe"], "--history-url: not a database URL\n"),
    ],
)
def test_preview_reports_an_error_in_one_line(
    wiki: Databases, arguments: list[str], expected: str
) -> None:
    if "bad" in arguments[0]:
        Path("rules/bad.yml").touch()

    done = fedbadges("preview", *arguments)

    assert done.exit_code == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert not Path("no.db").exists()


@pytest.mark.sqlite
def test_preview_on_a_terminal_has_colours_and_its_width(wiki: Databases) -> None:
    shown = on_terminal(COMMAND, "preview", "scribe")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)

    assert "Reading the history" in plain
    assert re.search(r"\x1b\[32[;0-9]*m█", shown)
    assert max(len(line) for line in plain.splitlines() if "█" in line) <= 60
    assert "With another threshold\r\n  at least  awards " in plain


@pytest.mark.sqlite
@pytest.mark.parametrize("form", ["text", "json"])
def test_preview_writes_the_page_if_its_text_is_not_read(wiki: Databases, form: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    command = [COMMAND, "preview", "--format", form, "--html", "page.html", "scribe"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)

    assert "3 people would have it" in Path("page.html").read_text()
    assert re.fullmatch(r"page\.html: \d+ kB\n", done.stderr)
    assert done.returncode == 1


@pytest.mark.sqlite
def test_preview_prints_its_text_if_the_page_cannot_be_written(wiki: Databases) -> None:
    done = fedbadges("preview", "--html", "/dev/full", "scribe")

    assert "\n3 people would have it" in done.stdout
    assert done.exit_code == 2


def test_preview_leaves_out_what_revocations_prevent(wiki: Databases, tmp_path: Path) -> None:
    """Alice edits for seven days, carol for three."""
    settings = make_settings(wiki, tmp_path / "rules")
    people = Tahrir(settings)
    rules = load_directory(settings.rules_directory, load_backends(settings)).rules
    people.publish_badges(rule.badge for rule in rules)
    lost = BEGIN.replace(tzinfo=None) + datetime.timedelta(days=3)
    revoke_as_of(people, "scribe", "alice", lost)
    revoke_as_of(people, "scribe", "carol", lost)

    preview = found()

    earned = {each["username"]: each["when"][:10] for each in preview["earners"]}
    assert earned == {"alice": "2014-01-05", "bob": "2014-01-03"}


READING = RULE.replace("count", '{lambda: "len(list(query))"}')


def test_without_the_chart_nobody_is_asked_about_who_has_the_badge(
    wiki: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_NOTABLE", 0.0001)
    write(READING)

    with_chart = fedbadges("preview", "--format", "json", "scribe")
    without = fedbadges("preview", "--format", "json", "--no-chart", "scribe")

    assert with_chart.exit_code == without.exit_code == 0
    # After the third of her seven and of his four edits.
    assert re.search(
        r"took 5 questions to datanommer and [0-9.]+ seconds more .*; --no-chart leaves it out",
        with_chart.stderr,
    )
    assert "questions" not in without.stderr
    found, other = json.loads(with_chart.stdout), json.loads(without.stdout)
    assert found["counts"]["highest"] == EDITORS
    assert other == {**found, "counts": None}


def test_the_chart_of_a_rule_that_counts_costs_nothing(
    wiki: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_NOTABLE", 0.0001)

    assert "questions" not in fedbadges("preview", "scribe").stderr


@pytest.mark.sqlite
def test_preview_since_a_time_counts_what_was_before(wiki: Databases) -> None:
    done = fedbadges("preview", "--since", "2014-01-05", "scribe")

    assert (done.exit_code, done.stderr) == (0, "")
    assert (
        """
Seen: 3, triggered: 3, with candidates: 1, already held: 2, criteria held: 1, awarded: 1.

1 person would have it: alice on 2014-01-05.
Only messages sent from 2014-01-05 on could earn a badge; older ones count as well.
"""
        in done.stdout
    )


@pytest.mark.sqlite
def test_preview_until_a_time_leaves_out_what_was_sent_then(wiki: Databases) -> None:
    assert found("--until", "2014-01-03")["earners"] == []
    known = found("--until", "2014-01-03T00:00:01")
    assert [each["username"] for each in known["earners"]] == ["alice", "bob", "carol"]
    assert known["selection"] == {
        "since": None,
        "until": "2014-01-03T00:00:01Z",
        "users": None,
        "sample": None,
        "estimate": None,
    }


@pytest.mark.sqlite
def test_preview_takes_ages(wiki: Databases) -> None:
    assert found("--since", "2 days ago")["awards"] == 0
    assert found("--until", "2 days ago")["awards"] == 3


@pytest.mark.sqlite
def test_preview_of_some_users_looks_at_nobody_else(wiki: Databases) -> None:
    known = found("--user", "Bob", "--user", "dave")

    assert [each["username"] for each in known["earners"]] == ["bob"]
    assert known["counts"]["highest"] == {"bob": 4, "dave": 1}
    done = fedbadges("preview", "--user", "Bob", "scribe")
    summary = "1 person would have it: bob on 2014-01-03."
    assert f"{summary}\nUsers looked at: bob.\n" in done.stdout


@pytest.mark.sqlite
def test_preview_of_a_sample_says_what_it_means_for_all(wiki: Databases, tmp_path: Path) -> None:
    sample = Selection(sample=0.5)
    names = [name for name in EDITORS if sample.has(name)]
    having = [name for name in names if EDITORS[name] > 2]
    likely, least, most = estimate(len(having), 0.5)
    assert 0 < len(names) < len(EDITORS)

    known = found("--sample", "50%")

    assert [each["username"] for each in known["earners"]] == having
    assert set(known["counts"]["highest"]) == set(names)
    assert known["selection"]["estimate"] == {"likely": likely, "least": least, "most": most}
    done = fedbadges("preview", "--sample", "50 %", "--html", tmp_path / "page.html", "scribe")
    note = f"Of all people, about {likely} would have a badge, probably {least} to {most}."
    assert note in done.stdout
    assert "\nThis is a sample of 50 % of all people, the same each time.\n" in done.stdout
    assert f"<p>{note}" in (tmp_path / "page.html").read_text()


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "'yesterday' is no date or age, such as 2014-10-03"),
        (["--until", "30 days"], "'30 days' is no date or age"),
        (["--sample", "10"], "'10' is no share of people, such as 10%"),
        (["--sample", "0%"], "'0%' is no share of people"),
        (["--sample", "100%"], "'100%' is no share of people"),
        (["--since", "2014-01-02", "--until", "2014-01-02"], "--until is not after --since"),
        (["--sample", "10%", "--user", "bob"], "--user names people, and --sample chooses them"),
    ],
)
def test_preview_refuses_selections_that_make_no_sense(
    wiki: Databases, arguments: list[str], message: str
) -> None:
    done = fedbadges("preview", *arguments, "scribe")

    assert (done.exit_code, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())
