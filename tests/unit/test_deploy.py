"""`deploy/` against the code: options, times of a stop, metrics, and the programs that read its files, if installed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from granian.cli import cli
from granian.config import Config, options_of, protocol_options
from granian.metrics import Ledger
from granian.metrics.exposition import prometheus
from granian.metrics.families import Service, families

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FLAGS = {option.flag for _, option, _ in [*options_of(Config), *protocol_options()]}
UNIT = (DEPLOY / "systemd" / "granian.service").read_text()
IMAGE = (DEPLOY / "Dockerfile").read_text()


def documents(path):
    return list(pytest.importorskip("yaml").safe_load_all((DEPLOY / path).read_text()))


def kind(name):
    return next(item for item in documents("kubernetes/granian.yaml") if item["kind"] == name)


def container():
    return kind("Deployment")["spec"]["template"]["spec"]["containers"][0]


def instruction(name):
    """The arguments of the Dockerfile's last instruction of that name, which has the exec form."""
    return json.loads(re.findall(rf"^{name} (\[.*\])$", IMAGE, re.M)[-1])


def unit_command():
    return shlex.split(re.search(r"^ExecStart=\S+ (.*)$", UNIT, re.M)[1])


def compose_command():
    return documents("compose/compose.yaml")[0]["services"]["app"]["command"]


COMMANDS = {
    "image": lambda: instruction("CMD"),
    "unit": unit_command,
    "compose": compose_command,
    "kubernetes": lambda: container()["args"],
}


def value(arguments, flag):
    """Seconds that an option of a command line has."""
    words = [part for argument in arguments for part in argument.split("=", 1)]
    return float(words[words.index(flag) + 1].removesuffix("s")) if flag in words else 0.0


@pytest.mark.parametrize("name", COMMANDS)
def test_the_server_takes_the_options(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, [*COMMANDS[name](), "--check-config"])
    assert result.exit_code == 0, result.output


def test_every_flag_that_is_named_exists():
    others = {"--no-cache-dir", "--yes", "--no-install-recommends", "--uid", "--no-create-home", "--shell", "--from"}
    others |= {"--interval", "--timeout", "--start-period", "--rm", "--now"}
    texts = {path: path.read_text() for path in DEPLOY.rglob("*") if path.is_file()}
    texts |= {path: path.read_text() for path in (ROOT / "docs" / "guides").glob("*.md")}
    texts[ROOT / "docs" / "tuning.md"] = (ROOT / "docs" / "tuning.md").read_text()
    found = {
        (path.name, flag) for path, text in texts.items() for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)
    }
    assert len(found) > 40
    others |= {"--interface", "--reload", "--noinput"}
    assert not [item for item in sorted(found) if item[1] not in FLAGS | others]


def test_a_stop_has_the_time_that_it_needs():
    args = container()["args"]
    stop = value(args, "--shutdown-delay") + value(args, "--drain-timeout") + 1
    assert 1 < stop < kind("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    grace = documents("compose/compose.yaml")[0]["services"]["app"]["stop_grace_period"]
    assert 0 < value(compose_command(), "--drain-timeout") + 1 < float(grace.removesuffix("s"))
    limit = float(re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.M)[1])
    assert 0 < value(unit_command(), "--drain-timeout") + 1 < limit


