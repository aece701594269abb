"""What the pod of a token service keeps for the next one, and what it tells of it."""

from pathlib import Path

from tests.unit.cluster_target.test_service import drifted, seen, until
from tests.unit.cluster_target.test_web import LISTENS, apply, serves, stack

from inference_provider.targets.envoy.fetched_keys import FetchedKeys
from inference_provider.targets.kubernetes.kept_folder import KeptFolder
from inference_provider.targets.kubernetes.objects import SECRET
from inference_provider.targets.web_told import note_unshown

__all__ = ["serves"]  # a fixture of every test

LOGIN = {"issuer": "https://login.test", "audience": "lab", "jwks_uri": "https://login.test/keys"}
KEYS = '{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}'


def pod_keeping(engine, folder: Path) -> tuple[KeptFolder, FetchedKeys]:
    """Return what a pod keeps of a folder, and the keys in it."""
    folder.mkdir()
    kept = KeptFolder(engine.platform.client, "lab", folder)
    kept.restore()
    return kept, FetchedKeys(folder)


def test_keys_that_a_pod_has_fetched_are_those_of_the_next_one_and_its_faults_are_told(
    api, engine, tmp_path
):
    apply(engine, stack(identity_provider=LOGIN))
    until(lambda: LISTENS in seen(engine).status)
    uri = LOGIN["jwks_uri"]
    none = f"keys of {uri} are being fetched; none were fetched yet, so its tokens are refused"
    assert seen(engine).status.endswith(f"{LISTENS}, {none}")
    kept, keys = pod_keeping(engine, tmp_path / "one")
    keys.keep(uri, KEYS)
    kept.keep()
    assert seen(engine).status.endswith(LISTENS)
    keys.fail(uri, "Connection refused")
    note_unshown(tmp_path / "one", "key too small")
    kept.keep()
    told = seen(engine).status
    assert f"{LISTENS}, keys cannot be fetched from {uri}: Connection refused; those of " in told
    assert told.endswith(
        "UTC stay in force, the certificate of the workspace cannot be shown, and the one before"
        " stays: key too small"
    )
    assert drifted(engine, stack(identity_provider=LOGIN)) == {}
    apply(engine, stack(identity_provider=LOGIN))
    _, after = pod_keeping(engine, tmp_path / "two")
    assert after.text(uri) == KEYS
    assert after.state(uri) == keys.state(uri)


def test_what_its_pod_may_write_is_never_taken_for_a_record(api, engine):
    apply(engine, stack())
    forged = {"labels": {"pulumi-inference/role": "record"}}
    forged["annotations"] = {"pulumi-inference/document": "records/Endpoint.demo.eve"}
    data = {"document": "e30="}
    change = {"metadata": forged, "data": data}
    engine.platform.client.merge(SECRET, "lab", "inference-web", change)
    there = engine._workspace("demo").ports.records.section("records")
    assert "Endpoint.demo.eve" not in there
