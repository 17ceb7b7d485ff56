"""A binary heap in an array of int64 keys: the value to order by, then the node in the low bits.

It knows keys only; each search that uses it says in its own file what bounds its values.
"""

from __future__ import annotations

from app.modules.pathfinding.compiled import inlined
from app.modules.pathfinding.grids.graph import I64

NODE_BITS = 24
NODE_MASK = (1 << NODE_BITS) - 1


@inlined
def push(heap: I64, size: int, key: int) -> int:
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if heap[parent] <= key:
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = key
    return size + 1


@inlined
def pop(heap: I64, size: int) -> int:
    """Drop the least key, which the caller has read from heap[0]; the new size.

    The hole sinks to the bottom and the last key rises from there, where it mostly belongs. The
    comparison on the way down is arithmetic, not a branch, because its outcome cannot be guessed.
    """
    size -= 1
    place = 0
    child = 1
    while child + 1 < size:
        child += heap[child + 1] < heap[child]
        heap[place] = heap[child]
        place = child
        child = 2 * place + 1
    if child < size:
        heap[place] = heap[child]
        place = child
    push(heap, place, heap[size])
    return size
