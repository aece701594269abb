"""The cluster that tests use, and why there is none.

Never that of KUBECONFIG: it may be one that serves.
"""

import functools
import os
from pathlib import Path

KUBECONFIG = os.environ.get("INFERENCE_TEST_KUBECONFIG", "")
"""Names the cluster that tests may fill."""


@functools.cache
def missing() -> str:
    """Say why nothing can be tested on a cluster; empty when it can be."""
    import httpx

    from tests.cluster.api import Api

    if not KUBECONFIG:
        return "INFERENCE_TEST_KUBECONFIG names no cluster; `make test-cluster` starts one"
    try:
        with Api(Path(KUBECONFIG)) as api:
            api.get("/version")
    except (OSError, RuntimeError, httpx.HTTPError) as silent:
        return f"the cluster of {KUBECONFIG} does not answer: {silent}"
    return ""
