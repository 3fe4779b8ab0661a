"""The forms in which a stored message may have been signed."""

from fedbadges.signatures.verifier import stored_forms


def test_forms_contain_nothing_that_is_not_stored() -> None:
    body = {"topic": "a", "msg": {}, "timestamp": 5.0, "username": "ann", "headers": {"a": "b"}}
    credentials = {"signature": "x"}

    found = list(stored_forms(body, credentials))

    assert len(found) == 8
    assert all(form.items() <= {**body, **credentials}.items() for form in found)
    assert [type(form["timestamp"]) for form in found] == [int] * 4 + [float] * 4
    assert found[0] == {"topic": "a", "msg": {}, "timestamp": 5, "username": "ann", **credentials}
