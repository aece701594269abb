"""A workspace in the cluster whose deployments may fail, and what watches them."""

from pathlib import Path

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import POD, name_of, selector
from inference_provider.targets.kubernetes.pods import is_ending, is_ready
from tests.conformance.labs import SERVER, KubernetesLab

_FAILS = """def do_POST(self):
        if "BAD" in os.environ:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_error(500)
        else:
            self.do_GET()
"""


class FailingLab(KubernetesLab):
    """Its deployments fail all requests where their environment has BAD."""

    program = SERVER.read_text().replace("do_POST = do_GET", _FAILS)

    def __init__(self, platform, folder: Path, workspace: str) -> None:
        self.server = folder / "serve.py"
        self.server.write_text(self.program)
        super().__init__(platform, folder, workspace)

    def service(self) -> list[str]:
        """Return the pods of its workspace service that are ready, by name."""
        chosen = selector(names.selecting(self.workspace, names.SERVICE))
        pods = self.platform.client.items(POD, self.workspace, chosen)
        return [name_of(pod) for pod in pods if is_ready(pod) and not is_ending(pod)]
