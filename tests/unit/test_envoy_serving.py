"""What a target's Router does over a router's folder, where no Envoy runs."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from inference_provider.errors import TargetUnreachable
from inference_provider.router import EndpointEntry, RouterTable
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.serving import Serving
from inference_provider.targets.envoy.table_file import TableFile
from inference_provider.workspace.statuses import RouterStatus

IRIS = EndpointEntry(name="iris", keys=(SecretStr("first"), SecretStr("second")))


def serving(folder: Path, *, port: int = 1, runs: bool = False) -> Serving:
    listens = RouterTable(folder=str(folder), host="0.0.0.0", port=port, metrics_port=2)
    return Serving(Delivery(folder), lambda: listens, lambda: runs)


def test_what_is_written_is_the_endpoints_where_the_router_listens_now(tmp_path):
    assert serving(tmp_path).in_force() is False
    serving(tmp_path).write((IRIS,))
    serving(tmp_path, port=3).write((IRIS,))
    written = TableFile(tmp_path).in_force().table
    assert (written.host, written.port, written.metrics_port) == ("0.0.0.0", 3, 2)
    assert written.endpoints == (IRIS,)
    assert serving(tmp_path).in_force() is True


def test_a_router_that_does_not_answer_says_so_or_which_files_are_missing(tmp_path):
    serving(tmp_path).write((IRIS,))
    assert serving(tmp_path).status() == RouterStatus(fault="the router does not answer")
    (tmp_path / "bootstrap.json").unlink()
    fault = "files of the router are missing: bootstrap.json"
    assert serving(tmp_path).status() == RouterStatus(fault=fault)


def test_a_bootstrap_is_written_again_only_where_it_is_missing(tmp_path):
    serving(tmp_path).write((IRIS,))
    bootstrap = tmp_path / "bootstrap.json"
    text = bootstrap.read_text()
    bootstrap.write_text("{}")
    serving(tmp_path).mend_bootstrap()
    assert bootstrap.read_text() == "{}"
    bootstrap.unlink()
    serving(tmp_path).mend_bootstrap()
    assert bootstrap.read_text() == text


@pytest.mark.parametrize("runs", [False, True])
def test_what_cannot_be_asked_is_drained_only_where_no_router_runs(tmp_path, runs):
    assert serving(tmp_path, runs=runs).is_drained("iris/blue") is not runs


def test_a_publication_to_a_router_that_does_not_run_is_refused_and_changes_no_file(tmp_path):
    serving(tmp_path).write((IRIS,))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    with pytest.raises(TargetUnreachable):
        serving(tmp_path).publish(())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before
