"""TLS as real clients meet it, the port for health and metrics beside it, and a start that is refused."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import websockets

from app.cli.console import console_link
from tests.certificates import make_certificate
from tests.servers import ROOT, Server, running


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path, int]]:
    """(a server that speaks TLS, its certificate, its port for health)."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = make_certificate(folder)
    admin = free_port()
    flags = {"server.tls_certificate": certificate, "server.tls_key": key, "server.admin_port": admin}
    settings = [part for name, value in flags.items() for part in ("--set", f"{name}={value}")]
    with running(folder, *settings) as server:
        yield server, certificate, admin


def connection(server: Server, context: ssl.SSLContext) -> http.client.HTTPSConnection:
    host, _, port = server.url.removeprefix("https://").partition(":")
    return http.client.HTTPSConnection(host, int(port), context=context, timeout=10)


def test_tls_1_3_is_spoken_and_browsers_are_told_to_keep_to_it(encrypted: tuple[Server, Path, int]) -> None:
    server, certificate, _ = encrypted
    with closing(connection(server, ssl.create_default_context(cafile=str(certificate)))) as client:
        client.request("GET", "/health/live")
        answer = client.getresponse()
        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert client.sock.version() == "TLSv1.3"


def test_anything_older_is_refused(encrypted: tuple[Server, Path, int]) -> None:
    server, certificate, _ = encrypted
    older = ssl.create_default_context(cafile=str(certificate))
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with closing(connection(server, older)) as client, pytest.raises(ssl.SSLError):
        client.request("GET", "/health/live")


async def test_a_socket_goes_over_tls(encrypted: tuple[Server, Path, int]) -> None:
    server, certificate, _ = encrypted
    context = ssl.create_default_context(cafile=str(certificate))
    url = server.url.replace("https", "wss") + "/v1/link"
    async with websockets.connect(url, ssl=context) as link:
        await link.send(json.dumps({"id": "1", "op": "hello", "data": {"token": server.key}}))
        assert json.loads(await link.recv())["ok"]


def test_the_console_s_link_is_made_over_tls_with_the_server_s_own_certificate_alone(
    encrypted: tuple[Server, Path, int], tmp_path: Path
) -> None:
    server, certificate, _ = encrypted
    assert console_link(server.url, server.key, certificate=str(certificate)).startswith(f"{server.url}/console/#")
    stranger, _ = make_certificate(tmp_path)
    with pytest.raises(Exception, match="does not answer"):
        console_link(server.url, server.key, certificate=str(stranger))


def test_health_and_metrics_have_a_port_of_their_own_and_nothing_else_does_there(
    encrypted: tuple[Server, Path, int],
) -> None:
    server, certificate, admin = encrypted
    with closing(http.client.HTTPConnection("127.0.0.1", admin, timeout=10)) as client:
        found = {}
        for path in ("/health/ready", "/metrics", "/v1/worlds", "/openapi.json", "/console"):
            client.request("GET", path)
            answer = client.getresponse()
            found[path] = answer.status, b"innkeeper_request_seconds" in answer.read()
    assert found == {
        "/health/ready": (200, False), "/metrics": (200, True), "/v1/worlds": (404, False),
        "/openapi.json": (404, False), "/console": (404, False),
    }  # fmt: skip
    with closing(connection(server, ssl.create_default_context(cafile=str(certificate)))) as client:
        client.request("GET", "/metrics")
        assert client.getresponse().status == 401


def test_a_renewed_certificate_is_served_after_a_hangup_and_a_broken_one_is_not(
    encrypted: tuple[Server, Path, int],
) -> None:
    server, certificate, _ = encrypted
    make_certificate(certificate.parent, name="renewed.test")
    os.kill(server.process.pid, signal.SIGHUP)
    _until(lambda: "certificate.renewed" in (server.folder / "server.log").read_text())
    assert "renewed.test" in _subject(server, certificate)
    good = certificate.read_bytes()
    certificate.write_text("no certificate")
    os.kill(server.process.pid, signal.SIGHUP)
    _until(lambda: "certificate.refused" in (server.folder / "server.log").read_text())
    certificate.write_bytes(good)
    assert "renewed.test" in _subject(server, certificate)


def _subject(server: Server, certificate: Path) -> str:
    with closing(connection(server, ssl.create_default_context(cafile=str(certificate)))) as client:
        client.connect()
        return str(client.sock.getpeercert())


def _until(holds: object) -> None:
    until_s = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--host", "0.0.0.0"), "server.tls_certificate"),
        (("--set", "security.level=server", "--set", "security.origins=*"), "security.origins"),
        (("--set", "server.tls_certificate=nowhere.pem"), "nowhere.pem"),
        (("--set", "audit.key_file=nowhere.key"), "nowhere.key"),
        (("--set", "security.proxies=proxy"), "'proxy'"),
    ],
)
def test_a_start_that_would_be_unsafe_or_cannot_be_is_refused_with_the_setting(
    tmp_path: Path, flags: tuple[str, ...], named: str
) -> None:
    folder = tmp_path / "data"
    command = [sys.executable, str(ROOT / "manage.py"), "serve", "--mode", "1", "--data", str(folder), "--port", "0"]
    run = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert named in run.stderr
    assert "Traceback" not in run.stderr
    if named in ("server.tls_certificate", "security.origins"):
        assert not folder.exists(), "nothing was opened"


async def test_a_proxy_s_tls_off_loopback_needs_no_certificate_here(tmp_path: Path) -> None:
    flags = ("--host", "0.0.0.0", "--set", "security.proxies=127.0.0.1")
    with running(tmp_path, *flags) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        writer.close()


def test_replicas_reach_each_other_by_their_own_address_whatever_hosts_are_served(tmp_path: Path) -> None:
    port = free_port()
    flags = {
        "server.port": port, "security.hosts": "npc.example.com", "ownership.address": f"http://127.0.0.1:{port}"
    }  # fmt: skip
    settings = [part for name, value in flags.items() for part in ("--set", f"{name}={value}")]
    with running(tmp_path, *settings) as server:
        assert server.get("/health/live")[0] == 200
        assert server.request("GET", "/health/live", None, headers={"Host": f"localhost:{port}"})[0] == 400
