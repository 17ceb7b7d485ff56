"""The operations guide is true: its commands are run as they stand, from top to bottom, in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from app.cli.prove.child import free_port
from app.stores.cluster import find_tools, private_cluster

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "operations.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = "python manage.py prove --quick\n"
"""Minutes long, so the gate runs it by itself."""
SECONDS_MAX = 240


def test_every_command_of_the_guide_works(tmp_path: Path) -> None:
    blocks = BLOCK.findall(GUIDE.read_text())
    assert ELSEWHERE in blocks
    port = free_port()
    script = "set -eux\n" + "".join(block for block in blocks if block != ELSEWHERE).replace("8717", str(port))
    (tmp_path / "manage.py").symlink_to(ROOT / "manage.py")
    with private_cluster(find_tools("pg_receivewal"), settings={"wal_level": "replica"}) as cluster:
        cluster.create()
        cluster.start()
        path = f"{Path(sys.executable).parent}:{cluster.tools.folder}:{os.environ['PATH']}"
        environment = {
            **os.environ, "PATH": path, "DATABASE_URL": cluster.url(), "INNKEEPER__SERVER__PORT": str(port)
        }  # fmt: skip
        environment.pop("INNKEEPER_MASTER_KEY", None)  # the guide has its own, in the data folder
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=tmp_path, env=environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            said, code = _read_until_the_end(shell)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    assert code == 0, said
    assert (tmp_path / "restored" / "recovery.signal").exists()
    assert "default/w1" in said
    assert "DIFFERS" not in said


def _read_until_the_end(shell: subprocess.Popen[str]) -> tuple[str, int]:
    """(what it printed, its exit code); programs that it left behind hold the pipe open, so the shell is waited for."""
    code = shell.wait(timeout=SECONDS_MAX)
    with suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGKILL)
    assert shell.stdout is not None
    with shell.stdout:
        return shell.stdout.read(), code


def test_every_verb_of_an_operator_is_in_the_guide() -> None:
    text = GUIDE.read_text()
    for verb in (
        "backup",
        "restore",
        "verify",
        "events export",
        "events import",
        "events replay",
        "db upgrade",
        "db check",
        "usage",
        "prove",
    ):
        assert f"manage.py {verb}" in text, verb
