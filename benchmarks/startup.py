"""How soon a server answers after its process starts, and what memory it holds once warm.

Each start is a process of its own over an empty data folder. Ready means that /health/ready says so and that
one message of every module is answered inside its own deadline. The peer is LitServe with the same network,
in the same run, installed into a cache of this benchmark's own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from report import ROOT, Report, note, start

PEER = ROOT / ".benchmark-peers" / "litserve"
PEER_PORT = 18_717
GIVE_UP_S = 60.0

PEER_SERVER = """
import sys
import litserve
import numpy
import onnxruntime

class Policy(litserve.LitAPI):
    def setup(self, device):
        self.session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def decode_request(self, request):
        return numpy.asarray(request["rows"], numpy.float32)

    def predict(self, rows):
        feed = {self.name: rows}
        for extra in self.session.get_inputs()[1:]:
            shape = [side if isinstance(side, int) else len(rows) for side in extra.shape]
            feed[extra.name] = numpy.ones(shape, numpy.float32 if "float" in extra.type else bool)
        return self.session.run(None, feed)[0]

    def encode_response(self, output):
        return {"logits": output.tolist()}

if __name__ == "__main__":
    litserve.LitServer(Policy(), accelerator="cpu").run(port=int(sys.argv[2]), generate_client_file=False)
