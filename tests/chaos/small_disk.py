"""A file system of its own in memory, that can be full from one moment to the next.

It is made so small that no page more fits beside what is there; nothing is written for that.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOMY = "8g"
"""The most; what is not used takes no memory."""

LOOKS = 100


class SmallDisk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_real = False
        """Whether it is one, or only a folder, because mounting takes a right that we lack."""

    def mount(self) -> None:
        self.folder.mkdir(parents=True)
        words = ["mount", "-t", "tmpfs", "-o", f"size={ROOMY},mode=0711", "tmpfs"]
        self.is_real = os.geteuid() == 0 and _did(*words, str(self.folder))

    def fill(self) -> None:
        """Have no page more on it; what was written since it was looked at needs another look."""
        for _ in range(LOOKS):
            used = os.statvfs(self.folder)
            kib = (used.f_blocks - used.f_bfree) * used.f_frsize // 1024
            if self._resize(f"{max(kib, 4)}k"):
                return
        raise AssertionError("it is never so full as it was a moment ago")

    def empty(self) -> None:
        """Have room again."""
        assert self._resize(ROOMY), "it is not resized"

    def unmount(self) -> None:
        if self.is_real:
            _did("umount", "-l", str(self.folder))
            self.is_real = False

    def _resize(self, size: str) -> bool:
        """Give it another size; False where more is on it."""
        return _did("mount", "-o", f"remount,size={size}", str(self.folder))


def _did(*words: str) -> bool:
    return subprocess.run(words, check=False, capture_output=True).returncode == 0
