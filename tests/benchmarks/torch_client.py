"""The PyTorch worker, seen from who asks it: found, started, asked, ended."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cases import IMAGES, Case

_WORKER = Path(__file__).with_name("torch_loop.py")
_BESIDE = Path(__file__).parents[2] / ".venv-torch" / "bin" / "python"


class NoTorch(Exception):
    """There is no PyTorch to ask; the text says why."""


class TorchWorker:
    """A process that trains models with PyTorch on request.

    Args:
        asked: A Python that has PyTorch; None looks for one.

    Raises:
        NoTorch: If there is none, or it cannot import PyTorch.
    """

    def __init__(self, asked: str | None = None) -> None:
        python = asked or _find()
        self._process = subprocess.Popen(
            [python, str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            self.about = self._read()
        except RuntimeError:
            raise NoTorch(f"{python} cannot import torch.") from None

    def seconds(self, case: Case, steps: int, device: str, precision: str | None = None) -> float:
        """Seconds of so many more steps of one model of the case.

        Args:
            case: The model.
            steps: How many.
            device: `cpu` or `cuda`.
            precision: PyTorch's name for that of float32 products; None for its default.
        """
        request: dict[str, Any] = {
            name: getattr(case, name)
            for name in (
                "shape", "hidden", "encoder", "decoder", "latents", "channels", "strides",
                "batch_size", "learning_rate",
            )
        }  # fmt: skip
        request |= {"case": case.name, "steps": steps, "device": device, "beta": 1.0}
        request |= {"images": IMAGES, "precision": precision}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()["seconds"]

    def close(self) -> None:
        """Ends the process, which ends with its input."""
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the PyTorch worker ended with code {self._process.wait()}.")
        return json.loads(line)


def _find() -> str:
    if importlib.util.find_spec("torch"):
        return sys.executable
    if python := os.environ.get("TORCH_PYTHON"):
        return python
    if _BESIDE.exists():
        return str(_BESIDE)
    raise NoTorch(
        "torch is not installed here: give --torch PYTHON, set TORCH_PYTHON, or make .venv-torch."
    )
