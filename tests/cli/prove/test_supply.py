"""What suite A looks for, found where it is planted, and not found in what is ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.build import ROOT
from app.cli.prove import patterns, sources, supply
from app.cli.prove.figures import Figure, Plan

HASH = "--hash=sha256:" + "0" * 64


def plan(folder: Path) -> Plan:
    return Plan("quick", 1, folder, lambda _line: None)


def test_nothing_forbidden_stands_in_the_source() -> None:
    assert sources.forbidden(ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)", "pickle.loads(data)", "import pickle", "from marshal import loads", "yaml.load(text)",
        "jwt.decode(token, options={'verify_signature': False})", "run(command, shell=True)", "get(url, verify=False)",
        "np.load(file, allow_pickle=True)", "torch.load(path)", "os.system(command)",
    ],
)  # fmt: skip
def test_row_7_and_its_like_are_found(line: str) -> None:
    assert list(sources.found_in(f"import os\n{line}\n"))


def test_the_lock_holds_one_version_and_a_hash_of_each_runtime_package() -> None:
    pinned, loose = supply.locked((ROOT / supply.LOCK).read_text("utf-8"))
    assert loose == []
    assert supply.runtime_packages() <= pinned


@pytest.mark.parametrize("line", ["a>=1 " + HASH, "a==1", "a @ file:///a.whl", "-e .", "a==1 --hash=md5:00"])
def test_row_17_a_requirement_that_could_change_is_found(line: str) -> None:
    assert supply.locked(f"{line}\n# a comment\n")[1]
    assert supply.locked(f"a[b]==1 ; python_version > '3' \\\n    {HASH}\n") == ({"a"}, [])


def test_row_17_a_pth_file_that_runs_code_is_found(tmp_path: Path) -> None:
    (tmp_path / "path.pth").write_text("/some/folder\n")
    (tmp_path / "litellm_init.pth").write_text("import os; os.system('id')\n")
    assert [Path(one).name for one in supply.strange_pth(tmp_path)] == ["litellm_init.pth"]
    assert supply.strange_pth(supply.site_packages()) == []


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    assert supply._models(plan(tmp_path)).value == 0


def test_row_17_a_changed_wheel_is_refused_by_its_hash(tmp_path: Path) -> None:
    figures = list(supply._wheel(plan(tmp_path)))
    assert all(one.reached for one in figures if isinstance(one, Figure))


def test_no_pattern_takes_long_over_a_hostile_text() -> None:
    found = list(patterns.patterns())
    assert len(found) >= 20
    assert not [one.where for one in found if patterns.slowest_s(one) > 0.2]


def test_a_pattern_that_takes_long_is_noticed() -> None:
    import re

    slow = patterns.Found("here", re.compile(r"\s+x"), anchored=False)
    assert patterns.slowest_s(slow) > 2 * patterns.slowest_s(patterns.Found("here", slow.pattern, anchored=True))
