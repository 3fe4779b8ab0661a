"""Property tests try the same examples each time, so that a failure is the change's own."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("support.inline")

settings.register_profile(
    "fedbadges",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fedbadges")
