"""A stand-in for the module `os` in `ratedistortion.files`, which fails, is killed, tears or loses.

Everything that the package writes goes through that module. The stand-in counts the operations
that change something, and disturbs the n-th. Nothing is put on the disk (`fsync` does nothing), but
the stand-in keeps book of what a disk would have: `lose_power` leaves that and no more.
"""

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

ERRORS = ("ENOSPC", "EIO", "EROFS", "ESTALE", "EDQUOT")
# What happens at the n-th operation. An error comes once, or `for ever` from there on. `torn` is a
# write of which half is made before the process is killed; `short` is one that writes less than it
# was asked for, as it may. `power` is a kill, after which what was not put on the disk is gone:
# `names` and content, or the `content` alone, or `some` of both; `liar` is a disk that has put
# nothing of the last file on itself, though it said so.
KINDS = (
    *ERRORS,
    *(f"{error} for ever" for error in ("ENOSPC", "EROFS")),
    *("interrupted", "killed", "torn", "short"),
    *(f"power: {lost}" for lost in ("names", "content", "some", "liar")),
)
_COUNTED = ("open", "write", "fsync", "replace", "unlink", "mkdir", "rmdir")


class Killed(BaseException):
    """What stands for `kill -9`: nothing that comes after it is carried out."""


class FaultyOs:
    """The module `os`, but for a fault at one operation.

    Args:
        root: The folder that everything is written to; its own folder is on the disk.
        kind: One of `KINDS`; empty for none.
        place: The number of the disturbed operation, from 0.

    Attributes:
        count: Operations so far.
        writes: The numbers of those that write bytes.
    """

    def __init__(self, root: Path, kind: str = "", place: int = -1) -> None:
        self.root, self.kind, self.place = root, kind, place
        self.count, self.writes, self.dead = 0, [], False
        self._paths: dict[int, Path] = {}  # open descriptor -> path
        self._contents: dict[int, bytes] = {}  # inode -> content that is on the disk
        # Path -> inode that is on the disk under that name; None for a folder.
        self._names: dict[Path, int | None] = {}
        self._last = -1  # inode of the file that was put on the disk last

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._counted(name, real) if name in _COUNTED else real

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self.dead:
                raise Killed
            n, self.count = self.count, self.count + 1
            if name == "write":
                self.writes.append(n)
            if n == self.place or (n > self.place and self.kind.endswith("for ever")):
                if name == "write" and self.kind in ("torn", "short"):
                    arguments = arguments[0], arguments[1][: (len(arguments[1]) + 1) // 2]
                    if self.kind == "torn":
                        os.write(*arguments)
                self._disturb()
            if name == "fsync":
                return self._keep(arguments[0])
            result = real(*arguments)
            if name == "open":
                self._paths[result] = Path(arguments[0])
                if os.fstat(result).st_size == 0:  # a new file may have a removed one's inode
                    self._contents.pop(os.fstat(result).st_ino, None)
            return result

        return call

    def _disturb(self) -> None:
        error = self.kind.removesuffix(" for ever")
        if error in ERRORS:
            number = getattr(errno, error)
            raise OSError(number, os.strerror(number))
        if error == "interrupted":
            raise KeyboardInterrupt
        if error != "short":
            self.dead = True
            raise Killed

    def _keep(self, descriptor: int) -> None:
        """Puts a file's content, or a folder's names, on the disk of the book."""
        path = self._paths[descriptor]
        if not path.is_dir():
            self._last = os.fstat(descriptor).st_ino
            self._contents[self._last] = path.read_bytes()
            return
        for name in [name for name in self._names if name.parent == path]:
            del self._names[name]
        self._names |= {entry: _inode(entry) for entry in path.iterdir()}

    def lose_power(self) -> None:
        """Leaves what a disk has after a power cut, if the fault is one."""
        lost = self.kind.removeprefix("power: ")
        if lost == self.kind or not self.root.exists():
            return
        chance = random.Random(self.place)
        current = {path: _inode(path) for path in self.root.rglob("*")}
        names = {path: ino for path, ino in self._names.items() if self.root in path.parents}
        if lost in ("content", "liar"):
            names = current
        elif lost == "some":
            names = {
                path: chance.choice([each[path] for each in (names, current) if path in each])
                for path in {**names, **current}
                if path in names and path in current or chance.random() < 0.5
            }
        contents = dict(self._contents)
        if lost == "liar":
            contents.pop(self._last, None)
        rooted = lost != "names" or self.root in self._names
        shutil.rmtree(self.root)
        if not rooted:
            return
        self.root.mkdir()
        for path, inode in sorted(names.items()):
            if not path.parent.is_dir():
                continue
            if inode is None:
                path.mkdir()
            else:
                path.write_bytes(contents.get(inode, b""))


def _inode(path: Path) -> int | None:
    return None if path.is_dir() else path.stat().st_ino
