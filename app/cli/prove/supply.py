"""Suite A, static checks and supply chain: what the source, the lock and the installed packages may hold.

Each tool is one of the dev group; one that is not installed is told as not run. It changes nothing but its folder.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from app.build import ROOT
from app.cli.prove.figures import Figure, Gap, Outcome, Plan
from app.cli.prove.patterns import patterns, slowest_s
from app.cli.prove.sources import forbidden
from app.core.errors import EngineDown
from app.engines import catalog
from app.stores.schema import sql_is_safe

TOOL_S_MAX = 120
LOCK = "requirements.lock"
PTH_KNOWN = frozenset({"_virtualenv.pth", "distutils-precedence.pth"})
"""Files of installers that run code at start-up; a stolen release of a package once hid there (LiteLLM 1.82.7)."""
SECRETS_KNOWN = {
    "app/cli/prove/money.py": "the key of a provider on loopback that checks none",
    "app/cli/prove/stage.py": "the key of a provider on loopback that checks none",
    "app/cli/prove/tenants.py": "the key of a provider on loopback that checks none",
    "app/control/codes.py": "an alphabet",
    "app/core/ids.py": "an alphabet",
    "app/stores/audit.py": "the name of a secret",
    "app/stores/fields.py": "the name of a secret",
    "app/stores/database.py": "the form of a URL in a hint",
    "app/stores/redis/client.py": "the form of a URL in a hint",
    "models/catalog.toml": "hashes of models",
    "tests/stores/test_broken_lines.py": "the password of a database that lives for one test",
}
"""File -> why what looks like a secret there is none."""
EXPLAINED = re.compile(r"# noqa: [A-Z0-9, ]*S\d+\S* +# ")
"""A finding of bandit whose line says to ruff, with a reason, why it stands."""
PINNED = re.compile(r"^[A-Za-z0-9][\w.-]*(\[[\w,-]+\])?==\S+")


def run(plan: Plan) -> Sequence[Outcome]:
    """The whole suite."""
    return [
        _figure("forbidden calls, keywords and imports", len(_told(plan, forbidden(ROOT))), "places"),
        *_patterns(plan),
        *_ruff(plan),
        *_bandit(plan),
        *_secrets(plan),
        *_lock(plan),
        *_migrations(plan),
        *_bill(plan),
        _figure("unknown .pth files that run code", len(_told(plan, strange_pth(site_packages()))), "files"),
        _models(plan),
        *_wheel(plan),
        *_advisories(plan),
    ]


def _figure(name: str, value: int, unit: str, bound: int = 0, *, least: bool = False) -> Figure:
    return Figure(
        suite="A", name=name, value=int(value), unit=unit, bound=bound, side="at_least" if least else "at_most"
    )


def _gap(name: str, tool: str) -> Gap:
    return Gap(suite="A", name=name, lacks=f"{tool}; uv sync --group dev")


def _told(plan: Plan, found: Sequence[str]) -> Sequence[str]:
    for one in found:
        plan.told(f"  {one}")
    return found


def _tool(name: str) -> str | None:
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def _asked(command: Sequence[str]) -> str:
    """What a tool prints on standard output."""
    return subprocess.run(  # noqa: S603  # tools of the dev group
        command, capture_output=True, text=True, cwd=ROOT, timeout=TOOL_S_MAX, check=False
    ).stdout


def _patterns(plan: Plan) -> Iterator[Figure]:
    """Regular expressions against hostile texts."""
    times = sorted((slowest_s(one), one.where) for one in patterns())
    plan.told(f"  slowest pattern: {times[-1][1]}")
    yield _figure("patterns that see input", len(times), "patterns", 20, least=True)
    worst = Figure(
        suite="A", name="slowest pattern over 2,000 characters", value=times[-1][0] * 1e3, unit="ms", bound=10
    )
    yield worst


def _ruff(plan: Plan) -> Iterator[Outcome]:
    tool = _tool("ruff")
    if tool is None:
        yield _gap("ruff's security rules", "ruff")
        return
    found = json.loads(_asked([tool, "check", "--select", "S", "--output-format", "json", "app"]))
    _told(plan, [f"{one['filename']}:{one['location']['row']} {one['message']}" for one in found])
    yield _figure("ruff's security rules: findings", len(found), "findings")


def _bandit(plan: Plan) -> Iterator[Outcome]:
    tool = _tool("bandit")
    if tool is None:
        yield _gap("bandit", "bandit")
        return
    report: dict[str, Any] = json.loads(_asked([tool, "--quiet", "-r", "app", "-f", "json", "-ll"]))
    high = [one for one in report["results"] if one["issue_severity"] == "HIGH"]
    open_ones = [one for one in report["results"] if one not in high and not _explained(one)]
    _told(plan, [f"{one['filename']}:{one['line_number']} {one['issue_text']}" for one in [*high, *open_ones]])
    yield _figure("bandit: high", len(high), "findings")
    yield _figure("bandit: medium without a reason", len(open_ones), "findings")
    yield _figure("bandit: files that it cannot read", len(report["errors"]), "files")


def _explained(finding: dict[str, Any]) -> bool:
    lines = (ROOT / finding["filename"]).read_text("utf-8").splitlines()
    first, last = min(finding["line_range"]), max(finding["line_range"])
    return any(EXPLAINED.search(line) for line in lines[first - 1 : last])


def _secrets(plan: Plan) -> Iterator[Outcome]:
    tool, git = _tool("detect-secrets"), shutil.which("git")
    if tool is None or git is None or not (ROOT / ".git").exists():
        yield _gap("secrets in tracked files", "detect-secrets, git or a checkout")
        return
    tracked = _asked([git, "ls-files"]).splitlines()
    skipped = (".lock", ".png", ".onnx") if plan.scale == "full" else (".lock", ".png", ".onnx", ".js", ".md", ".json")
    files = [name for name in tracked if not name.endswith(skipped) and (plan.scale == "full" or name[:6] != "tests/")]
    found = json.loads(_asked([tool, "scan", *files]))["results"]
    new = [
        f"{name}:{one['line_number']} {one['type']}"
        for name in found
        if name not in SECRETS_KNOWN
        for one in found[name]
    ]
    yield _figure("secrets: files looked through", len(files), "files", 200, least=True)
    yield _figure("secrets: new", len(_told(plan, new)), "findings")


def _lock(plan: Plan) -> Iterator[Outcome]:
    pinned, loose = locked((ROOT / LOCK).read_text("utf-8"))
    yield _figure("requirements that are locked", len(pinned), "packages", 30, least=True)
    yield _figure("requirements without a version or a hash", len(_told(plan, loose)), "packages")


def locked(text: str) -> tuple[set[str], list[str]]:
    """(names with one version and a SHA-256, lines without) of a lock."""
    pinned, loose = set(), []
    for entry in text.replace("\\\n", " ").splitlines():
        line = entry.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        if PINNED.match(line) and re.search(r"--hash=sha256:[0-9a-f]{64}\b", line):
            pinned.add(_normal(re.split(r"[=\[]", line)[0]))
        else:
            loose.append(f"{LOCK}: {line[:80]}")
    return pinned, loose


def _normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _migrations(plan: Plan) -> Iterator[Outcome]:
    found = sql_is_safe(ROOT / "migrations")
    if found.state == "skipped":
        yield Gap(suite="A", name=found.check, lacks=found.detail)
        return
    plan.told(f"  {found.check}: {found.detail or found.state}")
    yield _figure("migrations that squawk refuses", found.state != "ok", "findings")


def _bill(plan: Plan) -> Iterator[Outcome]:
    """The bill of materials of what is installed, as CycloneDX."""
    tool = _tool("cyclonedx-py")
    if tool is None:
        yield _gap("bill of materials", "cyclonedx-bom")
        return
    out = plan.folder / "sbom.json"
    _asked([tool, "environment", sys.executable, "--output-file", str(out)])
    bill = json.loads(out.read_bytes())
    parts = {_normal(one["name"]): one for one in bill["components"]}
    pinned, _ = locked((ROOT / LOCK).read_text("utf-8"))
    missing = sorted(runtime_packages() - pinned)
    plan.told(f"  {len(parts)} packages, {sum('licenses' not in one for one in parts.values())} that name no license")
    yield _figure("packages in the bill of materials", len(parts), "packages", 30, least=True)
    yield _figure("runtime packages that are not in the bill", len(runtime_packages() - set(parts)), "packages")
    yield _figure("runtime packages that are not locked", len(_told(plan, missing)), "packages")


def runtime_packages() -> set[str]:
    """The names of what the server needs, and of what that needs, as far as it is installed."""
    found: set[str] = set()
    todo = ["innkeeper"]
    while todo:
        for text in metadata.requires(todo.pop()) or ():
            name = _normal(re.split(r"[\s;<>=!~\[(]", text, maxsplit=1)[0])
            if "extra ==" not in text and name not in found and _installed(name):
                found.add(name)
                todo.append(name)
    return found


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def site_packages() -> Path:
    """Where packages are installed."""
    return Path(sysconfig.get_path("purelib"))


def strange_pth(folder: Path) -> list[str]:
    """The `.pth` files that run code at each start of Python and are not known to."""
    return [
        str(path)
        for path in sorted(folder.glob("*.pth"))
        if path.name not in PTH_KNOWN
        and any(line.startswith(("import ", "import\t")) for line in path.read_text("utf-8").splitlines())
    ]


def _models(plan: Plan) -> Figure:
    """Each model with one byte changed."""
    taken = 0
    listed = catalog.load(ROOT / "models" / "catalog.toml")
    entries: list[catalog.Entry | catalog.Table] = [*listed.models, *listed.tables]
    for entry in entries:
        source = ROOT / "models" / entry.file
        if not source.exists():
            continue
        data = bytearray(source.read_bytes())
        data[len(data) // 2] ^= 1
        (plan.folder / entry.file).write_bytes(data)
        try:
            catalog.read_verified(entry, plan.folder)
            taken += 1
        except EngineDown:
            pass
    return _figure("changed models that are taken", taken, "models")


def _wheel(plan: Plan) -> Iterator[Outcome]:
    """A small wheel installed by its hash, and again with one byte changed."""
    tool = _tool("uv")
    if tool is None:
        yield _gap("changed wheel", "uv")
        return
    wheel = _make_wheel(plan.folder)
    wanted = plan.folder / "wanted.txt"
    wanted.write_text(f"parcel==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    command = [tool, "pip", "install", "--no-index", "--no-cache", "--no-deps", "--require-hashes"]
    command += ["--find-links", str(plan.folder), "-r", str(wanted), "--python", sys.executable]
    whole = _ends(command, plan.folder / "whole")
    data = bytearray(wheel.read_bytes())
    data[40] ^= 1
    wheel.write_bytes(data)
    yield _figure("wheels that are refused as they were", whole != 0, "wheels")
    yield _figure("changed wheels that are taken", _ends(command, plan.folder / "changed") == 0, "wheels")


def _ends(command: Sequence[str], target: Path) -> int:
    return subprocess.run(  # noqa: S603  # our own command
        [*command, "--target", str(target)], capture_output=True, timeout=TOOL_S_MAX, check=False
    ).returncode


def _make_wheel(folder: Path) -> Path:
    """The least that installs (PEP 427)."""
    files = {
        "parcel.py": b"",
        "parcel-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n",
        "parcel-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: p\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
    path = folder / "parcel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)
        wheel.writestr("parcel-1.0.dist-info/RECORD", record + "parcel-1.0.dist-info/RECORD,,\n")
    return path


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _advisories(plan: Plan) -> Iterator[Outcome]:
    """Known vulnerabilities, by pip-audit; without its service it would skip every package and still end well."""
    if importlib.util.find_spec("pip_audit") is None:
        yield Gap(suite="A", name="known vulnerabilities", lacks="pip-audit and the network that it asks")
        return
    command = [sys.executable, "-m", "pip_audit", "--strict", "--require-hashes", "-r", str(ROOT / LOCK), "-f", "json"]
    text = _asked(command)
    if not text.strip():
        yield Gap(suite="A", name="known vulnerabilities", lacks="the advisory service that pip-audit asks")
        return
    found = [one["name"] for one in json.loads(text)["dependencies"] if one.get("vulns")]
    yield _figure("packages with a known vulnerability", len(_told(plan, found)), "packages")
