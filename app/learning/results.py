"""What a training leaves: the policy as ONNX, its scorecard, its pictures, and a catalog entry ready to paste.

It runs one training, or several of which the best on held-out villages is kept. Needs the extra `train`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import msgspec

from app.learning import episode, pictures, scorecard
from app.learning.envs.environment import Brain
from app.learning.envs.recording import Recording, lively, record
from app.learning.envs.village import FEATURES, ROLES, VILLAGER
from app.learning.export import LAYERS, export
from app.learning.nets import OUTPUTS
from app.learning.ppo import brain
from app.learning.scorecard import Scorecard, Start, Verdict
from app.learning.train import CHECKPOINT_S, Budget, Course, Run, Tell

FILES = (
    "policy.onnx", "scorecard.json", "scorecard.png", "curve.png", "episode.gif", "episode.png", "catalog.toml",
    "checkpoint.pt",
)  # fmt: skip
HELD_OUT_SEED, CARD_SEED, EPISODE_SEED = 7_001, 9_001, 11
"""Villages that choose among runs, that are scored, and that are shown; training draws from none of them."""
EPISODES = 4
"""Lives that are recorded, of which the liveliest is drawn."""


@dataclass(frozen=True, slots=True)
class Finish:
    """How much is measured and drawn at the end, and what is written of the run."""

    villages: int = 96
    steps: int = 960
    episode_steps: int = 480
    frames_max: int = 150
    others: Mapping[str, Start] = field(default_factory=dict)
    """Baselines beside the rules."""
    id: str = "my-policy"
    """Of the catalog entry."""
    command: str = ""
    """That made it."""


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What a run left behind: the content of scorecard.json."""

    model: str
    sha256: str
    fingerprint: str
    command: str
    seed: int
    minutes: float
    agent_steps: int
    agent_steps_per_s: float
    roles: tuple[str, ...]
    """Those that the policy leads; the others keep their rules."""
    rewards: dict[str, float]
    scorecard: Scorecard


def train(
    course: Course, budget: Budget, out: Path, *, seeds: int = 1, threads: int = 2, tell: Tell | None = None,
    finish: Finish | None = None, checkpoint_s: float = CHECKPOINT_S,
) -> Trained:  # fmt: skip
    """Train within `budget`, going on from what a killed run left in `out`, and write FILES there.

    With several `seeds`, they share the budget, each in its folder; the best on held-out villages becomes the result.
    Raises Invalid when `out` holds a run of another seed, schema or rewards.
    """
    finish, tell = finish or Finish(), tell or _silent
    runs = []
    for at in range(seeds):
        folder = out if seeds == 1 else out / f"seed-{course.seed + at}"
        run = Run(replace(course, seed=course.seed + at), folder, threads=threads)
        first = at / seeds
        run.go(budget.part(seeds), lambda share, words: tell((first + share / seeds), words), checkpoint_s=checkpoint_s)  # noqa: B023  # called before the next turn
        runs.append(run)
    tell(1.0, "choosing the best seed" if seeds > 1 else "measuring")
    run = max(runs, key=lambda each: _merit(each, finish, threads)) if seeds > 1 else runs[0]
    if seeds > 1:
        shutil.copyfile(run.folder / "checkpoint.pt", out / "checkpoint.pt")
    return _leave(run, out, threads, tell, finish)


def _silent(share: float, words: str) -> None:
    """Nobody watches."""


def _merit(run: Run, finish: Finish, threads: int) -> tuple[int, float]:
    """Measures that are better less twice those that are worse, then how clearly."""
    card = scorecard.measure(
        brain(run.policy), run.course.rules, villages=finish.villages, steps=finish.steps, seed=HELD_OUT_SEED,
        threads=threads,
    )  # fmt: skip
    gaps = [verdict.difference for verdict in card.measures.values()]
    return card.count("better") - 2 * card.count("worse"), sum(gap.mean / max(1e-6, gap.half) for gap in gaps)


