"""What a story wants done, as written: the act and its arguments by name, checked against the gate's closed list.

It knows names and numbers of arguments; whether an act may be offered is the gate's matter when it comes to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.core.errors import nearest
from app.modules.dialogue.stories.source import Line, wrong
from app.world.gate.acts import ACTIONS


def words(text: str, line: Line) -> list[str]:
    """The words of a command; quotes and braces hold several together, and quotes go."""
    found, word, depth, quoted = [], "", 0, False
    for sign in text:
        depth += (sign == "{") - (sign == "}")
        if sign == '"' and depth == 0:
            quoted = not quoted
        elif sign.isspace() and depth == 0 and not quoted:
            found += [word] if word else []
            word = ""
        else:
            word += sign
    if quoted or depth:
        raise wrong(line, text, "has a quote or a brace that is not closed", 'write "two words" or one_word')
    return [*found, word] if word else found


def named(action: str, given: Sequence[str], line: Line) -> list[tuple[str, str]]:
    """(name, value) of each argument of `action item=sword` or `action sword`; raises Invalid."""
    parameters = parameters_of(action, line)
    found: dict[str, str] = {}
    for number, word in enumerate(given):
        name, equals, value = word.partition("=")
        if not equals:
            if number >= len(parameters):
                raise wrong(line, word, f"is one argument too many for {action!r}", _usage(action, parameters))
            name, value = parameters[number], word
        if name not in parameters or name in found:
            raise wrong(line, word, f"is no argument of {action!r}", _usage(action, parameters))
        found[name] = value
    counted(action, len(found), line)
    return list(found.items())


def counted(action: str, given: int, line: Line) -> tuple[str, ...]:
    """The parameters of an act that is given so many arguments; raises Invalid where it takes others."""
    parameters = parameters_of(action, line)
    if given != len(parameters):
        what = f"takes {len(parameters)} arguments, not {given}"
        raise wrong(line, action, what, _usage(action, parameters))
    return parameters


def parameters_of(action: str, line: Line) -> tuple[str, ...]:
    if action not in ACTIONS:
        raise wrong(line, action, "is no act that an NPC can propose", nearest(action, ACTIONS))
    return tuple(ACTIONS[action].parameters)


def _usage(action: str, parameters: tuple[str, ...]) -> str:
    return f"write {' '.join((action, *(f'{name}=…' for name in parameters)))}"
