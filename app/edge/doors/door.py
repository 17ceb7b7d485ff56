"""The doors themselves: an ASGI application in front of the one with the routes, for the paths of other programs.

A request is known by its key, admitted, read, and asked of the same words as the modules' own, for the same budgets
and under the same limits. It knows faces, and no protocol; it never chooses an engine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from functools import partial
from hashlib import blake2b
from typing import Any, cast

import msgspec
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from app.control.auth import Authority, Identity
from app.core.clock import Clock, Deadline
from app.core.doors import Doors as Settings
from app.core.errors import EngineDown, Error, NotAllowed, NotFound
from app.core.ids import Ids
from app.core.module import Scope as Access
from app.core.ports import Log, Places
from app.core.words import Bill, Completion, Keep, Words
from app.edge import errors
from app.edge.address import client_address
from app.edge.admission import ENTERED_S
from app.edge.callers import recognize
from app.edge.doors import anthropic, incoming, openai
from app.edge.doors.bills import Bills
from app.edge.doors.evennia import Generate
from app.edge.doors.face import NAME_LENGTH_MAX, Asked, Face, Misfit, Whole, wrong
from app.edge.doors.models import Model, Models
from app.edge.doors.pump import pump
from app.edge.doors.reply import Reply, status_of
from app.edge.doors.speech import Speech, Turn
from app.edge.limits import Limits
from app.edge.router import Gate
from app.edge.visits import Visits
from app.telemetry.metrics import Metrics
from app.world.state import Worlds

OPENAI, ANTHROPIC, EVENNIA = "/openai/v1", "/anthropic/v1", "/api/v1/generate"
PREFIXES = ("/openai/", "/anthropic/", EVENNIA)
KEEP_BYTES = 16
MODULE = "doors"
Listing = tuple[Callable[[tuple[Model, ...]], bytes], Callable[[Model], bytes]]
"""How all models are listed, and one is shown."""

_keys = msgspec.msgpack.Encoder(order="deterministic")


class Doors:
    """Answers the paths of other programs; `over` puts it in front of the application with all others."""

    def __init__(
        self,
        settings: Settings,
        *,
        words: Words | None,
        models: Models,
        bills: Bills,
        authority: Authority,
        limits: Limits,
        visits: Visits,
        places: Places,
        worlds: Worlds,
        clock: Clock,
        log: Log,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._words = words
        self._models = models
        self._bills = bills
        self._authority = authority
        self._limits = limits
        self._visits = visits
        self._places = places
        self._worlds = worlds
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._ids = Ids()
        chat, messages, generate = openai.Chat(), anthropic.Messages(), Generate()
        self._faces: Mapping[str, Face] = {
            f"{OPENAI}/chat/completions": chat, f"{ANTHROPIC}/messages": messages, EVENNIA: generate,
        }  # fmt: skip
        self._lists: Mapping[str, Listing] = {
            f"{OPENAI}/models": (openai.listed, openai.one),
            f"{ANTHROPIC}/models": (anthropic.listed, anthropic.one),
        }
        self._usual = messages, chat
        """In whose shape what is no path at all is refused."""
        self._answered = {face.verb: self._observer(face.verb, "ok") for face in self._faces.values()}

    def gates(self) -> dict[str, Gate]:
        """The paths that are admitted as messages are."""
        return {path: Gate(f"{MODULE}.{face.verb}", partial(_told, face)) for path, face in self._faces.items()}

    def over(self, app: ASGIApp) -> ASGIApp:
        """An application that answers the doors' paths itself and leaves everything else to `app`."""

        async def in_front(scope: Scope, receive: Receive, send: Send) -> None:
            kind: str = scope["type"]
            if kind == "http" and scope["path"].startswith(PREFIXES):
                await self._serve(cast("HTTPScope", scope), receive, send)
            else:
                await app(scope, receive, send)

        return in_front

    async def _serve(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Find the face of the path, and answer in its shape whatever happens."""
        path = scope["path"]
        face = self._faces.get(path) or self._usual[path.startswith("/openai/")]
        entered_s: Any = scope.get(ENTERED_S) or time.perf_counter()
        reply = Reply(face, send, entered_s)
        turn = Turn(face, reply)
        outcome = "ok"
        self._metrics.inflight.inc()
        try:
            await self._guarded(turn, scope, receive)
        except Misfit as misfit:
            outcome = misfit.error.code
            await reply.refuse(misfit.error, misfit.param)
        except Error as error:
            outcome = error.code
            await reply.refuse(error)
        except incoming.Gone:
            outcome = "canceled"
        except asyncio.CancelledError:
            outcome = "canceled"
            task = asyncio.current_task()
            if not reply.gone or (task is not None and task.uncancel()):
                raise
        finally:
            self._metrics.inflight.dec()
            self._finish(turn, outcome, time.perf_counter() - reply.entered_s)

    async def _guarded(self, turn: Turn, scope: HTTPScope, receive: Receive) -> None:
        """As `_answer`, with what nobody foresaw as Broken: nothing of ours leaks."""
        try:
            await self._answer(turn, scope, receive)
        except (Error, Misfit, incoming.Gone):
            raise
        except Exception as error:
            self._log.error("request.broke", path=scope["path"], exc_info=error)
            raise errors.broken(scope["path"]) from error

    async def _answer(self, turn: Turn, scope: HTTPScope, receive: Receive) -> None:
        path, method = scope["path"], scope["method"]
        face, listing, name = self._faces.get(path), path, ""
        if face is None and path not in self._lists:
            listing, _, name = path.rpartition("/")
        if face is None and listing not in self._lists:
            raise NotFound(f"no resource {path!r}", hint="see /openapi.json")
        allowed = "POST" if face is not None else "GET"
        if method != allowed:
            raise NotAllowed(f"{path!r} has no method {method!r}", hint=f"it has {allowed}", methods=(allowed,))
        fields = incoming.fields_of(scope)
        shown = partial(incoming.credential, fields)
        identity = await recognize(client_address(scope), shown, self._authority, self._limits)
        turn.tenant = identity.tenant
        self._limits.require(identity, Access.PLAY, f"{method} {listing}")
        if face is not None:
            await self._speak(turn, identity, fields, receive)
        else:
            every, one = self._lists[listing]
            await turn.reply.plain(one(self._model(name)) if name else every(self._models.all))

    def _model(self, name: str) -> Model:
        try:
            return self._models.named(name)
        except NotFound as error:
            raise Misfit(error, "model") from error

    async def _speak(self, turn: Turn, identity: Identity, fields: incoming.Fields, receive: Receive) -> None:
        """Read the body and answer it, for as long as its caller may ask."""
        face, settings = turn.face, self._settings
        incoming.require_media(fields, tuple(face.media))
        body = await incoming.body_of(receive, fields, bytes_max=settings.body_bytes_max)
        asked = face.read(body)
        with self._visits.visit(identity, Access.PLAY):
            completion = await self._completion(turn, asked, identity, fields)
            limit_ms = incoming.deadline_ms(fields, usual_ms=settings.deadline_ms, ms_max=settings.deadline_ms_max)
            if self._words is None:
                raise EngineDown(
                    "no engine here can hold a conversation",
                    hint="give the server a provider's key, as OPENAI_API_KEY, or a GGUF file, and start it again",
                )
            turn.reply.begin()
            try:
                await self._say(turn, asked, self._words, completion, limit_ms, receive)
            finally:
                turn.bill(completion)
                self._bills.send(completion)

    async def _completion(self, turn: Turn, asked: Asked, identity: Identity, fields: incoming.Fields) -> Completion:
        """What is asked of the words; raises Misfit, Invalid, NotFound or RateLimited."""
        settings = self._settings
        model = self._model(asked.model)
        if len(asked.turns) > settings.turns_max:
            raise wrong("messages", f"there are {len(asked.turns)}", f"send {settings.turns_max} at most")
        if len(asked.tools) > settings.tools_max:
            raise wrong("tools", f"there are {len(asked.tools)}", f"send {settings.tools_max} at most")
        if asked.output_tokens > settings.output_tokens_max:
            raise wrong("max_tokens", f"is {asked.output_tokens}", f"ask for {settings.output_tokens_max} at most")
        world = await self._world(identity, fields)
        player = incoming.name_in(fields, incoming.PLAYER, NAME_LENGTH_MAX) or asked.player[:NAME_LENGTH_MAX]
        await self._limits.take_player(identity, world, player)
        turn.world = world
        kept = settings.cache and not asked.tools and not any(
            incoming.NO_STORE in value.lower() for value in fields.get(incoming.CACHE, ())
        )  # fmt: skip
        return Completion(
            task=model.task,
            variant=model.variant,
            turns=asked.turns,
            output_tokens_max=asked.output_tokens or settings.output_tokens,
            seed=asked.seed,
            tenant=identity.tenant,
            world=world,
            player=player,
            bill=Bill(),
            trace=turn.reply.trace,
            schema=asked.schema,
            tools=asked.tools,
            tool_choice=asked.tool_choice,
            sampling=asked.sampling,
            keep=Keep(said="", persona=_identity(model, asked)) if kept else None,
        )

    async def _world(self, identity: Identity, fields: incoming.Fields) -> str:
        """The world that the words are for; raises NotFound for none of the tenant's."""
        world = incoming.name_in(fields, incoming.WORLD, NAME_LENGTH_MAX)
        if world and not self._places.here(identity.tenant, world):
            address = await self._places.find(identity.tenant, world)
            if not address:
                self._worlds.get(identity.tenant, world)
        return world

    async def _say(
        self, turn: Turn, asked: Asked, words: Words, completion: Completion, limit_ms: int, receive: Receive
    ) -> None:
        """Ask for the words and send them on as they come, or whole at the end."""
        reply = turn.reply
        now_ms = self._clock.wall_ms()
        whole = Whole(self._ids.new(now_ms), now_ms // 1000)
        reply.writer = turn.face.writer(asked, whole) if asked.stream else None
        speech = Speech(whole, reply, receive)
        take = speech.stream if asked.stream else speech.keep
        deadline = Deadline.after_ms(limit_ms, self._clock)
        try:
            async with aclosing(words.stream(completion, deadline)) as events:
                await pump(events, take, speech.flush)
        finally:
            speech.stop_watching()
        turn.engine = reply.trace.engine = reply.trace.engine or whole.engine
        if not speech.finished:
            raise EngineDown("the words ended without a finish", hint="ask again")
        if reply.writer is None:
            await reply.whole(turn.face.whole(whole))
        else:
            speech.begun()
            speech.buffer.append(reply.writer.end(whole, reply.timing()))
            await reply.push(b"".join(speech.buffer), last=True)

    def _observer(self, verb: str, outcome: str) -> Callable[[float], None]:
        observe: Callable[[float], None] = self._metrics.request_seconds.labels(MODULE, verb, outcome).observe
        return observe

    def _finish(self, turn: Turn, outcome: str, seconds: float) -> None:
        """The one log line about the request."""
        verb = turn.face.verb
        (self._answered[verb] if outcome == "ok" else self._observer(verb, outcome))(seconds)
        self._log.info(
            "request.answered",
            tenant=turn.tenant,
            world=turn.world,
            module=MODULE,
            verb=verb,
            ms=round(seconds * 1000.0, 3),
            outcome=outcome,
            engine=turn.engine,
            tokens=turn.tokens,
            cost_nano_usd=turn.cost_nano_usd,
        )


def _identity(model: Model, asked: Asked) -> str:
    """What makes two conversations the same to the response cache: everything that could change the answer."""
    said = (model.task, model.variant, asked.turns, asked.schema, asked.sampling, asked.output_tokens, asked.seed)
    return blake2b(_keys.encode(said), digest_size=KEEP_BYTES).hexdigest()


def _told(face: Face, error: Error) -> tuple[int, bytes]:
    """How a request that was not admitted is refused."""
    status = status_of(error, face.unpaid_status)
    return status, face.refusal(status, error)
