"""An SSH server of this machine, and an `ssh` on PATH that finds it under the name `box`."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

DAEMON = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
CLIENT = shutil.which("ssh")


def missing() -> str:
    """Say why there can be no SSH server; empty when there can."""
    return "" if DAEMON and CLIENT else "no sshd or no ssh (openssh-server)"


class Sshd:
    """A server on a port of its own; lets the user `root` in with one key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key("host")
        self._key("user")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        shutil.copy(folder / "user.pub", folder / "authorized")
        host_key = (folder / "host.pub").read_text()
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {host_key}")
        self._write_configurations()
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it
        command = [DAEMON or "sshd", "-D", "-e", "-f", str(folder / "sshd_config")]
        with (folder / "log").open("wb") as log:
            self._daemon = subprocess.Popen(command, stderr=log)
        self._wait()

    def _key(self, name: str) -> None:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
        subprocess.run(command, check=True)

    def _write_configurations(self) -> None:
        folder = self.folder
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/authorized\nPidFile none\nStrictModes no\n"
            "UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin yes\n"
        )
        (folder / "ssh_config").write_text(
            f"Host box\n  HostName 127.0.0.1\n  Port {self.port}\n  User root\n"
            f"  IdentityFile {folder}/user\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {folder}/known\n  StrictHostKeyChecking yes\n"
        )
        (folder / "bin").mkdir()
        client = folder / "bin" / "ssh"
        client.write_text(f'#!/bin/sh\nexec {CLIENT} -F {folder}/ssh_config "$@"\n')
        client.chmod(0o755)

    def _wait(self) -> None:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def sessions(self) -> list[int]:
        """Return the processes that serve connections."""
        found = Path(f"/proc/{self._daemon.pid}/task/{self._daemon.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def cut(self) -> None:
        """End every connection."""
        for session in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(session, signal.SIGKILL)

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait()
