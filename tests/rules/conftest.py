"""Property tests try the same examples each time, so that a failure is the change's own."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fedbadges",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fedbadges")
