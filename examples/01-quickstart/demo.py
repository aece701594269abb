"""`make demo`: train, serve, score. `demo.py --down` removes what it made."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import uv
import yaml

HERE = Path(__file__).resolve().parent
STACK = HERE / "stack.yaml"
STATE = HERE / ".pulumi-state"
SETTINGS = HERE / "Pulumi.demo.yaml"
BIN = Path(sys.executable).parent
ENDPOINT = "Endpoint/demo/iris"
REQUESTS = 20


def main():
    sys.stdout.reconfigure(line_buffering=True)
    if sys.argv[1:] == ["--down"]:
        down()
        return
    started = time.monotonic()
    train()
    up()
    served = time.monotonic()
    score()
    ended = time.monotonic()
    print(f"total {ended - started:.1f} s ({ended - served:.1f} s of it scoring)\n\nTry next:")
    print("  .venv/bin/inferctl drift examples/01-quickstart/stack.yaml")
    print("  .venv/bin/inferctl split iris blue=50 green=50")
    print("  make down")


def train():
    models = yaml.safe_load(STACK.read_text())["models"]
    if all((HERE / model["path"] / "model.joblib").exists() for model in models):
        return
    requirements = yaml.safe_load(STACK.read_text())["environments"][0]["dependencies"]
    packages = [word for name in requirements for word in ("--with", name)]
    python = ["run", "--quiet", "--no-project", "--python", sys.executable]
    run([uv.find_uv_bin(), *python, *packages, "python", str(HERE / "train.py")])


def up():
    if shutil.which("pulumi"):
        pulumi("stack", "select", "--create", "demo")
        pulumi("up", "--yes", "--skip-preview", "--suppress-permalink=true")
    else:
        run([BIN / "inferctl", "up", "-y", STACK])


def score():
    outputs = json.loads(capture([BIN / "inferctl", "outputs", STACK, "--json", "--show-secrets"]))
    url = outputs[ENDPOINT]["scoring_uri"]
    key = {"Authorization": f"Bearer {outputs[ENDPOINT]['primary_key']}"}
    green = {"azureml-model-deployment": "green"}
    request = json.loads((HERE / "request.json").read_text())
    print(f"\nPOST {url}  {json.dumps(request)}")
    with httpx.Client(timeout=30, trust_env=False) as client:
        split = [ask(client, url, request, key) for _ in range(REQUESTS)]
        pinned = ask(client, url, request, {**key, **green})
        keyless = client.post(url, json=request)
    counts = Counter(answer["model"] for answer in split)
    by_model = ", ".join(f"{model} {n}" for model, n in counts.most_common())
    print(f"  {REQUESTS} on the split   {by_model}: {', '.join(split[0]['species'])}")
    print(f"  1 pinned to green  {pinned['model']}: {', '.join(pinned['species'])}")
    print(f"  1 without a key    {keyless.status_code}")
    if pinned["model"] != "iris-forest" or keyless.status_code != httpx.codes.UNAUTHORIZED:
        sys.exit("not what was declared: see inferctl status and inferctl logs iris/green")


def ask(client, url, request, headers):
    return client.post(url, json=request, headers=headers).raise_for_status().json()


def down():
    if shutil.which("pulumi") and STATE.exists():
        pulumi("stack", "select", "--create", "demo")
        pulumi("destroy", "--yes", "--skip-preview", "--suppress-outputs")
        pulumi("stack", "rm", "--yes", "demo")
    else:
        run([BIN / "inferctl", "down", "-y", STACK])
    shutil.rmtree(STATE, ignore_errors=True)
    SETTINGS.unlink(missing_ok=True)


def pulumi(*arguments):
    STATE.mkdir(mode=0o700, exist_ok=True)
    passphrase = STATE / "passphrase"
    if not passphrase.exists():
        SETTINGS.unlink(missing_ok=True)  # its salt belongs to a passphrase that is gone
        passphrase.touch(mode=0o600)
        passphrase.write_text(secrets.token_urlsafe())
    settings = {
        "PULUMI_BACKEND_URL": STATE.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    # A passphrase of the user's own stacks would win over the file.
    kept = {name: v for name, v in os.environ.items() if name != "PULUMI_CONFIG_PASSPHRASE"}
    run(["pulumi", *arguments, "--non-interactive", "--cwd", HERE], env={**kept, **settings})


def run(command, env=None):
    if subprocess.run(command, check=False, env=env).returncode:
        sys.exit(f"stopped: {' '.join(map(str, command[:3]))} failed, see above")


def capture(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
