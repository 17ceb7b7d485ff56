"""OpenAI's client for JavaScript talks to the door, unmodified: words, streams, tools, data, refusals.

The package comes from INNKEEPER_TEST_NODE_FOLDER, a folder with `node_modules`, or is installed once into the cache of
the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Server
from tests.standin import WORDS, Call, Standin

PACKAGE = "openai@7"
FOLDER = "INNKEEPER_TEST_NODE_FOLDER"
INSTALL_S_MAX = 300
PROGRAM = """
import OpenAI from "openai";
const client = new OpenAI({ maxRetries: 0, defaultHeaders: { "Cache-Control": "no-store" } });
const messages = [{ role: "user", content: "Hello." }];
const schema = { type: "object", properties: { mood: { type: "string" } }, required: ["mood"],
                 additionalProperties: false };
const weather = { type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } };
const told = {};
const whole = await client.chat.completions.create({ model: "innkeeper", messages });
told.whole = whole.choices[0].message.content;
const texts = [];
const options = { model: "innkeeper", messages, stream: true, stream_options: { include_usage: true } };
for await (const chunk of await client.chat.completions.create(options)) {
  if (chunk.choices[0]?.delta?.content) texts.push(chunk.choices[0].delta.content);
  if (chunk.usage) told.tokens = chunk.usage.total_tokens;
}
told.pieces = texts.length;
told.streamed = texts.join("");
const format = { type: "json_schema", json_schema: { name: "mood", strict: true, schema } };
const parsed = await client.chat.completions.parse({ model: "innkeeper",
  messages: [{ role: "user", content: "Mood?" }], response_format: format });
told.data = JSON.parse(parsed.choices[0].message.content);
const tools = { model: "innkeeper", messages: [{ role: "user", content: "Rain?" }], tools: [weather] };
const final = await client.chat.completions.stream(tools).finalChatCompletion();
told.called = final.choices[0].message.tool_calls.map((call) => call.function.name);
told.models = (await client.models.list()).data.map((model) => model.id);
try { await client.chat.completions.create({ model: "gpt-2", messages }); }
catch (error) { told.refused = [error.constructor.name, error.status, error.code, error.param]; }
console.log(JSON.stringify(told));
"""


@pytest.fixture(scope="session")
def node_folder(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Node.js finds the package."""
    named = os.environ.get(FOLDER)
    if named:
        return Path(named)
    cache = pytestconfig.cache
    folder = cache.mkdir("node") if cache is not None else tmp_path_factory.mktemp("node")
    if not (folder / "node_modules" / "openai").exists():
        npm = shutil.which("npm") or "npm"
        command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder), PACKAGE]
        subprocess.run(command, check=True, timeout=INSTALL_S_MAX, capture_output=True)
    return folder


def say(body: dict[str, Any]) -> str:
    asked = body["messages"][-1]["content"]
    return {"Mood?": '{"mood": "merry"}', "Rain?": ""}.get(asked, WORDS)


@pytest.mark.needs_node
def test_the_client_for_javascript_is_served(door: Server, standin: Standin, node_folder: Path, tmp_path: Path) -> None:
    standin.say, standin.delay_s = say, 0.01
    standin.calls = lambda body: (Call("weather"),) if body.get("tools") else ()
    (tmp_path / "node_modules").symlink_to(node_folder / "node_modules", target_is_directory=True)
    program = tmp_path / "client.mjs"
    program.write_text(PROGRAM)
    environment = {**os.environ, "OPENAI_API_KEY": door.key, "OPENAI_BASE_URL": f"{door.url}/openai/v1"}
    node = shutil.which("node") or "node"
    done = subprocess.run([node, str(program)], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["whole"] == told["streamed"] == WORDS
    assert told["pieces"] > len(WORDS.split()) / 2, "what comes together is one piece"
    assert told["tokens"] == 111
    assert told["data"] == {"mood": "merry"}
    assert told["called"] == ["weather"]
    assert "openai" in told["models"]
    assert told["refused"] == ["NotFoundError", 404, "not_found", "model"]
