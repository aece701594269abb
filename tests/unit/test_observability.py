"""The example of Prometheus and Grafana: each name in it is measured, and its alerts fire."""

import json
import re
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import yaml
from tests.ports import own_port
from tests.prometheus import program

from inference_provider.metrics.catalogue import CATALOGUE
from inference_provider.metrics.series import InstanceUse, Reading, series
from inference_provider.targets.page import Page

EXAMPLE = Path(__file__).parents[2] / "examples" / "observability"
OF_PROMETHEUS = {"workspace", "instance", "job"}
ALL = "InferenceNotMeasured InferenceRouterDown InferenceErrors InferenceTooManyRequests"
RULES = [*ALL.split(), "InferenceNoInstance", "InferenceSlow", "InferenceMemory", "InferenceDisk"]


def expressions():
    """Return each expression of the alerts and of the dashboard."""
    groups = yaml.safe_load((EXAMPLE / "alerts.yml").read_text())["groups"]
    dashboard = json.loads((EXAMPLE / "dashboard.json").read_text())
    return [
        *(rule["expr"] for group in groups for rule in group["rules"]),
        *(target["expr"] for panel in dashboard["panels"] for target in panel["targets"]),
        *(one["definition"] for one in dashboard["templating"]["list"] if "definition" in one),
    ]


def test_each_name_in_the_example_is_measured_and_each_metric_is_shown():
    named = {name for one in expressions() for name in re.findall(r"inference_\w+", one)}
    assert named == {metric.prometheus for metric in CATALOGUE}


def test_each_label_in_the_example_is_a_dimension():
    known = OF_PROMETHEUS | {name for metric in CATALOGUE for name in metric.dimensions}
    found = {label for one in expressions() for label in re.findall(r'(\w+)=~?"', one)}
    for one in expressions():
        for group in re.findall(r"(?:by|on) \(([^)]*)\)", one):
            found |= {label.strip() for label in group.split(",")}
    assert found - known == set()


def test_the_example_scrapes_as_often_as_rates_go_back():
    read = yaml.safe_load((EXAMPLE / "prometheus.yml").read_text())
    assert read["global"]["scrape_interval"] == "15s"


def test_promtool_takes_the_configuration_and_the_alerts():
    done = subprocess.run(
        [program("promtool"), "check", "config", "prometheus.yml"],
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {len(RULES)} rules found" in done.stdout


OF_BLUE = 'workspace="demo",instance="a",job="inference",endpoint="iris",deployment="blue"'


def of_blue(name, values, **labels):
    more = "".join(f',{key}="{value}"' for key, value in labels.items())
    return {"series": f"inference_{name}{{{OF_BLUE}{more}}}", "values": values}


def up(values):
    return {"series": 'up{workspace="demo",instance="a",job="inference"}', "values": values}


ROUTER = {
    "series": 'inference_ConnectionsActive{workspace="demo",instance="a",job="inference"}',
    "values": "3x40",
}
QUIET = of_blue("RequestsPerMinute", "100x40", statusCode="200")


@pytest.mark.parametrize(
    ("there", "fires"),
    [
        pytest.param([up("1x40"), ROUTER, QUIET], [], id="all is well"),
        pytest.param(
            [
                *(up("1x40"), ROUTER),
                of_blue("DeploymentCapacity", "0x40", State="Healthy"),
                of_blue("DeploymentCapacity", "1x40", State="Unhealthy"),
            ],
            ["InferenceNoInstance"],
            id="no instance",
        ),
        pytest.param([up("0x40")], ["InferenceNotMeasured"], id="nobody measures"),
        pytest.param([up("1x40")], ["InferenceRouterDown"], id="the router is silent"),
        pytest.param(
            [
                *(up("1x40"), ROUTER, QUIET),
                of_blue("RequestsPerMinute", "10x40", statusCode="424", modelStatusCode="500"),
            ],
            ["InferenceErrors"],
            id="a model fails",
        ),
        pytest.param(
            [
                *(up("1x40"), ROUTER),
                of_blue("RequestsPerMinute", "4x40", statusCode="503"),
            ],
            [],
            id="too few to tell",
        ),
        pytest.param(
            [up("1x40"), ROUTER, QUIET, of_blue("RequestsPerMinute", "10x40", statusCode="429")],
            ["InferenceTooManyRequests"],
            id="refused",
        ),
        pytest.param(
            [up("1x40"), ROUTER, of_blue("RequestLatency_P95", "1001x40")],
            ["InferenceSlow"],
            id="slow",
        ),
        pytest.param(
            [up("1x40"), ROUTER, of_blue("GpuMemoryUtilizationPercentage", "99x40")],
            ["InferenceMemory"],
            id="memory",
        ),
        pytest.param(
            [up("1x40"), ROUTER, of_blue("DiskUtilization", "91x40", disk="/")],
            ["InferenceDisk"],
            id="disk",
        ),
    ],
)
def test_an_alert_fires_for_what_it_is_about_and_no_other_does(tmp_path, there, fires):
    checks = [
        {
            "expr": f'count by (alertname) (ALERTS{{alertname="{name}",alertstate="firing"}})',
            "eval_time": "15m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}]
            if name in fires
            else [],
        }
        for name in RULES
    ]
    test = {"interval": "1m", "input_series": there, "promql_expr_test": checks}
    document = {"rule_files": [str(EXAMPLE / "alerts.yml")], "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [program("promtool"), "test", "rules", "test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_real_prometheus_reads_the_page_with_names_that_need_escaping(tmp_path):
    page, port, name = own_port(), own_port(), 'a"b\\c\nd'
    used = InstanceUse("iris/blue", name, cpu=25.0)
    known = series(Reading(0), Reading(15, instances=(used,)))
    scrape = {
        "job_name": "inference",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "static_configs": [{"targets": [f"127.0.0.1:{page}"]}],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
    command = [
        program("prometheus"),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    served = Page(page, lambda: known)
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        found = queried(port, "inference_CpuUtilizationPercentage")
    finally:
        process.terminate()
        process.wait(30)
        log.close()
        served.close()
    assert [(one["metric"]["instanceId"], one["value"][1]) for one in found] == [(name, "25")]


def queried(port, expression):
    """Return what a Prometheus knows, once it knows anything."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.2)
        try:
            url = f"http://127.0.0.1:{port}/api/v1/query"
            answer = httpx.get(url, params={"query": expression}, trust_env=False)
        except httpx.TransportError:
            continue
        if answer.status_code == 200 and answer.json()["data"]["result"]:
            return answer.json()["data"]["result"]
    return []
