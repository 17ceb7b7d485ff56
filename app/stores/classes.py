"""What every column holds, and for how long: a class, a retention, and how it is kept from sight.

A column that is not listed here fails the build, and so does one that is confidential or personal and kept in the
clear. `personal` is what says something about a person beside the pseudonym that the game gave them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from app.core.profile import Privacy

Class = Literal["public", "internal", "confidential", "personal"]
Kept = Literal["clear", "sealed", "hashed", "wrapped"]
Retention = Literal["log", "replaced", "account", "job", "line", "keys", "sign_in", "person", "audit", "report"]

RETENTIONS: dict[Retention, str] = {
    "log": "as long as its world; what is personal goes with an erasure",
    "replaced": "until the next one replaces it",
    "account": "as long as the tenant",
    "job": "privacy.records_days_max",
    "line": "privacy.lines_days_max, or until an erasure of a person that it is about",
    "report": "privacy.reports_days_max, or until an erasure",
    "sign_in": "two days after its end",
    "person": "until the operator is removed",
    "audit": "audit.retention_days, 0 being for good",
    "keys": "privacy.keys_days_max after it was revoked, or until an erasure",
}


class Held(NamedTuple):
    """One column."""

    class_: Class
    retention: Retention
    kept: Kept = "clear"


_ID = Held("internal", "log")
_WORK = Held("internal", "replaced")
COLUMNS: dict[str, dict[str, Held]] = {
    "tenants": dict.fromkeys(("id", "name", "created_ms"), Held("internal", "account")),
    "api_keys": {
        **dict.fromkeys(
            ("tenant", "prefix", "label", "scopes", "created_ms", "expires_ms", "revoked_ms"),
            Held("internal", "keys"),
        ),
        **dict.fromkeys(("role", "rotation", "previous_until_ms", "used_day", "change"), Held("internal", "keys")),
        **dict.fromkeys(("secret_sha256", "secret_hmac", "previous_digest"), Held("confidential", "keys", "hashed")),
    },
    "secrets": {"name": Held("internal", "account"), "value": Held("confidential", "account", "sealed")},
    "worlds": dict.fromkeys(("tenant", "id", "created_ms", "owner", "fence"), Held("internal", "account")),
    "leases": dict.fromkeys(("tenant", "name", "owner", "token", "until_ms"), _WORK),
    "schema_support": {"oldest": Held("public", "account")},
    "events": dict.fromkeys(("tenant", "world", "seq", "id", "wall_ms", "game_s", "version", "body"), _ID),
    "idempotency": dict.fromkeys(
        ("tenant", "world", "key", "first_seq", "last_seq", "request"), Held("internal", "job")
    ),
    "checkpoints": {
        **dict.fromkeys(("tenant", "world", "seq"), _WORK),
        "state": Held("personal", "replaced"),
    },
    "checkpoint_parts": {
        **dict.fromkeys(("tenant", "world", "seq", "part", "parts"), _WORK),
        "body": Held("personal", "replaced"),
    },
    "access_version": dict.fromkeys(("id", "version"), _WORK),
    "access_rules": dict.fromkeys(
        ("tenant", "actor", "scopes", "generation", "ended_ms", "change"), Held("internal", "keys")
    ),
    "token_families": {
        **dict.fromkeys(
            (
                "tenant",
                "handle",
                "id",
                "actor",
                "scopes",
                "rotation",
                "generation",
                "since_ms",
                "ends_ms",
                "expires_ms",
                "ended_ms",
            ),
            Held("internal", "sign_in"),
        ),
        "digest": Held("confidential", "sign_in", "hashed"),
    },
    "signing_keys": {
        **dict.fromkeys(("id", "created_ms", "signs_ms", "retired_ms", "change"), Held("internal", "account")),
        "value": Held("confidential", "account", "sealed"),
    },
    "operators": {
        **dict.fromkeys(
            (
                "tenant",
                "id",
                "login",
                "login_key",
                "role",
                "totp_step",
                "created_ms",
                "joined_ms",
                "signed_in_ms",
                "disabled_ms",
                "removed_ms",
            ),
            Held("internal", "person"),
        ),
        "password_hash": Held("confidential", "person", "hashed"),
        "totp_secret": Held("confidential", "person", "sealed"),
    },
    "operator_codes": {
        **dict.fromkeys(("tenant", "kind", "operator", "expires_ms"), Held("internal", "sign_in")),
        "digest": Held("confidential", "sign_in", "hashed"),
        "data": Held("confidential", "sign_in", "sealed"),
    },
    "operator_passkeys": dict.fromkeys(
        ("tenant", "digest", "operator", "credential", "public_key", "sign_count", "label", "created_ms", "used_ms"),
        Held("internal", "person"),
    ),
    "sign_in_attempts": dict.fromkeys(
        ("tenant", "subject", "failures", "until_ms", "seen_ms"), Held("internal", "sign_in")
    ),
    "audit_entries": dict.fromkeys(
        ("tenant", "seq", "id", "wall_ms", "actor", "action", "target", "details", "hash"), Held("internal", "audit")
    ),
    "audit_heads": dict.fromkeys(("tenant", "seq", "hash", "signed_seq", "signed_ms"), Held("internal", "audit")),
    "audit_checkpoints": dict.fromkeys(
        ("tenant", "seq", "kind", "wall_ms", "hash", "signature"), Held("internal", "audit")
    ),
    "tenant_settings": dict.fromkeys(
        ("tenant", "version", "changed_ms", "suspended", "body"), Held("internal", "account")
    ),
    "door_usage": dict.fromkeys(
        (
            "tenant",
            "world",
            "day",
            "engine",
            "writer",
            "calls",
            "tokens_in",
            "tokens_out",
            "cached_tokens_in",
            "cost_nano_usd",
        ),
        Held("internal", "account"),
    ),
    "prompts_versions": dict.fromkeys(
        ("tenant", "prompt", "version", "created_ms", "actor", "body"), Held("internal", "account")
    ),
    "prompts_labels": dict.fromkeys(
        ("tenant", "prompt", "label", "change", "changed_ms", "body"), Held("internal", "account")
    ),
    "prompt_evals": dict.fromkeys(
        ("tenant", "id", "prompt", "version", "set_id", "wall_ms", "body"), Held("internal", "account")
    ),
    "data_keys": {
        **dict.fromkeys(("tenant", "purpose", "id", "created_ms", "retired_ms"), Held("internal", "keys")),
        "wrapped": Held("confidential", "keys", "wrapped"),
    },
    "subject_keys": {
        **dict.fromkeys(("tenant", "id", "subject", "world", "created_ms"), Held("internal", "keys")),
        "wrapped": Held("confidential", "keys", "wrapped"),
    },
    "sealed_events": {
        **dict.fromkeys(("tenant", "world", "seq", "key", "other_key"), _ID),
        "body": Held("personal", "log", "sealed"),
    },
    "minds": dict.fromkeys(("tenant", "world", "holder", "seq"), _ID),
    "sealed_checkpoints": {
        **dict.fromkeys(("tenant", "world", "seq", "part", "parts"), _WORK),
        "body": Held("personal", "replaced", "sealed"),
    },
    "batches": dict.fromkeys(
        (
            "tenant",
            "id",
            "state",
            "engine",
            "remote",
            "lines",
            "done",
            "failed",
            "cost_nano_usd",
            "created_ms",
            "wait_until_ms",
            "ended_ms",
            "cancel",
            "owner",
            "owned_until_ms",
        ),
        Held("internal", "job"),
    ),
    "batch_lines": {
        **dict.fromkeys(("tenant", "id", "batch", "row", "tries", "world", "player"), Held("internal", "job")),
        "request": Held("personal", "job", "sealed"),
        "outcome": Held("personal", "job", "sealed"),
    },
    "dialogue_records": {
        **dict.fromkeys(("tenant", "id", "world", "wall_ms"), Held("internal", "line")),
        "body": Held("personal", "line", "sealed"),
    },
    "dialogue_record_persons": dict.fromkeys(("tenant", "world", "person", "id"), Held("internal", "line")),
    "reports": {
        **dict.fromkeys(
            ("tenant", "id", "world", "player", "explain_id", "npc", "category", "state", "ai_generated", "made_ms"),
            Held("internal", "report"),
        ),
        **dict.fromkeys(("settled_ms", "settled_by"), Held("internal", "report")),
        **dict.fromkeys(("body", "note"), Held("personal", "report", "sealed")),
    },
    "erasures": dict.fromkeys(
        ("tenant", "alias", "subject", "digest", "left_over", "requested_ms", "finished_ms"),
        Held("internal", "account"),
    ),
}
CLEAR: dict[str, str] = {
    "checkpoints.state": "read from releases before sealing, never written; goes with the next checkpoint",
    "checkpoint_parts.body": "read from releases before sealing, never written; goes with the next checkpoint",
}
"""Columns above `internal` that lie in the clear, each with its reason; the list does not grow without one."""


def retentions(privacy: Privacy) -> dict[str, str]:
    """How long each kind of thing is kept, in words."""
    names = ("records_days_max", "lines_days_max", "keys_days_max", "reports_days_max")
    days = {f"privacy.{name}": getattr(privacy, name) for name in names}
    told: dict[str, str] = {}
    for name, text in RETENTIONS.items():
        for key, value in days.items():
            text = text.replace(key, f"{value} days")
        told[name] = text
    return told


def data_map() -> str:
    """The data map as a page of the documentation."""
    from app.world.classes import FIELDS

    lines = [
        "# Data map",
        "",
        "What is kept, what class it has, how it is kept from sight and for how long. Written by "
        "`manage.py privacy data-map`; a test compares.",
        "",
        "## Columns",
        "",
        "| table | column | class | kept | retention |",
        "|---|---|---|---|---|",
    ]
    for table, columns in COLUMNS.items():
        lines += [f"| {table} | {name} | {held.class_} | {held.kept} | {RETENTIONS[held.retention]} |"
                  for name, held in columns.items()]  # fmt: skip
    lines += ["", "## Events", "", "Personal fields are sealed under a key of their person.", ""]
    lines += ["| event | field | class |", "|---|---|---|"]
    lines += [f"| {type_} | {name} | {class_} |" for type_, fields in FIELDS.items() for name, class_ in fields.items()]
    lines += [
        "",
        "## Outside the database",
        "",
        "| place | class | kept | retention |",
        "|---|---|---|---|",
        "| `master.key` | confidential | clear, mode 0600 | until it is retired |",
        "| `erasures.log` | internal | salted hashes | always: it is what keeps the erased erased |",
        "| `keys.bin` of a backup | confidential | wrapped | as long as the backup |",
        "| feature vectors and their history | internal | clear, numbers by pseudonym | until they are made anew |",
        "| shared stream | internal | clear, without personal fields | `stream.entries_max` |",
        "| dialogues, explained lines, news, pushes | personal | in memory | until they are idle, or erased |",
        "",
    ]
    return "\n".join(lines)
