"""An eval set, and its run: each case is rendered, written by an engine, and its answer checked.

A set is a file; what it asks of an answer can be checked without a model. It knows no store.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any

import msgspec

from app.control.prompts.registry import Compiled
from app.core.clock import Clock, Deadline
from app.core.errors import Error, Invalid, TooLarge, nearest
from app.core.ids import new_id, stable_hash
from app.core.prompts import Eval, Prompt, PromptLimits, version_of
from app.core.section import Section
from app.core.words import Completion, Part, Words, WordsDelta, WordsStart
from app.world.gate.speech import squeeze
from app.world.scene import Scene

OUTPUT_TOKENS_MAX = 400
"""Where a prompt names no bound."""
BYTES_PER_TOKEN = 3
CANARY = "canary"
"""The variable whose value may not be spoken."""
FAILURES_MAX = 50
TOLD_CHARACTERS = 200


class Checks(Section, frozen=True, kw_only=True):
    """What an answer must be; letters' case counts in `regex` alone."""

    contains: tuple[str, ...] = ()
    not_contains: tuple[str, ...] = ()
    regex: str = ""
    json_schema: dict[str, Any] = {}
    tokens_max: Annotated[int, msgspec.Meta(ge=0)] = 0
    no_canary: bool = True


class Case(Section, frozen=True, kw_only=True):
    """One context, and what its answer must be.

    `sections` are those that are sent, all where none is named; `said` is what a player says last. `scene` is for
    an engine that writes without a model.
    """

    name: str
    variables: dict[str, Any] = {}
    sections: tuple[str, ...] = ()
    said: str = ""
    speaker: str = "Robin"
    scene: dict[str, Any] | None = None
    checks: Checks = Checks()


class EvalSet(Section, frozen=True, kw_only=True):
    """The cases of one prompt; a version passes with this share of them or more."""

    prompt: str
    cases: tuple[Case, ...]
    pass_share_min: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0


def read_set(text: str, source: str, limits: PromptLimits) -> tuple[str, EvalSet]:
    """(id, set) of a TOML file; the id is a hash of its text. Raises Invalid, naming the file."""
    try:
        found = msgspec.convert(tomllib.loads(text), EvalSet)
        for case in found.cases:
            re.compile(case.checks.regex)
            msgspec.convert(case.scene, Scene | None)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, re.error) as error:
        raise Invalid(f"{source}: {error}", hint="see docs/how-to/prompts.md") from error
    if not 0 < len(found.cases) <= limits.eval_cases_max:
        raise TooLarge(f"{source} has {len(found.cases)} cases", hint=f"write 1 to {limits.eval_cases_max}")
    return id_of_set(text), found


def id_of_set(text: str) -> str:
    """What names a set: SHA-256 of its text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


class Runner:
    """Runs sets of one tenant against one engine."""

    def __init__(self, words: Words, limits: PromptLimits, *, clock: Clock, tenant: str) -> None:
        self._words = words
        self._limits = limits
        self._clock = clock
        self._tenant = tenant
        self._wrote: set[str] = set()

    async def run(
        self, compiled: Compiled, eval_set: EvalSet, set_id: str, *, contract: Prompt, told: Callable[[int], None]
    ) -> Eval:
        """Every case, one after another; what goes wrong with one is its failure."""
        failures: list[str] = []
        passed = 0
        for case in eval_set.cases:
            try:
                wrong = await self._try(compiled, case, contract)
            except Error as error:
                wrong = [error.message]
            passed += not wrong
            failures += [f"{case.name}: {each}"[:TOLD_CHARACTERS] for each in wrong]
            told(1)
        cases = len(eval_set.cases)
        return Eval(
            id=new_id(self._clock.wall_ms()),
            prompt=compiled.prompt.name,
            version=version_of(compiled.prompt),
            set_id=set_id,
            wall_ms=self._clock.wall_ms(),
            engine=", ".join(sorted(self._wrote)) or self._words.name,
            cases=cases,
            passed=passed,
            ok=passed >= eval_set.pass_share_min * cases,
            failures=tuple(failures[:FAILURES_MAX]),
        )

    async def _try(self, compiled: Compiled, case: Case, contract: Prompt) -> list[str]:
        variables = filled(case, contract)
        canary = str(variables.get(CANARY, ""))
        answer = await self._ask(compiled, case, variables)
        return list(broken(case.checks, answer, canary))

    async def _ask(self, compiled: Compiled, case: Case, variables: Mapping[str, Any]) -> str:
        prompt = compiled.prompt
        chosen: Sequence[str] = case.sections or tuple(prompt.sections)
        for name in chosen:
            if name not in prompt.sections:
                raise Invalid(f"no section {name!r}", hint=nearest(name, prompt.sections))
        parts = [compiled.part(name, variables) for name in chosen]
        if case.said:
            parts.append(Part(trust="player", text=case.said, speaker=case.speaker))
        most = prompt.output_tokens_max or OUTPUT_TOKENS_MAX
        completion = Completion(
            task=prompt.name,
            parts=tuple(parts),
            output_tokens_max=most,
            seed=stable_hash(case.name),
            tenant=self._tenant,
            scene=msgspec.convert(case.scene, Scene) if case.scene is not None else None,
            schema=case.checks.json_schema or None,
            sampling=prompt.sampling,
            prompt=compiled.version,
            variant=prompt.model,
        )
        deadline = Deadline.after_ms(self._limits.eval_case_ms, self._clock)
        answer = ""
        async with aclosing(self._words.stream(completion, deadline)) as stream:
            async for event in stream:
                match event:
                    case WordsStart():
                        self._wrote.add(event.engine)
                    case WordsDelta():
                        answer += event.text
        return answer


def filled(case: Case, contract: Prompt) -> dict[str, Any]:
    """The case's variables, and an empty value for what it leaves out; raises Invalid for one that nobody gives."""
    for name in case.variables:
        if name not in contract.variables:
            raise Invalid(f"no variable {name!r}", hint=nearest(name, contract.variables))
    empty: dict[str, Any] = {name: () if variable.rows else "" for name, variable in contract.variables.items()}
    if CANARY in empty:
        empty[CANARY] = f"ink{stable_hash(case.name, CANARY):016x}"
    return {**empty, **case.variables}


def broken(checks: Checks, answer: str, canary: str) -> Iterator[str]:
    """Each check that the answer does not stand, in words."""
    lower = answer.lower()
    if not answer.strip():
        yield "nothing was written"
    for text in checks.contains:
        if text.lower() not in lower:
            yield f"does not contain {text!r}"
    for text in checks.not_contains:
        if text.lower() in lower:
            yield f"contains {text!r}"
    if checks.regex and not re.search(checks.regex, answer):
        yield f"does not match {checks.regex!r}"
    if checks.no_canary and canary and squeeze(canary) in squeeze(answer):
        yield "speaks the canary"
    tokens = (len(answer.encode("utf-8", "replace")) + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN
    if checks.tokens_max and tokens > checks.tokens_max:
        yield f"takes {tokens} tokens, more than {checks.tokens_max}"
    if checks.json_schema:
        yield from _against_schema(checks.json_schema, answer)


def _against_schema(schema: Mapping[str, Any], answer: str) -> Iterator[str]:
    import jsonschema

    try:
        jsonschema.validate(msgspec.json.decode(answer), schema)
    except msgspec.DecodeError:
        yield "is no JSON"
    except jsonschema.ValidationError as error:
        yield f"is not of the schema at {error.json_path}: {error.validator}"
    except jsonschema.SchemaError as error:
        raise Invalid(f"the schema is none: {error.message}", hint="see json-schema.org") from error
