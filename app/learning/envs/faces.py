"""The village as the field's own interfaces: Gymnasium's VectorEnv and Env, PettingZoo's ParallelEnv.

By their protocols alone: neither package is needed to import or to step; spaces are made, and the packages imported,
when they are asked for. An action is one number, 5 * intent + slot + 1, where slot -1 is nobody.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import EngineDown, Invalid, nearest
from app.learning.envs.environment import Brain, Environment
from app.learning.envs.rewards import Rewards
from app.learning.envs.sensing import SLOT_COLUMN
from app.learning.envs.village import AIMS, F32, FEATURES, I8, INTENTS, ROLES, SLOTS

ACTIONS = len(INTENTS) * (SLOTS + 1)
STEPS_MAX = 960
"""Steps of an episode: eight minutes."""
I64 = NDArray[np.int64]
_HP_COLUMNS = [SLOT_COLUMN + 4 * slot + 2 for slot in range(SLOTS)]
_AIMS = np.array([[slot in aims for slot in range(SLOTS)] for aims in AIMS])


def split(actions: I64) -> tuple[I8, I8]:
    """Actions (n,) -> intents and slots (n,) int8."""
    return (actions // (SLOTS + 1)).astype(np.int8), (actions % (SLOTS + 1) - 1).astype(np.int8)


def legal(obs: F32, mask: NDArray[np.uint8]) -> I8:
    """Which actions are allowed: (n, 64) and (n, 12) -> (n, 60) int8. An intent that may aim at somebody must."""
    filled = _AIMS[None] & (obs[:, None, _HP_COLUMNS] > 0.0)  # (n, 12, 4)
    found = np.concatenate([~filled.any(2, keepdims=True), filled], axis=2) & (mask[:, :, None] != 0)
    return found.reshape(len(obs), ACTIONS).astype(np.int8)


class Vector:
    """V villages of n NPCs as V * n environments stepped together, one for each NPC (gymnasium.vector.VectorEnv).

    A death terminates; the body then idles until it returns to its home, and `info["alive"]` says so. All truncate
    together after `steps_max`, and the next step begins anew (next-step autoreset). `info["action_mask"]` is
    (rows, 60).
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": "NextStep"}
    render_mode: str | None = None
    spec: Any = None

    def __init__(
        self, villages: int = 16, npcs: int = 48, *, threads: int = 1, steps_max: int = STEPS_MAX,
        rewards: Rewards | None = None,
    ) -> None:  # fmt: skip
        self.num_envs = villages * npcs
        self._shape, self._threads, self._rewards, self._steps_max = (villages, npcs), threads, rewards, steps_max
        self._seed, self._steps = 0, steps_max

    @cached_property
    def single_observation_space(self) -> Any:
        """Of one NPC: Box (64,)."""
        return _spaces().Box(-1.0, 1.0, (FEATURES,), np.float32)

    @cached_property
    def observation_space(self) -> Any:
        """Box (rows, 64)."""
        return _spaces().Box(-1.0, 1.0, (self.num_envs, FEATURES), np.float32)

    @cached_property
    def single_action_space(self) -> Any:
        """Of one NPC: Discrete (60)."""
        return _spaces().Discrete(ACTIONS)

    @cached_property
    def action_space(self) -> Any:
        """One action for each row."""
        return _spaces().MultiDiscrete([ACTIONS] * self.num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[F32, dict[str, Any]]:
        """Draw new villages: the same for the same seed, others each time without one."""
        self._seed = self._seed + 1 if seed is None else seed
        self._environment = Environment(*self._shape, self._seed, threads=self._threads, rewards=self._rewards)
        self._steps = 0
        return self._seen()

    def step(self, actions: I64) -> tuple[F32, F32, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Observations (rows, 64), rewards, terminations, truncations (rows,) and info after half a second."""
        rows = self.num_envs
        if self._steps >= self._steps_max:
            obs, info = self.reset()
            return obs, np.zeros(rows, np.float32), np.zeros(rows, np.bool_), np.zeros(rows, np.bool_), info
        moment = self._environment.step(*split(np.asarray(actions)))
        self._steps += 1
        obs, info = self._seen()
        over = np.full(rows, self._steps >= self._steps_max)
        return obs, moment.reward.reshape(-1).copy(), moment.died.reshape(-1).copy(), over, info

    def close(self, **kwargs: Any) -> None:
        """Nothing is held but memory."""

    def _seen(self) -> tuple[F32, dict[str, Any]]:
        obs, mask = self._environment.observe()
        village = self._environment.village
        info = {
            "action_mask": legal(obs, mask), "alive": village.alive.reshape(-1) == 1,
            "role": village.role.reshape(-1).copy(),
        }  # fmt: skip
        return obs.copy(), info


class Solo:
    """One NPC of one village; a brain leads everyone else (gymnasium.Env). `info["action_mask"]` is (60,)."""

    metadata: dict[str, Any] = {"render_modes": []}
    render_mode: str | None = None
    spec: Any = None

    def __init__(self, others: Brain, *, role: str = "villager", npcs: int = 48, steps_max: int = STEPS_MAX) -> None:
        if role not in ROLES:
            raise Invalid(f"no role {role!r}", hint=nearest(role, ROLES))
        self._others, self._role, self._npcs, self._steps_max = others, ROLES.index(role), npcs, steps_max
        self._np_random, self._np_random_seed = np.random.default_rng(0), 0  # named as Gymnasium's checker wants it
        self._steps = 0

    @cached_property
    def observation_space(self) -> Any:
        """Box (64,)."""
        return _spaces().Box(-1.0, 1.0, (FEATURES,), np.float32)

    @cached_property
    def action_space(self) -> Any:
        """Discrete (60)."""
        return _spaces().Discrete(ACTIONS)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[F32, dict[str, Any]]:
        """Draw a new village; raises Invalid when nobody in it has the role."""
        if seed is not None:
            self._np_random, self._np_random_seed = np.random.default_rng(seed), seed
        self._environment = Environment(1, self._npcs, int(self._np_random.integers(1 << 31)))
        mine = np.flatnonzero(self._environment.village.role[0] == self._role)
        if not len(mine):
            raise Invalid(f"{self._npcs!r} NPCs have no {ROLES[self._role]}", hint="ask for more NPCs")
        self._row, self._steps = int(mine[0]), 0
        return self._seen()

    def step(self, action: int) -> tuple[F32, float, bool, bool, dict[str, Any]]:
        """Observation (64,), reward, whether the NPC died, whether time is up, and info."""
        intents, slots = self._others(*self._environment.observe())
        own_intent, own_slot = split(np.array([action]))
        intents[self._row], slots[self._row] = own_intent[0], own_slot[0]
        moment = self._environment.step(intents, slots)
        self._steps += 1
        obs, info = self._seen()
        reward, died = float(moment.reward[0, self._row]), bool(moment.died[0, self._row])
        return obs, reward, died, self._steps >= self._steps_max, info

    def render(self) -> None:
        """There is nothing to see here; `envs/recording.py` keeps a life to be drawn."""

    def close(self) -> None:
        """Nothing is held but memory."""

    def _seen(self) -> tuple[F32, dict[str, Any]]:
        obs, mask = self._environment.observe()
        mine = slice(self._row, self._row + 1)
        return obs[self._row].copy(), {"action_mask": legal(obs[mine], mask[mine])[0]}


class Parallel:
    """One village, an agent for each NPC (pettingzoo.ParallelEnv). Who dies is out; its body then only rests.

    An observation is {"observation": (64,), "action_mask": (60,)}.
    """

    metadata: dict[str, Any] = {"name": "village_v1", "render_modes": [], "is_parallelizable": True}
    render_mode: str | None = None

    def __init__(self, npcs: int = 48, *, steps_max: int = STEPS_MAX, rewards: Rewards | None = None) -> None:
        self._npcs, self._steps_max, self._rewards = npcs, steps_max, rewards
        self._seed, self._steps = 0, 0
        roles = Environment(1, npcs, 0).village.role[0].tolist()
        self.possible_agents = [f"{ROLES[role]}_{i}" for i, role in enumerate(roles)]
        self._row = {agent: i for i, agent in enumerate(self.possible_agents)}
        self.agents: list[str] = []
        self._spaces: dict[str, tuple[Any, Any]] = {}

    @property
    def unwrapped(self) -> Parallel:
        """This very environment."""
        return self

    @property
    def num_agents(self) -> int:
        """Agents that are still in."""
        return len(self.agents)

    @property
    def max_num_agents(self) -> int:
        """Agents at the start."""
        return len(self.possible_agents)

    def observation_space(self, agent: str) -> Any:
        """Dict of Box (64,) and MultiBinary (60)."""
        return self._space(agent)[0]

    def action_space(self, agent: str) -> Any:
        """Discrete (60)."""
        return self._space(agent)[1]

    def _space(self, agent: str) -> tuple[Any, Any]:
        if agent not in self._spaces:
            spaces = _spaces()
            box = spaces.Box(-1.0, 1.0, (FEATURES,), np.float32)
            seen = spaces.Dict({"observation": box, "action_mask": spaces.MultiBinary(ACTIONS)})
            self._spaces[agent] = seen, spaces.Discrete(ACTIONS)
        return self._spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Draw a new village; everyone is in."""
        self._seed = self._seed + 1 if seed is None else seed
        self._environment = Environment(1, self._npcs, self._seed, rewards=self._rewards)
        self._steps, self.agents = 0, list(self.possible_agents)
        return self._seen(), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, int]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Observations, rewards, terminations, truncations and infos; raises Invalid for an agent that never was."""
        chosen = np.full(self._npcs, INTENTS.index("rest") * (SLOTS + 1), np.int64)
        for agent, action in actions.items():
            if agent not in self._row:
                raise Invalid(f"no agent {agent!r}", hint=nearest(agent, self._row))
            chosen[self._row[agent]] = action
        moment = self._environment.step(*split(chosen))
        self._steps += 1
        were, over = self.agents, self._steps >= self._steps_max
        died = {agent: bool(moment.died[0, self._row[agent]]) for agent in were}
        rewards = {agent: float(moment.reward[0, self._row[agent]]) for agent in were}
        seen, infos = self._seen(), {agent: dict[str, Any]() for agent in were}
        self.agents = [] if over else [agent for agent in were if not died[agent]]
        return seen, rewards, died, dict.fromkeys(were, over), infos

    def state(self) -> F32:
        """What everyone sees, (npcs * 64,), for a critic that sees all."""
        return self._environment.observe()[0].reshape(-1).copy()

    def render(self) -> None:
        """There is nothing to see here; `envs/recording.py` keeps a life to be drawn."""

    def close(self) -> None:
        """Nothing is held but memory."""

    def _seen(self) -> dict[str, Any]:
        obs, mask = self._environment.observe()
        may = legal(obs, mask)
        rows = ((agent, self._row[agent]) for agent in self.agents)
        return {agent: {"observation": obs[row].copy(), "action_mask": may[row]} for agent, row in rows}


def as_gymnasium(face: type[Any]) -> type[Any]:
    """`Vector` or `Solo` as a subclass of Gymnasium's own class, for code that asks isinstance."""
    gymnasium = _gymnasium()
    kind = gymnasium.vector.VectorEnv if issubclass(face, Vector) else gymnasium.Env
    names = {"metadata": face.metadata}
    if issubclass(face, Vector):
        names["metadata"] = {**face.metadata, "autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP}
    return type(face.__name__, (face, kind), names)


def _gymnasium() -> Any:
    try:
        import gymnasium
    except ModuleNotFoundError as error:
        raise EngineDown("the package 'gymnasium' is not installed", hint="uv pip install gymnasium") from error
    return gymnasium


def _spaces() -> Any:
    return _gymnasium().spaces
