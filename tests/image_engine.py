"""A Docker Engine and a registry that it pushes to, in memory: an ImageBuilder."""

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.sign_in import login_for

SOCKET = "Docker host unix:///var/run/docker.sock"


class ImageEngine:
    """An Engine of one architecture; what it publishes is numbered."""

    def __init__(self, architecture="amd64", published=None):
        self.architecture = architecture
        self.published = published or {}
        """Digests, by name."""
        self.built: list[str] = []
        """Names of builds, oldest first."""
        self.users: list[str] = []
        """As whom it was asked for an image, or told to push one; empty for Docker's own."""
        self.is_silent = False

    def platform(self):
        self._answer()
        return "linux", self.architecture

    def _answer(self):
        if self.is_silent:
            raise TargetUnreachable("open", SOCKET, "no such file or directory", "start it")

    def _note_user(self, image):
        login = login_for(image)
        self.users.append(login.username if login else "")

    def digest(self, image):
        self._note_user(image)
        return None if self.is_silent else self.published.get(image, "")

    def build(self, wanted, tell):
        self.built.append(wanted.build.name)
        return "sha256:local"

    def publish(self, wanted, tell):
        self.build(wanted, tell)
        name = f"{wanted.registry}/{wanted.build.name}-{self.architecture}"
        self._note_user(name)
        self.published[name] = f"sha256:{len(self.built)}"
        return f"{name}@{self.published[name]}"
