"""Whose rows are meant, as tests: the tenant comes first, and work for every tenant stands in one list."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from app.stores import tables
from app.stores.tenancy import tenant_tables

ROOT = Path(__file__).resolve().parents[2]
STORES = sorted((ROOT / "app" / "stores").rglob("*.py"))
TABLES = {table.name for table in tenant_tables(tables.metadata)}

SYSTEM = {
    "repositories.world_ids": "a backup, an export and a replay hold every tenant's worlds",
    "repositories.claims": "a server takes up the worlds of every tenant at its start, and looks after its own",
    "repositories.lost_claims": "a group commit holds rows of several tenants, each named by its claim",
    "repositories.keyed_calls": "one look-up serves several tenants, each named by its key",
    "repositories.tenant_ids": "whose ids are there, before one is chosen",
    "replay.newest_seqs": "a backup's manifest names every world",
    "replay.chosen_worlds": "an export or a replay of every tenant, as its filters say",
    "export.read_events": "an import holds the worlds of every tenant",
    "tenant_settings.all_held": "a server obeys the settings of every tenant",
    "tenant_settings.signature": "a server notices that any tenant's settings have changed",
    "checkpoints._page": "the twin names its tenant",
    "backup._dump": "a backup holds every tenant",
    "identity.api_keys": "a key says whose it is, so all are known before the tenant is",
    "identity.note_used": "days of use of several tenants' keys, each named with its tenant",
    "identity.tidy": "what is long over goes, whosever it was",
    "persons._end": "the erasure names its tenant",
    "persons._note": "the erasure names its tenant",
    "persons._subjects": "a start holds the tombstones against the persons of every tenant",
    "retention.forget_old": "retention is the server's, whosever the rows are",
    "rotation.count_keys": "a new master key wraps every tenant's keys",
    "rotation.require_masters": "no tenant's key may be wrapped by a master key that is not here",
    "rotation.retire_masters": "a master key that wraps any tenant's keys stays",
}
"""Functions that touch tables of tenants without the tenant as their first parameter, each with its reason."""

EVERY_TENANT = {
    "app/build/__init__.py": "what models have cost, told to the budgets at the start",
    "app/build/access.py": "every key, at the start",
    "app/build/privacy.py": "no tenant's key may be wrapped by a master key that is not here",
    "app/build/records.py": "whose access has changed, and the upkeep of it",
    "app/cli/privacy.py": "retention is the server's",
    "app/cli/prove/contract/world.py": "a proof lays keys of two tenants down",
    "app/cli/prove/office.py": "a proof lays keys of two tenants down",
    "app/cli/vault.py": "a new master key wraps every tenant's keys",
    "app/cli/events.py": "export, import and replay of every tenant, where none is named",
    "app/cli/features.py": "vectors of every world are made again",
    "app/cli/keys.py": "a list of every key, on the host",
    "app/cli/tenants.py": "a list of every tenant, on the host",
    "app/cli/usage.py": "what models have cost, where no tenant is named",
    "app/stores/backup.py": "a backup holds everything",
    "app/stores/door_usage.py": "what the doors have spent, at the start",
    "app/stores/chains.py": "whose trails there are, for their retention",
    "app/stores/persons.py": "erasures that are not finished, and what a restore brought back",
    "app/stores/retention.py": "retention is the server's, and each tenant's own",
    "app/stores/rotation.py": "a new master key wraps every tenant's keys",
    "app/stores/ownership.py": "whose worlds this server keeps",
    "app/stores/restore.py": "what was restored is examined whole",
    "app/stores/tenancy.py": "where it is defined",
    "app/stores/tenant_settings.py": "what any tenant has set",
}
"""Files that work for every tenant at once, each with its reason."""


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in STORES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield f"{path.stem}.{node.name}", node


def touches_tenants(node: ast.FunctionDef) -> bool:
    """Whether a table of tenants is named in it, as `tables.events` or by its bare name."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "tables":
            if inner.attr in TABLES:
                return True
        elif isinstance(inner, ast.Name) and inner.id in {"checkpoints", "checkpoint_parts"}:
            return True
    return False


def test_the_tenant_is_the_first_parameter_of_every_query() -> None:
    lacking = set()
    for name, node in functions():
        parameters = [argument.arg for argument in node.args.args]
        if "connection" not in parameters[:1] or not touches_tenants(node):
            continue
        if parameters[1:2] not in (["tenant"], ["owner"]):
            lacking.add(name)
    assert lacking <= set(SYSTEM), "give it the tenant first, or a line with its reason above"


def test_the_list_of_system_functions_names_what_is_there() -> None:
    assert set(SYSTEM) <= {name for name, _ in functions()}


def test_work_for_every_tenant_stands_in_the_list() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "app").rglob("*.py"))
        if "EVERY_TENANT" in path.read_text()
    }
    assert found == set(EVERY_TENANT)
