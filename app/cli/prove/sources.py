"""What must never stand in our own source: ways to run text as code, to read objects from bytes, to skip a check.

It reads syntax trees and knows no tool.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

CALLS = frozenset({
    "eval", "exec", "compile", "__import__", "pickle.load", "pickle.loads", "marshal.load", "marshal.loads",
    "shelve.open", "dill.load", "dill.loads", "joblib.load", "yaml.load", "yaml.unsafe_load", "os.system", "os.popen",
    "numpy.load", "np.load", "torch.load", "tempfile.mktemp", "ssl._create_unverified_context",
})  # fmt: skip
KEYWORDS = {
    "shell": True, "verify": False, "verify_signature": False, "allow_pickle": True,
    "weights_only": False, "check_hostname": False, "autoescape": False,
}  # fmt: skip
MODULES = frozenset({"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "telnetlib", "litellm"})


def forbidden(root: Path) -> list[str]:
    """`file:line what` of each place in the package under `root`."""
    return [
        f"{path.relative_to(root)}:{line} {what}"
        for path in sorted((root / "app").rglob("*.py"))
        for line, what in found_in(path.read_text("utf-8"))
    ]


def found_in(source: str) -> Iterator[tuple[int, str]]:
    """(line, what) of each forbidden call, keyword and import of one file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS and not any(one.arg == "weights_only" and _is(one.value, True) for one in node.keywords):
                yield node.lineno, name
            for keyword in node.keywords:
                if keyword.arg in KEYWORDS and _is(keyword.value, KEYWORDS[keyword.arg]):
                    yield node.lineno, f"{keyword.arg}={KEYWORDS[keyword.arg]}"
            yield from _options(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            yield from ((node.lineno, f"import {name}") for name in names if name.partition(".")[0] in MODULES)


def _options(call: ast.Call) -> Iterator[tuple[int, str]]:
    """As the keywords, where a call takes them in a dictionary: `options={"verify_signature": False}`."""
    for given in (*call.args, *(one.value for one in call.keywords)):
        if isinstance(given, ast.Dict):
            for key, value in zip(given.keys, given.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in KEYWORDS and _is(value, KEYWORDS[str(key.value)]):
                    yield given.lineno, f"{key.value!r}: {KEYWORDS[str(key.value)]}"


def _is(node: ast.expr, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
