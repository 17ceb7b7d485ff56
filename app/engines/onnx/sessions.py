"""Opens a session on the first provider of an order that works, and says why those before it do not.

ONNX Runtime falls back to the CPU silently: what a session says it runs on is compared with what was asked. It
knows providers and their options, not what a network is for.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core.errors import EngineDown
from app.engines import catalog
from app.engines.onnx import gpu

PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "uv pip install onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "uv sync --extra gpu"),
    "tensorrt": ("TensorrtExecutionProvider", "uv sync --extra gpu"),
    "nv_tensorrt_rtx": ("NvTensorRTRTXExecutionProvider", "uv sync --extra rtx"),
}
"""A profile's word -> the runtime's name, and the command that brings it."""
PLUGINS = {"nv_tensorrt_rtx": "onnxruntime_ep_nv_tensorrt_rtx"}
"""Providers that come as a package of their own, which the runtime loads when it is told where."""
BUILDS_ENGINES = frozenset({"tensorrt", "nv_tensorrt_rtx"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How networks are opened, as a profile's table says it."""

    providers: tuple[str, ...] = ("cpu",)
    threads: int = 1
    """Of the runtime's own in one run; more than one is slower for a small network than chunks in parallel."""
    gpu_memory_bytes_max: int = 0
    """What a session may take of the card; 0 is no bound."""
    gpu_graphs: bool = True
    """Whether each bucket's run is captured as a CUDA graph."""
    buckets: tuple[int, ...] = gpu.BUCKETS
    cache_folder: Path | None = None
    """Where built engines are kept; None keeps none."""


@dataclass(slots=True)
class Opened:
    """A session, the word for what it really runs on, and the words before it with why they do not run."""

    session: Any
    provider: str
    missing: tuple[tuple[str, str], ...]
    shared: list[Any] = field(default_factory=list)
    """What the session borrows and must outlive it."""


def open_session(
    data: bytes, *, name: str, entry: catalog.Entry, options: Options, shared: Sequence[tuple[str, Any]] = ()
) -> Opened:
    """A session over a model's bytes; raises EngineDown when every provider fails, ModuleNotFoundError without one.

    `shared` are constants of the graph, by name, that another session holds as well.
    """
    import onnxruntime

    unknown = [word for word in options.providers if word not in PROVIDERS]
    if unknown or not options.providers:
        raise EngineDown(f"engine {name!r} asks for providers {unknown!r}", hint=f"choose from {sorted(PROVIDERS)}")
    missing: list[tuple[str, str]] = []
    for word in options.providers:
        wanted = PROVIDERS[word][0]
        reason = _prepare(onnxruntime, word)
        if reason:
            missing.append((word, reason))
            continue
        try:
            session = _start(onnxruntime, data, word, entry, options, shared)
        except faults() as error:
            missing.append((word, f"{wanted} cannot start: {str(error).strip().splitlines()[0]}"))
            continue
        if session.get_providers()[0] == wanted:
            return Opened(session, word, tuple(missing), [value for _, value in shared])
        missing.append((word, f"{wanted} gave way to {session.get_providers()[0]}: no driver or library"))
    raise EngineDown(
        f"engine {name!r}: {'; '.join(reason for _, reason in missing)}",
        hint=" or ".join(sorted({PROVIDERS[word][1] for word in options.providers})),
    )


def _start(
    runtime: Any, data: bytes, word: str, entry: catalog.Entry, options: Options, shared: Sequence[tuple[str, Any]]
) -> Any:
    """A session that asks for one provider, and for the CPU where that leaves something over."""
    asked = session_options(runtime, options)
    for constant, value in shared:
        asked.add_initializer(constant, value)
    wanted = PROVIDERS[word][0]
    if word == "cpu":
        return runtime.InferenceSession(data, asked, providers=[wanted])
    details = provider_options(word, entry, options, version=runtime.__version__)
    if word in PLUGINS:
        devices = [device for device in runtime.get_ep_devices() if device.ep_name == wanted]
        asked.add_provider_for_devices(devices[:1], details)
        return runtime.InferenceSession(data, asked)
    return runtime.InferenceSession(data, asked, providers=[(wanted, details), PROVIDERS["cpu"][0]])