def _leave(run: Run, out: Path, threads: int, tell: Tell, finish: Finish) -> Trained:
    """Measure, export and draw; every file is whole or not there."""
    course, progress, policy = run.course, run.progress, brain(run.policy)
    card = scorecard.measure(
        policy, course.rules, others=finish.others, villages=finish.villages, steps=finish.steps, seed=CARD_SEED,
        threads=threads,
    )  # fmt: skip
    roles = card.winners()
    weights = {name: value.numpy() for name, value in run.policy.state_dict().items() if name.split(".")[0] in LAYERS}
    metadata = {
        "schema": "open_world", "fingerprint": course.fingerprint, "roles": ",".join(roles), "seed": str(course.seed),
    }  # fmt: skip
    sha256 = export(weights, out / "policy.onnx", metadata)
    trained = Trained(
        model="policy.onnx", sha256=sha256, fingerprint=course.fingerprint, command=finish.command, seed=course.seed,
        minutes=round(progress.spent_s / 60.0, 1), agent_steps=progress.agent_steps,
        agent_steps_per_s=round(progress.agent_steps / max(1e-9, progress.spent_s)), roles=roles,
        rewards=course.rewards._asdict(), scorecard=card,
    )  # fmt: skip
    _write(out / "scorecard.json", msgspec.json.format(msgspec.json.encode(trained), indent=2).decode())
    _write(out / "catalog.toml", catalog_entry(trained, finish.id, _probe((out / "policy.onnx").read_bytes())))
    tell(1.0, "drawing")
    pictures.curve(progress.curve, out / "curve.png")
    pictures.bars(card, out / "scorecard.png")
    shown = _episode(policy, course.rules, roles, finish.episode_steps)
    episode.gif(shown, out / "episode.gif", frames_max=finish.frames_max)
    episode.png(shown, out / "episode.png")
    return trained


def _episode(policy: Brain, rules: Brain, roles: tuple[str, ...], steps: int) -> Recording:
    """The liveliest of a few lives of people as they are served."""
    led = [number for number, name in enumerate(ROLES) if name in roles and number <= VILLAGER]
    return max((record(policy, rules, led, seed=EPISODE_SEED + at, steps=steps) for at in range(EPISODES)), key=lively)


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(text, "utf-8")
    os.replace(draft, path)


def _probe(data: bytes) -> tuple[float, ...]:
    """What a server asks the network when it loads it; nothing where no runtime is installed to ask."""
    if find_spec("onnxruntime") is None:
        return ()
    from app.engines.onnx.gates import probe_of

    return probe_of(data)


def catalog_entry(trained: Trained, id: str, probe: tuple[float, ...] = ()) -> str:
    """The lines that register the policy in models/catalog.toml, once policy.onnx lies beside it as `id`.onnx."""
    card = trained.scorecard
    lines = [
        "[[models]]",
        f'id = "{id}"',
        f'file = "{id}.onnx"',
        f'sha256 = "{trained.sha256}"',
        'licence = "Apache-2.0"',
        'engine = "onnx"',
        f'inputs = [{{ name = "obs", type = "float32", shape = [-1, {FEATURES}] }}]',
        f'outputs = [{{ name = "logits", type = "float32", shape = [-1, {OUTPUTS}] }}]',
        f'fingerprint = "{trained.fingerprint}"',
        f"roles = [{', '.join(f'{chr(34)}{role}{chr(34)}' for role in trained.roles)}]",
        f'command = "{trained.command}"',
        f"seed = {trained.seed}",
        *([f"probe = {list(probe)!r}"] if probe else []),
        "",
        "[models.scorecard]",
        *(f'{name} = "{_phrase(verdict)}"' for name, verdict in card.measures.items()),
        *(f'role_{name} = "{_phrase(verdicts["reward"])}"' for name, verdicts in card.roles.items()),
    ]
    return "\n".join(lines) + "\n"


def _phrase(verdict: Verdict) -> str:
    policy, rules, gap = verdict.policy, verdict.rules, verdict.difference
    return f"{policy.mean:.3f} against {rules.mean:.3f}, {gap.mean:+.3f} ± {gap.half:.3f}, {verdict.word}"