def test_the_image_runs_the_server_without_a_shell_and_without_root():
    assert instruction("ENTRYPOINT") == ["tini", "--", "granian"]
    assert re.search(r"install .*\btini\b", IMAGE)
    user = re.search(r"^USER (\d+):\d+$", IMAGE, re.M)[1]
    assert f"--uid {user} " in IMAGE
    assert kind("Deployment")["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == int(user)
    # The health check asks the status listener, which is there with --metrics only.
    assert "--metrics" in instruction("CMD") and "--metrics" in compose_command()


def test_probes_ask_the_status_listener():
    ports = {item["name"]: item["containerPort"] for item in container()["ports"]}
    assert ports["status"] == Config.from_kwargs(target="main:app").metrics_port
    assert "--metrics-address=0.0.0.0" in container()["args"]
    assert container()["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "status"}
    assert container()["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "status"}


def test_manifests_belong_together():
    labels = kind("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert kind("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert kind("Service")["spec"]["selector"] == labels
    assert kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert kind("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == kind("Deployment")["metadata"]["name"]
    names = {item["name"] for item in container()["ports"]}
    assert {item["targetPort"] for item in kind("Service")["spec"]["ports"]} <= names


def test_the_autoscaler_scales_before_the_bound():
    metric = kind("HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]
    assert metric["metric"]["name"] in exported()
    assert 0 < float(metric["target"]["averageValue"]) < value(container()["args"], "--backpressure")
    rule = documents("kubernetes/prometheus-adapter.yaml")[0]["rules"]["custom"][0]
    assert rule["seriesQuery"].startswith(metric["metric"]["name"] + "{")


def test_only_the_proxy_of_compose_is_believed():
    parsed = documents("compose/compose.yaml")[0]
    subnet = parsed["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert f"--forwarded-allow-ips={subnet}" in compose_command()
    assert "ports" not in parsed["services"]["app"]
    port = parsed["services"]["nginx"]["ports"][0].split(":")[1]
    text = (DEPLOY / "compose" / "nginx.conf").read_text()
    assert f"listen {port};" in text and f"server app:{value(compose_command(), '--port'):.0f};" in text
    kept = float(re.search(r"keepalive_timeout (\d+)s", text)[1])
    assert kept < value(compose_command(), "--keep-alive-timeout")


def exported():
    """Names that the exporter gives, as samples have them."""
    ledger = Ledger(lambda pid: 0, 0.0)
    try:
        made = list(families(ledger.read(), Service(True, False), {}))
        text = prometheus(made)
    finally:
        ledger.close()
    text = text if isinstance(text, str) else bytes(text).decode()
    names = {match[1]: match[2] for match in re.finditer(r"^# TYPE (\S+) (\w+)$", text, re.M)}
    histograms = {
        name + end for name, what in names.items() if what == "histogram" for end in ("_bucket", "_sum", "_count")
    }
    return {name for name, what in names.items() if what != "histogram"} | histograms


def test_every_metric_of_the_dashboard_is_exported_and_documented():
    dashboard = json.loads((DEPLOY / "grafana" / "granian.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [item["query"] for item in dashboard["templating"]["list"]]
    used = set(re.findall(r"\bgranian_\w+", " ".join(queries)))
    assert len(used) > 20
    assert used <= exported()
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert not [name for name in used if f"`{re.sub('_(bucket|sum|count)$', '', name)}`" not in page]


def test_labels_of_the_dashboard_are_documented():
    text = (DEPLOY / "grafana" / "granian.json").read_text()
    labels = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", text) for label in group.split(",")}
    page = (ROOT / "docs" / "metrics.md").read_text()
    # The first is Prometheus's own, the second is that of a histogram's buckets.
    assert not [name for name in labels - {"instance", "le"} if f"`{name}`" not in page]


def test_panels_do_not_overlap():
    places = set()
    for panel in json.loads((DEPLOY / "grafana" / "granian.json").read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & places and at["x"] + at["w"] <= 24, panel["title"]
        places |= cells


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not there")
def test_systemd_takes_the_units(tmp_path):
    server = tmp_path / "granian"
    server.write_text(f"#!{sys.executable}\n")
    server.chmod(0o755)
    (tmp_path / "granian.service").write_text(UNIT.replace("/srv/app/.venv/bin/granian", str(server)))
    shutil.copy(DEPLOY / "systemd" / "granian.socket", tmp_path)
    units = [tmp_path / "granian.service", tmp_path / "granian.socket"]
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units], capture_output=True, text=True
    )
    # Unknown keys and values are told as warnings, with exit code 0.
    ours = [line for line in result.stderr.splitlines() if "granian." in line]
    assert (result.returncode, ours) == (0, [])


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not there")
def test_nginx_takes_its_file(tmp_path):
    text = (DEPLOY / "compose" / "nginx.conf").read_text()
    text = text.replace("server app:8000", "server 127.0.0.1:8000").replace(
        "listen 8080", f"listen unix:{tmp_path}/http"
    )
    (tmp_path / "site.conf").write_text(text)
    http = f"access_log off; include {tmp_path}/site.conf;"
    whole = f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ {http} }}\n"
    (tmp_path / "nginx.conf").write_text(whole)
    command = ["nginx", "-t", "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