def session_options(runtime: Any, options: Options) -> Any:
    """What holds for every session: no thread that spins, no line on stderr."""
    asked = runtime.SessionOptions()
    asked.intra_op_num_threads = options.threads
    asked.inter_op_num_threads = 1
    asked.log_severity_level = 4  # Errors are raised as well; lines on stderr would only double them.
    asked.add_session_config_entry("session.intra_op.allow_spinning", "0")
    asked.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # session.set_denormal_as_zero stays off: it changes the arithmetic of the thread that calls, which is the loop's.
    return asked


def provider_options(word: str, entry: catalog.Entry, options: Options, *, version: str) -> dict[str, str]:
    """A device provider's own settings; precision is no part of them, it stands in the graph."""
    graphs = "1" if options.gpu_graphs and has_fixed_rows(entry) else "0"
    limit = str(options.gpu_memory_bytes_max)
    if word == "cuda":
        bound = {"gpu_mem_limit": limit} if options.gpu_memory_bytes_max else {}
        return {"device_id": "0", "arena_extend_strategy": "kSameAsRequested", "enable_cuda_graph": graphs, **bound}
    prefix, details = ("trt", {"trt_cuda_graph_enable": graphs})
    if word == "nv_tensorrt_rtx":
        prefix, details = ("nv", {"enable_cuda_graph": graphs, "nv_multi_profile_enable": "1"})
    if has_fixed_rows(entry):
        shapes = gpu.profiles({put.name: put.shape[1:] for put in entry.inputs}, options.buckets)
        details |= {f"{prefix}_profile_{bound}_shapes": shapes for bound in ("min", "opt", "max")}
    if options.gpu_memory_bytes_max:
        details[f"{prefix}_max_workspace_size"] = limit
    card = gpu.look() if options.cache_folder is not None else None
    if card is not None and options.cache_folder is not None:
        folder = gpu.cache_folder(
            options.cache_folder, sha256=entry.sha256, provider=word, version=_version(word, version), gpu=card
        )
        folder.mkdir(parents=True, exist_ok=True)
        cached = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
        details |= {"nv_runtime_cache_path": str(folder)} if prefix == "nv" else cached
    return details


def has_fixed_rows(entry: catalog.Entry) -> bool:
    """Whether only the rows of every array are free, so that buffers of a fixed size hold a bucket's run."""
    puts = (*entry.inputs, *entry.outputs)
    return all(put.shape[:1] == (-1,) and -1 not in put.shape[1:] for put in puts)


def _prepare(runtime: Any, word: str) -> str:
    """Load what a provider needs; why it is not there, or ""."""
    wanted = PROVIDERS[word][0]
    if word in PLUGINS:
        return _register(runtime, PLUGINS[word], wanted)
    if wanted not in runtime.get_available_providers():
        return f"{wanted} is missing from this build of ONNX Runtime"
    if word in ("cuda", "tensorrt"):
        runtime.preload_dlls()  # The CUDA libraries of the extra's packages, which no search path names.
    return ""


def _register(runtime: Any, package: str, wanted: str) -> str:
    """Tell the runtime of a plugin's library, once a process; why it cannot be used, or ""."""
    raised: tuple[type[Exception], ...] = (*faults(), OSError)
    if not any(device.ep_name == wanted for device in runtime.get_ep_devices()):
        try:
            plugin = importlib.import_module(package)
            runtime.register_execution_provider_library(wanted, plugin.get_library_path())
        except ModuleNotFoundError:
            return f"{wanted} is missing: the package {package.replace('_', '-')}-cu13 is not installed"
        except raised as error:
            return f"{wanted} does not load: {str(error).strip().splitlines()[0]}"
    if not any(device.ep_name == wanted for device in runtime.get_ep_devices()):
        return f"{wanted} finds no device"
    return ""


def _version(word: str, version: str) -> str:
    """The version of what builds an engine."""
    if word not in PLUGINS:
        return version
    return f"{version}+{importlib.import_module(PLUGINS[word]).__version__}"


def faults() -> tuple[type[Exception], ...]:
    """What the runtime raises; its classes share no parent but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = (
        "EPFail", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "ModelLoaded", "NoModel", "NoSuchFile",
        "NotImplemented", "RuntimeException",
    )  # fmt: skip
    return (*(getattr(state, name) for name in names), RuntimeError, ValueError)


def workers(provider: str, most: int) -> int:
    """Threads that may run a session at once: several on the CPU, one owner for a device."""
    return min(most, os.cpu_count() or 1) if provider == "cpu" else 1
