"""A tenant's prompts over HTTP: versions, labels, lint and runs of eval sets. It renders nothing and runs no engine."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from litestar import Response, get, post, put
from litestar.handlers import HTTPRouteHandler

from app.control.auth import Authority
from app.control.prompts.bundled import convert_prompt
from app.control.prompts.desk import Desk
from app.core.errors import Invalid
from app.core.prompts import Prompt
from app.edge.limits import Limits
from app.edge.rest import shapes_prompts as shapes
from app.edge.rest.http import AnyRequest, asked, body_of, content_type, json, permit, read_body
from app.edge.rest.shapes import Nothing

PROMPT = "/v1/prompts/{prompt:str}"
BYTES_MAX = 131_072
"""Of a version in JSON, whose templates may each be written in escapes."""


@dataclass(frozen=True, slots=True)
class PromptRoutes:
    """What the routes below need."""

    desk: Desk
    authority: Authority
    limits: Limits

    def routes(self) -> list[HTTPRouteHandler]:
        """All of them."""
        return [
            self._all(),
            self._versions(),
            self._version(),
            self._put(),
            self._lint(),
            self._labels(),
            self._move(),
            self._rollback(),
            self._evals(),
        ]

    def _all(self) -> HTTPRouteHandler:
        @get("/v1/prompts")
        async def all_(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            return json(shapes.PromptList(prompts=tuple(await self.desk.all(identity.tenant))))

        return all_

    def _versions(self) -> HTTPRouteHandler:
        @get(f"{PROMPT}/versions")
        async def versions(request: AnyRequest, prompt: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            return json(shapes.PromptVersions(versions=tuple(await self.desk.versions(identity.tenant, prompt))))

        return versions

    def _version(self) -> HTTPRouteHandler:
        @get(f"{PROMPT}/versions/{{version:str}}")
        async def version(request: AnyRequest, prompt: str, version: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            id, content = await self.desk.read(identity.tenant, prompt, version)
            return json(shapes.PromptVersion(version=id, content=content))

        return version

    def _put(self) -> HTTPRouteHandler:
        @post(f"{PROMPT}/versions", status_code=200)
        async def put_version(request: AnyRequest, prompt: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            content = await _content(request, prompt)
            return json(await self.desk.put(identity.tenant, identity.actor, content))

        return put_version

    def _lint(self) -> HTTPRouteHandler:
        @post(f"{PROMPT}/lint", status_code=200)
        async def lint(request: AnyRequest, prompt: str) -> Response[bytes]:
            await permit(request, self.authority, self.limits)
            return json(shapes.Findings(findings=tuple(await self.desk.lint(await _content(request, prompt)))))

        return lint

    def _labels(self) -> HTTPRouteHandler:
        @get(f"{PROMPT}/labels")
        async def labels(request: AnyRequest, prompt: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            return json(shapes.PromptLabels(labels=tuple(await self.desk.labels(identity.tenant, prompt))))

        return labels

    def _move(self) -> HTTPRouteHandler:
        @put(f"{PROMPT}/labels/{{label:str}}", status_code=200)
        async def move(request: AnyRequest, prompt: str, label: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            body = await body_of(request, shapes.Pointing)
            moved = await self.desk.move(identity.tenant, identity.actor, prompt, label, body.targets, force=body.force)
            return json(moved)

        return move

    def _rollback(self) -> HTTPRouteHandler:
        @post(f"{PROMPT}/labels/{{label:str}}/rollback", status_code=200)
        async def rollback(request: AnyRequest, prompt: str, label: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            body = await body_of(request, shapes.GoingBack)
            moved = await self.desk.rollback(identity.tenant, identity.actor, prompt, label, change=body.change)
            return json(moved)

        return rollback

    def _evals(self) -> HTTPRouteHandler:
        @get(f"{PROMPT}/evals")
        async def evals(request: AnyRequest, prompt: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            current = await self.desk.current_set(identity.tenant, prompt)
            runs = await self.desk.evals(identity.tenant, prompt)
            return json(shapes.PromptEvals(current_set=current, evals=tuple(runs)))

        return evals


async def _content(request: AnyRequest, name: str) -> Prompt:
    """The content of a version in the body; raises Invalid where it names another prompt than the path."""
    asked(request, Nothing)
    content_type(request, "application/json")
    try:
        tree = msgspec.json.decode(await read_body(request, bytes_max=BYTES_MAX), type=dict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the prompt cannot be read: {error}", hint="send one JSON object") from error
    prompt = convert_prompt(tree, "the body")
    if prompt.name != name:
        raise Invalid(f"the body holds prompt {prompt.name!r}, the path {name!r}", hint="name the same one")
    return prompt
