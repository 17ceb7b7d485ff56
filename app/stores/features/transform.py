"""Transformations of history: SQL files that DuckDB and Spark both take.

A studio that outgrows one machine changes the engine and not the query; either leaves a folder of Parquet
files. It knows tables by name and files; what a row means is the view's.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from app.core.errors import Conflict, Invalid, NotFound, nearest

TRANSFORMS = Path(__file__).parent / "transforms"
SPARK_OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "4",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
"""For a master in this process; a cluster's own settings come from its configuration."""
EngineName = Literal["duckdb", "spark"]
Sources = Mapping[str, Sequence[Path]]


def names() -> tuple[str, ...]:
    """Every transformation that ships."""
    return tuple(sorted(path.stem for path in TRANSFORMS.glob("*.sql")))


def run(name: str, sources: Sources, out: Path, *, engine: EngineName, master: str = "local[2]") -> None:
    """Run a transformation over Parquet files by table name and write its rows into the new folder `out`.

    Raises Invalid for an unknown name, NotFound for a table without files, Conflict when `out` is there.
    """
    if name not in names():
        raise Invalid(f"no transformation {name!r}", hint=nearest(name, names()))
    for table, files in sources.items():
        if not files:
            raise NotFound(f"no files for {table!r}", hint="write them with manage.py features materialize")
    if out.exists():
        raise Conflict(f"{str(out)!r} exists", hint="name a folder that does not")
    sql = (TRANSFORMS / f"{name}.sql").read_text("utf-8")
    if engine == "duckdb":
        _run_duckdb(sql, sources, out)
    else:
        _run_spark(sql, sources, out, master)


def _run_duckdb(sql: str, sources: Sources, out: Path) -> None:
    import duckdb

    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with duckdb.connect() as connection:
        for table, files in sources.items():
            connection.read_parquet([str(path) for path in files], hive_partitioning=False).create_view(table)
        connection.sql(sql).write_parquet(str(part / "part-0.parquet"), compression="zstd")
    part.rename(out)


def _run_spark(sql: str, sources: Sources, out: Path, master: str) -> None:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(master).appName("innkeeper-features")
    for key, value in SPARK_OPTIONS.items() if master.startswith("local") else ():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    try:
        for table, files in sources.items():
            session.read.parquet(*(_literal(path) for path in files)).createOrReplaceTempView(table)
        session.sql(sql).write.parquet(_literal(out))
    finally:
        session.stop()


def _literal(path: Path) -> str:
    """A local path for Hadoop, which decodes nothing: a URI's percent signs would be taken as they stand."""
    return f"file://{path.resolve()}"
