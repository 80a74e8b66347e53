"""Whether a file system answers at once, as Linux tells by its kind."""

import os
import sys
from functools import lru_cache
from typing import Any

# As `statfs` tells them: those that this machine has by itself, on its disks or in its memory.
_OWN = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # Btrfs
        0x2FC12FC1,  # ZFS
        0xF2F52010,  # F2FS
        0xCA451A4E,  # Bcachefs
        0x3153464A,  # JFS
        0x01021994,  # tmpfs
        0x858458F6,  # ramfs
        0x794C7630,  # overlayfs
        0x73717368,  # SquashFS
        0xE0F5E1E2,  # EROFS
        0x9660,  # ISO 9660
        0x4D44,  # FAT
    }
)
_KIND_BYTES = 4
# More than the structure takes on any machine.
_STATFS_BYTES = 256


def is_at_hand(path: str) -> bool:
    """Tell whether looking at a file takes microseconds, even where its disk is slow.

    A volume of a network, or one that a program provides, may keep whoever looks waiting for ever.
    So may this, of such a one. False where the kind is not known, as for what is not there.
    """
    if sys.platform != "linux":
        return True
    import ctypes  # noqa: PLC0415  # for stores that need it: others do without its memory

    status = ctypes.create_string_buffer(_STATFS_BYTES)
    if _libc().statfs(os.fsencode(path), status) != 0:
        return False
    return int.from_bytes(status.raw[:_KIND_BYTES], sys.byteorder) in _OWN


@lru_cache(maxsize=1)
def _libc() -> Any:
    import ctypes  # noqa: PLC0415  # the same

    return ctypes.CDLL(None)
