"""A lab that runs as a process of its own."""

import os
import socket
import subprocess
import sys
from pathlib import Path


class Served:
    """A lab that runs as a process of its own."""

    def __init__(self, *arguments: str | Path) -> None:
        line = [sys.executable, "-m", "faltung", "lab", "--no-open", *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        self.address = self.said.partition(" at ")[2].partition("  ")[0].rstrip("/")
        self.port = int(self.address.rpartition(":")[2]) if self.address else 0

    def connected(self) -> socket.socket:
        """Return a connection without any client's good manners."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def end(self) -> str:
        """End the process and return what else it said."""
        self.process.terminate()
        rest, _ = self.process.communicate(timeout=30)
        return rest
