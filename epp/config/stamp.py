"""Which version of a file there is, told without reading it."""

from __future__ import annotations

import os
from pathlib import Path

# What tells one version of a file from another: device, inode, modification time in ns, size. A file may be
# replaced by rename, by turning a symbolic link on the way to it (as ConfigMaps do), or written in place.
Stamp = tuple[int, int, int, int]


def stamp_of(path: Path) -> Stamp | None:
    """The version of the file that `path` leads to; None if there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
