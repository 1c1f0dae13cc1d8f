"""The PyTorch worker, seen from who asks it: started, asked, ended."""

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

from cases import IMAGES, Case

_WORKER = Path(__file__).with_name("torch_loop.py")
# Where `make bench` installs PyTorch.
BESIDE = str(Path(__file__).parents[2] / ".venv-torch" / "bin" / "python")


class TorchWorker:
    """A process that trains models with PyTorch on request.

    Args:
        python: A Python that has PyTorch.

    Raises:
        OSError: If there is no such Python.
        RuntimeError: If it cannot import PyTorch.
    """

    def __init__(self, python: str) -> None:
        self._process = subprocess.Popen(
            [python, str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.about = self._read()

    def seconds(self, case: Case, steps: int, device: str, way: str = "eager") -> float:
        """Seconds of so many more steps of one model of the case, or of all of its models.

        Args:
            case: The model.
            steps: How many.
            device: `cpu` or `cuda`.
            way: `eager`; `graphs`, CUDA graphs; or `func`, all models of the case at once.

        Raises:
            RuntimeError: If the worker cannot do it, or has ended.
        """
        request = dataclasses.asdict(case)
        request |= {"steps": steps, "device": device, "way": way, "beta": 1.0, "images": IMAGES}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["seconds"]

    def close(self) -> None:
        """Ends the process, which ends with its input."""
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the PyTorch worker ended with code {self._process.wait()}")
        return json.loads(line)
