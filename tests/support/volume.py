"""A ConfigMap or Secret as a container sees it: files that are all replaced in one step."""

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path


class Volume:
    """A folder that is written as a kubelet writes it.

    The files are in a folder of their own, `..data` is a link to it, and what a container reads are
    links through `..data`. An update writes another folder, gives the link to it in one step, and
    removes the old one at once.
    """

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        folder.mkdir(parents=True, exist_ok=True)
        self.update(files)

    def update(self, files: Mapping[str, str]) -> None:
        """Replace all files, whose names are paths."""
        link = self._folder / "..data"
        old = link.readlink() if link.is_symlink() else None
        new = self._folder / f"..2026_01_01_00_00_00.{next(self._numbers)}"
        new.mkdir()
        for name, text in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        link.with_name("..data_tmp").symlink_to(new.name)
        link.with_name("..data_tmp").rename(link)
        visible = {Path(name).parts[0] for name in files}
        for name in visible:
            if not (self._folder / name).is_symlink():
                (self._folder / name).symlink_to(f"..data/{name}")
        for path in self._folder.iterdir():
            if not path.name.startswith("..") and path.name not in visible:
                path.unlink()
        if old is not None:
            shutil.rmtree(self._folder / old)