"""


@dataclass(frozen=True, slots=True)
class Start:
    """One start: seconds to ready and to warm, and resident megabytes when warm."""

    ready_s: float
    warm_s: float
    rss_mb: float


def main() -> None:
    """Take the figures."""
    report = start("startup")
    rounds = 2 if report.options.quick else 7
    peer = _install_peer()
    ours: dict[int, list[Start]] = {1: [], 2: []}
    theirs: list[Start] = []
    _once(2)  # compiles what no earlier start on this machine has compiled
    for number in range(rounds):
        note(f"round {number + 1} of {rounds}")
        for mode in ours:
            ours[mode].append(_once(mode))
        if peer is not None:
            theirs.append(_peer_once(peer))
    _write(report, ours, theirs)
    report.close()


def _write(report: Report, ours: dict[int, list[Start]], theirs: list[Start]) -> None:
    def median(starts: list[Start], what: str) -> float | None:
        return statistics.median(getattr(one, what) for one in starts) if starts else None

    name = "LitServe" if theirs else None
    goals = {1: (1.0, 180.0), 2: (1.5, 220.0)}
    for mode, starts in ours.items():
        ready, _ = goals[mode]
        value, peer = median(starts, "ready_s"), median(theirs, "ready_s")
        report.add(f"mode{mode}_s", value, "s", "lower", goal=ready, peer=name, peer_value=peer)
    everything = [one for starts in ours.values() for one in starts]
    report.add("warm_s", median(everything, "warm_s"), "s", "lower", goal=3.0)
    for mode, starts in ours.items():
        value, peer = median(starts, "rss_mb"), median(theirs, "rss_mb")
        report.add(f"mode{mode}_rss_mb", value, "MB", "lower", goal=goals[mode][1], peer=name, peer_value=peer)
    why = "there is no bundle to start yet"
    report.add("bundle_mb", None, "MB", "lower", goal=90.0, why=why)
    report.add("bundle_start_s", None, "s", "lower", goal=2.5, why=why)


def _once(mode: int) -> Start:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        command = [
            sys.executable,
            "manage.py",
            "serve",
            "--mode",
            str(mode),
            "--port",
            "0",
            "--data",
            folder,
            "--quiet",
        ]
        # A user's machine keeps compiled bytecode; a variable of this shell must not forbid it.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        try:
            url = str(_until(lambda: json.loads((data / "address.json").read_text())["url"], began))
            _until(lambda: _get(f"{url}/health/ready")["ready"], began)
            _ask_everything(url, (data / "api-key").read_text(), mode)
            ready_s = time.perf_counter() - began
            _until(lambda: _get(f"{url}/health/ready")["warm"], began)
            warm_s = time.perf_counter() - began
            time.sleep(0.5)
            return Start(ready_s, warm_s, _rss_mb([process.pid]))
        finally:
            process.kill()
            process.wait()


def _ask_everything(url: str, key: str, mode: int) -> None:
    """One message of each module that must be answered from the first moment."""
    headers = {"Authorization": f"Bearer {key}"}
    _post(f"{url}/v1/world/create", {"world": "w"}, headers)
    entities = [
        {"type": "location", "id": "inn", "name": "the inn"},
        {"type": "npc", "id": "mara", "name": "Mara", "location": "inn"},
        {"type": "player", "id": "ann", "name": "Ann", "location": "inn"},
    ]
    _post(f"{url}/v1/world/upsert", {"world": "w", "entities": entities}, headers)
    decided = _post(
        f"{url}/v1/behavior/decide",
        {"world": "w", "tick": 1, "npcs": ["mara"], "rows": [[0.0] * 64], "format": "lists"},
        headers,
    )
    assert decided["rungs"][0] == ("policy" if mode == 2 else "utility"), decided
    opened = _post(f"{url}/v1/dialogue/open", {"world": "w", "npc": "mara", "participants": ["ann"]}, headers)
    say = {"world": "w", "dialogue": opened["dialogue"], "speaker": "ann", "text": "Hello!"}
    assert _post(f"{url}/v1/dialogue/say", say, headers)["text"]


def _peer_once(peer: Path) -> Start:
    model = next((ROOT / "models").glob("*.onnx"))
    command = [str(peer / "bin" / "python"), str(peer / "server.py"), str(model), str(PEER_PORT)]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=peer, start_new_session=True
    )
    try:
        rows = {"rows": [[0.0] * 64]}
        _until(lambda: _post(f"http://127.0.0.1:{PEER_PORT}/predict", rows, {})["logits"], began)
        ready_s = time.perf_counter() - began
        return Start(ready_s, ready_s, _rss_mb(_family(process.pid)))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _install_peer() -> Path | None:
    """A virtual environment with LitServe, made once; None when it cannot be installed."""
    uv = shutil.which("uv")
    if not (PEER / "bin" / "python").exists():
        if uv is None:
            return None
        note("installing LitServe, the peer, into .benchmark-peers")
        install = [uv, "pip", "install", "--quiet", "--python", str(PEER / "bin" / "python")]
        for command in ([uv, "venv", "--quiet", str(PEER)], [*install, "litserve", "onnxruntime", "numpy"]):
            if subprocess.run(command, check=False).returncode:
                shutil.rmtree(PEER, ignore_errors=True)
                return None
    (PEER / "server.py").write_text(PEER_SERVER)
    return PEER


def _family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found = [pid]
    for one in found:
        children = Path(f"/proc/{one}/task/{one}/children")
        found += [int(child) for child in children.read_text().split()] if children.exists() else []
    return found


def _rss_mb(pids: list[int]) -> float:
    """Resident memory of all the processes."""
    total_kb = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        total_kb += int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    return total_kb / 1024


def _until(ask: Callable[[], object], began: float) -> object:
    """The first true answer; a refused connection or a file that is not there yet counts as no."""
    while time.perf_counter() - began < GIVE_UP_S:
        try:
            if answer := ask():
                return answer
        except (OSError, ValueError, KeyError):
            pass
        time.sleep(0.004)
    raise TimeoutError(f"no answer in {GIVE_UP_S} s")


def _get(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return dict(json.load(answer))


def _post(url: str, data: object, headers: dict[str, str]) -> dict[str, object]:
    sent = {**headers, "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=json.dumps(data).encode(), headers=sent, method="POST")
    with urllib.request.urlopen(request, timeout=5) as answer:
        return dict(json.load(answer))


if __name__ == "__main__":
    main()
