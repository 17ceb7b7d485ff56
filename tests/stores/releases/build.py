"""Makes the archives of earlier releases from git: what `serve` in mode 1 needs, and the patch beside it.

The same commit and patch give the same bytes. Add a line to RELEASES when a release is made that has a new revision.
"""

from __future__ import annotations

import io
import lzma
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
RELEASES = {"0001": "826fb27"}
"""Newest schema revision of a release -> its commit."""
PARTS = ("app", "migrations", "models", "profiles", "manage.py")
PAGE = "app/edge/console/static/index.html"
FOLDERS_OUT = ("app/edge/console/static/", "app/cli/demo/", "app/cli/prove/", "app/learning/")
ENDINGS_OUT = (".onnx", "README.md", ".orig")


def build(revision: str) -> bytes:
    """The archive of one release."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = _git("archive", RELEASES[revision], *PARTS)
        with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
            archive.extractall(folder, filter="data")
        patch = HERE / f"{revision}.patch"
        if patch.exists():
            subprocess.run(["patch", "--quiet", "--strip=1", f"--input={patch}"], cwd=folder, check=True)
        (folder / PAGE).write_text("<!doctype html>\n")
        return lzma.compress(_tar(folder), preset=9)


def _tar(folder: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _kept(folder):
            entry = tarfile.TarInfo(str(path.relative_to(folder)))
            entry.size = path.stat().st_size
            entry.mode = 0o644
            with path.open("rb") as file:
                archive.addfile(entry, file)
    return out.getvalue()


def _kept(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).as_posix()
        out = place.startswith(FOLDERS_OUT) or place.endswith(ENDINGS_OUT)
        if path.is_file() and (place == PAGE or not out):
            yield path


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=HERE.parents[2], capture_output=True, check=True).stdout


if __name__ == "__main__":
    for revision in RELEASES:
        (HERE / f"{revision}.tar.xz").write_bytes(build(revision))
