"""Opens the encoder of sentences that a profile names, for memories; without one they are ranked by words alone."""

from __future__ import annotations

from pathlib import Path

from app.build.engines import Engines, open_engine, open_or_lack
from app.core.clock import Clock
from app.core.engines import Onnx
from app.core.errors import EngineDown
from app.core.ports import Log
from app.core.profile import Profile
from app.modules.memory.embedding import Embedder, Reader
from app.modules.memory.index import wordpiece
from app.modules.memory.settings import EmbeddingSettings

NAME = "embedder"


def open_embedder(
    profile: Profile, engines: Engines, settings: EmbeddingSettings, *, root: Path, clock: Clock, log: Log
) -> Embedder | None:
    """The engine table `embedder` with its tokenizer; None, and visibly, where either does not work."""
    spec = profile.engines.get(NAME)
    if not isinstance(spec, Onnx) or not (spec.file or spec.model):
        return None

    def opened() -> Embedder:
        tokens = wordpiece.read(_read(spec.tokenizer))
        network = open_engine(NAME, spec, root=root)
        reader = Reader(tokens, network.metadata, tokens_max=settings.tokens_max)
        trial = reader.trial()
        reader.vectors(trial, network.compute(reader.arrays(trial)))
        return Embedder(network, reader, settings, clock=clock, log=log)

    return open_or_lack(NAME, engines, opened)


def _read(path: str) -> bytes:
    if not path:
        raise EngineDown("no tokenizer is named", hint=f"name its vocab.txt in engines.{NAME}.tokenizer")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise EngineDown(
            f"tokenizer {Path(path).name!r}: {error.strerror}", hint="name a file that is there"
        ) from error
