"""What tests ask of the dynamic providers, and what they declare to them."""

PLAIN = {"environment": "plain:1@sha256:" + "0" * 64}
THERE = {"place": "memory"}
"""What the SDK fills in from the workspace."""
ROUTES = {
    f"{name}_route": {"path": "/", "port": 1} for name in ("liveness", "readiness", "scoring")
}
GPU = {"kind": "docker", "host": "ssh://gpu-1"}


def checked(provider, **fields):
    """Return the inputs that check answers, which finds no fault."""
    result = provider.check({}, {"stack": "s", "__provider": "x", **fields})
    assert [f"{f.property}: {f.reason}" for f in result.failures] == []
    return result.inputs


def failures(provider, **fields):
    """Return the faults that check finds: property and reason."""
    result = provider.check({}, {"stack": "s", "__provider": "x", **fields})
    return [(f.property, f.reason) for f in result.failures]
