"""The soak's instruments: they see a leak of each kind, and a store that is lost and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from app.cli.prove.child import free_port
from app.cli.prove.key_server import KeyServer, find_program
from app.cli.prove.load.generator import Generator, served
from app.cli.prove.load.orders import Answers, Found, Opened
from app.cli.prove.overload import Size, _shed, _unaffected
from app.cli.prove.soak import Stores, Usage, Watch, _answered, _postgres_connections, _steady, _usage
from app.stores.cluster import find_tools, private_cluster

BEFORE = Usage(rss_kib=100_000, tasks=10, descriptors=20, postgres=5, redis=3)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with private_cluster(find_tools("initdb")) as cluster:
        cluster.create()
        cluster.start()
        keys = KeyServer(find_program(), tmp_path_factory.mktemp("keys"), free_port(), appends="yes")
        keys.start()
        yield Stores(cluster, keys)
        keys.kill()


def test_a_server_s_connections_tasks_and_files_are_seen(tmp_path: Path, stores: Stores) -> None:
    settings = {"database.url": stores.cluster.url(), "stream.url": stores.keys.url}
    with served(tmp_path, settings=settings, worlds=1) as server:
        before = _usage(server, stores)
        assert before.postgres >= 1
        assert before.redis >= 1
        with Watch(server) as watch, Generator(port=server.port, key=server.key, worlds=1) as generator:
            generator.hold(sockets=20)
            held = _usage(server, stores)
        assert held.descriptors - before.descriptors == 20
        assert held.tasks - before.tasks >= 20
        assert watch.rss_kib >= before.rss_kib * 0.9


def test_what_a_store_held_is_there_after_an_outage(stores: Stores) -> None:
    for name in ("PostgreSQL", "Redis"):
        stores.lose(name, 0.05)
    assert _postgres_connections(stores.cluster) == 0
    assert stores.keys.clients() == 0


@pytest.mark.parametrize("field", ["rss_kib", "tasks", "descriptors", "postgres", "redis"])
def test_a_leak_of_each_kind_falls_short(field: str) -> None:
    watch = Watch(None)  # type: ignore[arg-type]  # it looks at nothing
    assert all(figure.reached for figure in _steady(BEFORE, BEFORE, watch))
    after = replace(BEFORE, **{field: getattr(BEFORE, field) * 1.06 + 2.5})
    assert sum(not figure.reached for figure in _steady(BEFORE, after, watch)) == 1


def test_a_refusal_outside_outages_counts_as_an_error() -> None:
    calm = Found(sent=1_000, errors=0, codes={}, ok=Answers(count=1_000), shed=Answers(), seconds=())
    came = Opened(held=10, failed=0, hello=Answers())
    assert all(figure.reached for figure in _answered([calm], [came]))
    refused = msgspec.structs.replace(calm, shed=Answers(count=2))
    assert [figure.reached for figure in _answered([refused], [came])] == [False, True]


def test_a_quiet_tenant_that_waits_or_is_refused_is_seen() -> None:
    fine = Found(sent=100, errors=0, codes={}, ok=Answers(count=100, p95_ms=40), shed=Answers(), seconds=())
    assert all(figure.reached for figure in _unaffected((fine, fine), (fine, fine)))
    slow = msgspec.structs.replace(fine, ok=Answers(count=100, p95_ms=53))
    assert [figure.reached for figure in _unaffected((fine, fine), (slow, slow))] == [False, False, True]
    refused = msgspec.structs.replace(fine, shed=Answers(count=1))
    assert [figure.reached for figure in _unaffected((fine, fine), (fine, refused))] == [True, True, False]


def test_goodput_is_held_against_the_peak() -> None:
    size = Size(peak=1, alone=1, calm=1, press=10, after=1)
    served_well = Found(
        sent=1_000, errors=0, codes={}, ok=Answers(count=100), shed=Answers(count=900, p95_ms=5), seconds=()
    )
    assert [figure.reached for figure in _shed(size, 10.0, [served_well])] == [True, True, True]
    assert [figure.reached for figure in _shed(size, 20.0, [served_well])] == [False, True, True]
    wrong = msgspec.structs.replace(served_well, errors=1)
    assert [figure.reached for figure in _shed(size, 10.0, [wrong])] == [True, True, False]
