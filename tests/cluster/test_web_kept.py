"""What a pod that gives tokens goes by outlives it, and changes while callers ask."""

import json
import os
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import POD, name_of
from inference_provider.workspace.kept_tls import KeptTls
from inference_provider.workspace.state import ROUTER, TLS
from tests import cluster_host
from tests.cluster.places import LINK_HERE, ours
from tests.cluster.test_web import PORT, Lab
from tests.conformance.labs import wait_until
from tests.local.server.certificates import generated, shown, trusting
from tests.oidc_server import provider
from tests.ports import own_port

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]
UNSHOWN = "the certificate of the workspace cannot be shown, and the one before stays: "


class Bare(Lab):
    """A workspace that has an endpoint of tokens, and runs nothing of a person's."""

    def up(self, **fields) -> None:
        iris = self.endpoint(auth_mode="aml_token")
        self.desired = (self.served(**fields), iris, self.calls)
        self.apply(*self.desired)

    @property
    def place(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    @property
    def restarts(self) -> dict[str, int]:
        """How often the container of each pod was started again."""
        return {
            name_of(pod): pod["status"]["containerStatuses"][0]["restartCount"]
            for pod in self.all_pods
        }


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    lab = Bare(Bare.open(folder), folder, f"kept{os.getpid()}")
    try:
        lab.up()
        yield lab
    finally:
        lab.close()
        lab.platform.close()


def own(kept: KeptTls) -> dict[str, str]:
    key = kept.tls.private_key.get_secret_value()
    return {"certificate": kept.tls.certificate, "private_key": key}


@contextmanager
def asked_all_the_while(ask: Callable[[], httpx.Response]) -> Iterator[Counter[str]]:
    """Ask again and again until the end; yield how often it was answered how."""
    found, ends = Counter[str](), threading.Event()

    def go_on() -> None:
        while not ends.is_set():
            try:
                found[str(ask().status_code)] += 1
            except httpx.TransportError as fault:
                found[f"{type(fault).__name__}: {fault}"] += 1
            time.sleep(0.02)

    threads = [threading.Thread(target=go_on) for _ in range(2)]
    for one in threads:
        one.start()
    try:
        yield found
    finally:
        ends.set()
        for one in threads:
            one.join()


def test_a_certificate_is_renewed_under_callers_and_a_broken_one_leaves_it_and_is_told(served):
    host = f"{names.WEB_NAME}.{served.workspace}.svc"
    first = generated(names=[host, "localhost"])
    other = generated(first, names=[host, "localhost", "web.example.org"])
    service = {"port": PORT, "console": True}
    served.apply(served.served(tls=own(first), service=service))
    context, (address, port) = trusting(first), served.place
    wait_until(lambda: len(served.all_pods) == 1, 60)  # that of before has gone
    wait_until(lambda: _serial(served, context), 60)
    before, number = served.restarts, _serial(served, context)
    sni = {"sni_hostname": host}
    kept = httpx.Client(verify=context, trust_env=False, timeout=10)

    def over_one(client: httpx.Client = kept) -> httpx.Response:
        asked = client.build_request("GET", f"https://{address}:{port}/health", extensions=sni)
        return client.send(asked)

    def over_new_ones() -> httpx.Response:
        with httpx.Client(verify=context, trust_env=False, timeout=10) as client:
            return over_one(client)

    with kept, asked_all_the_while(over_one) as old, asked_all_the_while(over_new_ones) as new:
        served.apply(served.served(tls=own(other), service=service))
        wait_until(lambda: _serial(served, context) != number, 30)
        found = json.loads(served.ports.records.read(TLS, ROUTER))
        _put(served, {**found, "tls": {**found["tls"], "private_key": "x"}})
        wait_until(lambda: UNSHOWN in served.said, 30)
        time.sleep(1)
        _put(served, found)
        wait_until(lambda: UNSHOWN not in served.said, 30)
    assert set(old) == set(new) == {"200"}, (old, new)
    assert served.restarts == before
    named = {"host": f"web.example.org:{port}"}
    with httpx.Client(verify=context, trust_env=False, timeout=10) as client:
        url = f"https://{address}:{port}/"
        asked = client.build_request("GET", url, headers=named, extensions=sni)
        assert client.send(asked).status_code == 401  # and not 421: browsers find it so now
    served.apply(served.served())
    wait_until(lambda: served.comes(served.of_workspace()), 60)


def _serial(served: Bare, context: ssl.SSLContext) -> int:
    try:
        return shown(served.place, context)
    except OSError:
        return 0


def _put(served: Bare, document) -> None:
    with served.ports.records.edit():
        served.ports.records.put(TLS, ROUTER, json.dumps(document))


def test_keys_of_an_identity_provider_outlive_it_and_a_pod_and_its_fault_is_told(served):
    if Path(cluster_host.KUBECONFIG) != ours().kubeconfig:
        pytest.skip("pods of another cluster may not reach this machine")
    with provider(own_port(), LINK_HERE) as login:
        found = {"issuer": login.issuer, "audience": "lab", "jwks_uri": login.jwks_uri}
        more = {"jwks_refresh_s": 1, "allow_http": True}
        # the pod fetches them by itself, whatever is closed for instances
        closed = {"egress": "disabled", "cluster": {"network_policies": "enforced"}}
        served.apply(served.served(identity_provider={**found, **more}, **closed))
        ben, eve = login.token("ben", audience="lab"), login.token("eve", audience="lab")
        wait_until(lambda: served.comes(ben), 60)
        assert served.comes(eve, 403)
        assert served.comes(login.token("ben", audience="other"), 401)
        wait_until(lambda: "keys" not in served.said, 30)
        login.stop()
        fault = f"keys cannot be fetched from {login.jwks_uri}: "
        wait_until(lambda: fault in served.said, 30)
        first = served.pods
        for one in first:
            served.platform.client.delete(POD, served.workspace, one)
        wait_until(lambda: served.pods and not {*served.pods} & {*first}, 60)
        wait_until(lambda: served.comes(ben), 30)
        wait_until(lambda: fault in served.said, 30)
        assert served.said.endswith("UTC stay in force")
        login.start()  # with other keys
        fresh = login.token("ben", audience="lab")
        wait_until(lambda: served.comes(fresh), 40)
        assert served.comes(ben, 401)
        wait_until(lambda: fault not in served.said, 30)
    served.apply(served.served())
