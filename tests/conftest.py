"""What holds for every test."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "bridgepoint",
    # A busy machine is no reason to fail: how long a draw or an example takes says nothing of what is tested. (The very
    # first text that hypothesis draws costs more than half a second.)
    deadline=None,
    # Examples may share a fixture's folder or server; each says itself what it needs afresh. Named here once more
    # because a test's own list would replace this one.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("bridgepoint")
