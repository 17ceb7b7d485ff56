"""The one permission map: what each resource asks of its caller; a message asks for its handler's scope.

The routes, this map and the OpenAPI document are the same set: a test compares them, and a resource that is not
listed here cannot be served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from app.control.guardrails import Guardrails
from app.control.prompts.desk import Put
from app.core.chain import Verdict
from app.core.module import Scope
from app.core.prompts import Label, Prompt
from app.core.reports import Report
from app.core.responses import Counts
from app.core.tenants import TenantSettings
from app.edge.doors import anthropic_shapes as anthropic
from app.edge.doors import openai_shapes as openai
from app.edge.doors.evennia import GenerateAnswer, GenerateRequest
from app.edge.rest import shapes
from app.edge.rest import shapes_people as people
from app.edge.rest import shapes_prompts as prompts
from app.edge.rest import shapes_reports as reports

SIGNED_IN = Scope(0)
"""Any credential that holds."""
SIGN_IN = (401, 429, 503)
"""What whoever tries to sign in may be told."""
JSON = "application/json"
MSGPACK = "application/msgpack"
BINARY = "application/octet-stream"
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Resource:
    """One route that is not a message. Without a `scope` anybody may ask.

    `query` and `body` are what the URL and a JSON body hold, `answer` what comes back as JSON: a type, or the
    name of a message that is answered so. A body of mere bytes has the type `bytes`; what comes back otherwise than
    as JSON has its media type in `media`. `statuses` are refusals besides those that follow from the rest, see
    `app/edge/openapi.py`.
    """

    method: str
    path: str
    summary: str
    scope: Scope | None
    query: type[msgspec.Struct] = shapes.Nothing
    body: type[msgspec.Struct] | type[bytes] | None = None
    answer: Any = None
    media: str = JSON
    statuses: tuple[int, ...] = ()
    status: int = 200
    """Of the answer: 202 when what was asked for goes on after it."""
    loopback: bool = False
    """Whether anybody may ask from the machine itself, when the server listens there only."""
    refusal: type[msgspec.Struct] | None = None
    """What is answered to whoever is refused, where it is no problem details (RFC 9457)."""
    streams: bool = False
    """Whether the answer comes as server-sent events where the body asks for it."""


_WORLD = "/v1/worlds/{world}"
_SUBJECT = "/v1/privacy/subjects/{subject}"
_PROMPT = "/v1/prompts/{prompt}"

RESOURCES: tuple[Resource, ...] = (
    Resource(
        "post", "/v1/auth/token", "Exchange a key for an access and a refresh token.", SIGNED_IN,
        answer=shapes.Issued,
    ),
    Resource(
        "post", "/v1/auth/refresh", "Exchange a refresh token, once, for the next pair of tokens.", None,
        body=shapes.Refresh, answer=shapes.Issued, statuses=SIGN_IN,
    ),
    Resource(
        "post", "/v1/auth/revoke", "End the sign-in of a token, or every sign-in of a key.", None,
        body=shapes.Revoke, answer=shapes.Done, statuses=(429, 503),
    ),
    Resource(
        "post", "/v1/auth/code", "With a key, make a one-time code that opens the console.", SIGNED_IN,
        answer=shapes.Opening, statuses=(409,),
    ),
    Resource(
        "post", "/v1/auth/enter", "Exchange a one-time code for tokens.", None,
        body=shapes.Code, answer=shapes.Issued, statuses=SIGN_IN,
    ),
    Resource("get", "/v1/worlds", "List the tenant's worlds.", Scope.READ, answer=shapes.WorldList),
    Resource("get", _WORLD, "Read the size and clock of a world.", Scope.READ, answer=shapes.WorldHere),
    Resource("get", f"{_WORLD}/npcs", "List the NPCs of a world.", Scope.READ, answer=shapes.Roster),
    Resource(
        "get", f"{_WORLD}/npcs/{{npc}}", "Read what every module knows of one NPC.", Scope.READ, answer=shapes.Known
    ),
    Resource("get", f"{_WORLD}/locations", "List the named places of a world.", Scope.READ, answer=shapes.Places),
    Resource(
        "put", f"{_WORLD}/maps/{{map_name}}", "Upload a map; twin of path.upload.", Scope.WRITE,
        query=shapes.MapFormat, body=bytes, answer="path.upload", statuses=(409,),
    ),
    Resource("get", f"{_WORLD}/maps/{{map_name}}", "Read a map as uploaded.", Scope.READ, media=BINARY),
    Resource(
        "get", f"{_WORLD}/maps/{{map_name}}/preview.png", "Draw a map; twin of path.preview.", Scope.READ,
        query=shapes.MapPicture, media="image/png", statuses=(504,),
    ),
    Resource(
        "get", f"{_WORLD}/maps/{{map_name}}/preview.svg", "Draw a map; twin of path.preview.", Scope.READ,
        query=shapes.MapPicture, media="image/svg+xml", statuses=(504,),
    ),
    Resource(
        "get", f"{_WORLD}/poll", "Wait for pushes after `after`, at most `wait` milliseconds.", Scope.READ,
        query=shapes.Polling, answer=shapes.Polled,
    ),
    Resource(
        "get", f"{_WORLD}/live", "Stream positions and pushes as server-sent events.", Scope.READ,
        media=EVENTS,
    ),
    Resource(
        "get", "/v1/usage", "Read what models have cost, in every world or in `world`.", Scope.USAGE,
        query=shapes.InWorld, answer=shapes.UsageTable, statuses=(404,),
    ),
    Resource(
        "get", "/v1/audit", "Read the tenant's audit trail after `after`, `limit` entries.", Scope.AUDIT,
        query=shapes.AuditPage, answer=shapes.AuditTrail,
    ),
    Resource(
        "get", "/v1/audit/verify", "Verify the tenant's audit trail.", Scope.AUDIT, answer=Verdict,
    ),
    Resource(
        "get", "/v1/settings", "Read what the tenant has set for itself.", Scope.SETTINGS, answer=shapes.OwnSettings,
    ),
    Resource(
        "put", "/v1/settings", "Replace what the tenant has set for itself.", Scope.SETTINGS,
        body=TenantSettings, answer=shapes.OwnSettings,
    ),
    Resource("get", "/v1/prompts", "List prompts and where their labels point.", Scope.SETTINGS,
             answer=prompts.PromptList),
    Resource("get", f"{_PROMPT}/versions", "List the versions of a prompt.", Scope.SETTINGS,
             answer=prompts.PromptVersions),
    Resource(
        "get", f"{_PROMPT}/versions/{{version}}", "Read a version by its id, a label or `bundled`.", Scope.SETTINGS,
        answer=prompts.PromptVersion,
    ),
    Resource(
        "post", f"{_PROMPT}/versions", "Put a version; the same content is the same version.", Scope.SETTINGS,
        body=Prompt, answer=Put,
    ),
    Resource(
        "post", f"{_PROMPT}/lint", "Say what is to be mended in a prompt.", Scope.SETTINGS,
        body=Prompt, answer=prompts.Findings,
    ),
    Resource("get", f"{_PROMPT}/labels", "List the labels of a prompt.", Scope.SETTINGS, answer=prompts.PromptLabels),
    Resource(
        "put", f"{_PROMPT}/labels/{{label}}", "Point a label to versions by weight.", Scope.SETTINGS,
        body=prompts.Pointing, answer=Label, statuses=(409,),
    ),
    Resource(
        "post", f"{_PROMPT}/labels/{{label}}/rollback", "Point a label where it pointed before.", Scope.SETTINGS,
        body=prompts.GoingBack, answer=Label, statuses=(409,),
    ),
    Resource("get", f"{_PROMPT}/evals", "List the runs of eval sets for a prompt.", Scope.SETTINGS,
             answer=prompts.PromptEvals),
    Resource(
        "get", "/v1/responses", "Count what the response cache holds and has done.", Scope.USAGE, answer=Counts,
    ),
    Resource(
        "delete", "/v1/responses", "Forget the kept lines that depend on `tag` in `world`.", Scope.SETTINGS,
        query=shapes.Tagged, answer=shapes.Done,
    ),
    Resource(
        "post", "/v1/auth/sign-in", "Sign in with a password: tokens, or a ticket for the second step.", None,
        body=people.Password, answer=people.Stepped, statuses=SIGN_IN,
    ),
    Resource(
        "post", "/v1/auth/sign-in/totp", "Finish signing in with the code of an authenticator.", None,
        body=people.TicketCode, answer=people.Tokens, statuses=SIGN_IN,
    ),
    Resource(
        "post", "/v1/auth/sign-in/recovery", "Finish signing in with a recovery code.", None,
        body=people.TicketCode, answer=people.Tokens, statuses=SIGN_IN,
    ),
    Resource(
        "post", "/v1/auth/sign-in/passkey/options", "Ask for a challenge that a passkey signs.", None,
        body=people.OfTenant, answer=people.Challenged, statuses=SIGN_IN,
    ),
    Resource(
        "post", "/v1/auth/sign-in/passkey", "Sign in with a passkey's answer to a challenge.", None,
        body=people.Signed, answer=people.Tokens, statuses=SIGN_IN,
    ),
    Resource(
        "post", "/v1/auth/invitation", "Read whom an invitation is for; it stays good.", None,
        body=people.InvitationCode, answer=people.Invitation, statuses=SIGN_IN,
    ),
    Resource(
        "post", "/v1/auth/invitation/totp", "Ask for an authenticator's secret on joining.", None,
        body=people.InvitationCode, answer=people.Authenticator, statuses=SIGN_IN,
    ),
    Resource(
        "post", "/v1/auth/invitation/passkey/options", "Ask for a challenge to make a passkey on joining.", None,
        body=people.InvitationCode, answer=people.Challenged, statuses=SIGN_IN,
    ),
    Resource(
        "post", "/v1/auth/invitation/accept", "Join with a password, a second factor or a passkey.", None,
        body=people.Accept, answer=people.Joined, statuses=(*SIGN_IN, 409),
    ),
    Resource("get", "/v1/me", "Read whose credential it is and what it may do.", SIGNED_IN, answer=people.Me),
    Resource(
        "post", "/v1/me/password", "Set another password, which ends every other sign-in.", SIGNED_IN,
        body=people.NewPassword, answer=people.Tokens, statuses=(403,),
    ),
    Resource(
        "post", "/v1/me/totp", "Ask for an authenticator's secret.", SIGNED_IN,
        answer=people.Authenticator, statuses=(403,),
    ),
    Resource(
        "put", "/v1/me/totp", "Use an authenticator from now on, by its first code.", SIGNED_IN,
        body=people.TotpProof, answer=people.Done, statuses=(403,),
    ),
    Resource(
        "delete", "/v1/me/totp", "Use no authenticator any more.", SIGNED_IN,
        answer=people.Done, statuses=(403, 409),
    ),
    Resource(
        "post", "/v1/me/passkeys/options", "Ask for a challenge to make a passkey.", SIGNED_IN,
        answer=people.Challenged, statuses=(403,),
    ),
    Resource(
        "post", "/v1/me/passkeys", "Use a passkey from now on.", SIGNED_IN,
        body=people.NewPasskey, answer=people.PasskeyShown, statuses=(403, 409),
    ),
    Resource(
        "delete", "/v1/me/passkeys/{passkey}", "Forget a passkey.", SIGNED_IN,
        answer=people.Done, statuses=(403, 409),
    ),
    Resource(
        "post", "/v1/me/recovery-codes", "Make new recovery codes, shown once.", SIGNED_IN,
        answer=people.RecoveryCodes, statuses=(403, 409),
    ),
    Resource("get", "/v1/operators", "List the people who run the tenant.", Scope.OPERATORS, answer=people.People),
    Resource(
        "post", "/v1/operators", "Invite somebody; the link is shown once.", Scope.OPERATORS,
        body=people.Invite, answer=people.Invited, statuses=(409,),
    ),
    Resource(
        "patch", "/v1/operators/{operator}", "Give an operator another role, disable or enable.", Scope.OPERATORS,
        body=people.Change, answer=people.Person, statuses=(409,),
    ),
    Resource(
        "delete", "/v1/operators/{operator}", "Remove an operator.", Scope.OPERATORS,
        answer=people.Done, statuses=(409,),
    ),
    Resource(
        "post", "/v1/operators/{operator}/reset", "Take password and factors away and invite anew.", Scope.OPERATORS,
        answer=people.Invited, statuses=(409,),
    ),
    Resource("get", "/v1/keys", "List the tenant's API keys.", Scope.KEYS, answer=people.Keys),
    Resource(
        "post", "/v1/keys", "Make an API key, shown once.", Scope.KEYS, body=people.NewKey, answer=people.KeyText,
    ),
    Resource("delete", "/v1/keys/{prefix}", "Revoke an API key and all it opened.", Scope.KEYS, answer=people.Done),
    Resource(
        "post", "/v1/keys/{prefix}/rotate", "Give an API key a new secret, shown once.", Scope.KEYS,
        body=people.Rotate, answer=people.KeyText,
    ),
    Resource(
        "get", "/v1/reports", "List what players reported, after `after`, `limit` reports.", Scope.PRIVACY,
        query=reports.ReportPage, answer=reports.ReportList,
    ),
    Resource("get", "/v1/reports/{report}", "Read one report.", Scope.PRIVACY, answer=Report),
    Resource(
        "post", "/v1/reports/{report}/settle", "Close a report with a note.", Scope.PRIVACY,
        body=reports.Settling, answer=Report, statuses=(409,),
    ),
    Resource(
        "get", "/v1/guardrails", "Read the statement about live-generated content.", Scope.READ, answer=Guardrails,
    ),
    Resource(
        "get", f"{_SUBJECT}/report", "Count what is held of a person, and for how long.", Scope.PRIVACY,
        answer=dict[str, Any], statuses=(409,),
    ),
    Resource(
        "get", f"{_SUBJECT}/export", "Read everything that is held of a person.", Scope.PRIVACY,
        answer=dict[str, Any], statuses=(409,),
    ),
    Resource(
        "post", f"{_SUBJECT}/erase", "Forget a person; the files follow at once.", Scope.PRIVACY,
        answer=shapes.Erasing, status=202, statuses=(409,),
    ),
    Resource(
        "post", f"{_SUBJECT}/anonymize", "Forget a person and keep the numbers.", Scope.PRIVACY,
        answer=shapes.Erasing, status=202, statuses=(409,),
    ),
    Resource(
        "post", f"{_SUBJECT}/restrict", "Hold what is known of a person without using it.", Scope.PRIVACY,
        answer=shapes.Restricted, statuses=(409,),
    ),
    Resource(
        "post", f"{_SUBJECT}/unrestrict", "Use what is known of a person again.", Scope.PRIVACY,
        answer=shapes.Restricted, statuses=(409,),
    ),
    Resource(
        "get", "/v1/privacy/erasures/{alias}", "Read how far an erasure is.", Scope.PRIVACY, answer=shapes.Erasing
    ),
    Resource(
        "post", "/openai/v1/chat/completions", "Go on with a conversation, as OpenAI's Chat Completions.", Scope.PLAY,
        body=openai.ChatRequest, answer=openai.ChatCompletion, statuses=(404,), refusal=openai.ChatError, streams=True,
    ),
    Resource(
        "get", "/openai/v1/models", "List the names that a model may be called by.", Scope.PLAY,
        answer=openai.ChatModels, refusal=openai.ChatError,
    ),
    Resource(
        "get", "/openai/v1/models/{model}", "Read one of those names.", Scope.PLAY,
        answer=openai.ChatModel, refusal=openai.ChatError,
    ),
    Resource(
        "post", "/anthropic/v1/messages", "Go on with a conversation, as Anthropic's Messages.", Scope.PLAY,
        body=anthropic.MessageRequest, answer=anthropic.MessageAnswer, statuses=(402, 404),
        refusal=anthropic.MessageError, streams=True,
    ),
    Resource(
        "get", "/anthropic/v1/models", "List the names that a model may be called by, for Anthropic's clients.",
        Scope.PLAY, answer=anthropic.MessageModels, refusal=anthropic.MessageError,
    ),
    Resource(
        "get", "/anthropic/v1/models/{model}", "Read one of those names, for Anthropic's clients.", Scope.PLAY,
        answer=anthropic.MessageModel, refusal=anthropic.MessageError,
    ),
    Resource(
        "post", "/api/v1/generate", "Answer a prompt, as Evennia's stock LLM NPC asks.", Scope.PLAY,
        body=GenerateRequest, answer=GenerateAnswer, statuses=(404,), refusal=openai.ChatError,
    ),
    Resource("get", "/health/live", "Say that the process runs.", None, answer=shapes.Alive),
    Resource("get", "/health/ready", "Say what is ready, degraded or missing.", None, answer=shapes.Readiness),
    Resource(
        "get", "/metrics", "Read the Prometheus metrics; on loopback anybody may.", Scope.ADMIN,
        media="text/plain", loopback=True,
    ),
    Resource("get", "/openapi.json", "Read this document.", None, answer=dict[str, Any]),
    Resource("get", "/console", "Open the console.", None, media="text/html"),
    Resource("get", "/console/{name}", "Read a file of the console.", None, media="*/*"),
)  # fmt: skip

_resources = {(one.method.upper(), one.path): one for one in RESOURCES}


def resource_of(method: str, path: str) -> Resource:
    """The resource of a template such as `/v1/worlds/{world}`; raises KeyError for one that nobody listed."""
    return _resources[method, path]


def scope_of(method: str, path: str) -> Scope | None:
    """The scope that a resource asks for, by its template; None where anybody may. Raises KeyError as `resource_of`."""
    return resource_of(method, path).scope
