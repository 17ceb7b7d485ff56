"""What lint finds, where, and with which mend; and that the prompts that ship have nothing to mend."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.control.prompts.bundled import convert_prompt, read_prompt, to_toml
from app.control.prompts.lint import lint
from app.core.errors import Invalid
from app.core.prompts import Prompt, version_of
from tests.prompts import BUNDLED, LIMITS

VARIABLES: dict[str, Any] = {
    "name": {},
    "said": {"trust": "player"},
    "rows": {"rows": True, "rows_max": 4},
    "mark": {"required": True},
}


def prompt(text: str, *, trust: str = "system", **fields: Any) -> Prompt:
    tree = {"name": "test.say", "sections": {"only": {"trust": trust, "text": text}}, "variables": VARIABLES, **fields}
    return convert_prompt(tree, "test.toml")


SPEECH = '<player_speech from="x">\n{{ said }}\n</player_speech>'


@pytest.mark.parametrize(
    ("text", "rule", "place", "told", "mend"),
    [
        ("{{ mark }}\nHi {{ nam }}", "undefined", (2, 7), "nobody gives 'nam'", "'name'"),
        ("{{ mark }} {% if nam %}x{% endif %}", "undefined", (1, 18), "nobody gives 'nam'", "'name'"),
        ("{{ mark }} {{ rows }}", "undefined", (1, 15), "'rows' is a list", "for"),
        ("{{ mark }} {% for one in name %}{{ one }}{% endfor %}", "undefined", (1, 26), "'name' is no list", "insert"),
        ("no mark", "unused", (0, 0), "'mark' must be used", "{{ mark }}"),
        ("{{ mark }}\n\nThey say {{ said }}.", "delimiter", (3, 13), "'said' stands outside", "<player_speech>"),
        (f"{{{{ mark }}}} {SPEECH} {{{{ (said) }}}}", "delimiter", (3, 22), "'said' stands outside", "<player_speech>"),
        ("{{ mark }} <player_speech>{{ said }}{{ name }}</player_speech>", "delimiter", (1, 30), "'said'", "alone"),
        ("{{ mark }} <player_speech>{% if name %}{{ said }}{% endif %}</player_speech>", "delimiter", (1, 43), "", ""),
        ("{{ mark }} {% for one in said %}{{ one }}{% endfor %}", "delimiter", (1, 26), "'said'", ""),
        ("{{ mark }} <player_speech>{{ said }}</player_speech> {{ said }}", "delimiter", (1, 57), "'said'", ""),
        ("{{ mark }} {{ said|upper }}", "delimiter", (1, 15), "'said'", ""),
        ("{{ mark }}\n{{ name.__class__ }}", "syntax", (2, 1), "an attribute is not part", "insert a variable"),
        ("{{ mark }}\n{{ name|attr('x') }}", "syntax", (2, 9), "no filter 'attr'", ""),
        ("{{ mark }}\n\n{{ name", "syntax", (3, 1), "", ""),
        ("{{ mark }}\n{% for a in rows %}{% for b in rows %}{% endfor %}{% endfor %}", "syntax", (2, 4), "`for`", ""),
        ("{{ mark }}" + "long " * 10_000, "size", (0, 0), "bytes of templates", "32768"),
    ],
)
def test_each_fault_is_found_where_it_stands(
    text: str, rule: str, place: tuple[int, int], told: str, mend: str
) -> None:
    found = [one for one in lint(prompt(text), LIMITS) if one.level == "error" and one.rule == rule]
    assert found, lint(prompt(text), LIMITS)
    assert (found[0].line, found[0].column) == place
    assert told in found[0].message
    assert mend in found[0].hint


def test_player_text_between_delimiters_is_in_order() -> None:
    for speech in (SPEECH, "<player_speech>{{ said|trim }}</player_speech>", f"{{% if said %}}{SPEECH}{{% endif %}}"):
        found = lint(prompt(f"{{{{ mark }}}} {speech} {{{{ name }}}}{{{{ rows|join }}}}"), LIMITS)
        assert found == []


def test_a_section_without_trust_is_refused() -> None:
    (found,) = [one for one in lint(prompt("{{ mark }}", trust=""), LIMITS) if one.level == "error"]
    assert (found.rule, found.section) == ("trust", "only")
    assert 'trust = "system"' in found.hint


def test_a_variable_that_is_not_used_is_a_warning() -> None:
    found = lint(prompt("{{ mark }}{{ name }}{{ rows|join }}"), LIMITS)
    assert [(one.level, one.rule) for one in found] == [("warning", "unused")]
    assert "'said'" in found[0].message


def test_tokens_are_estimated_with_the_longest_values() -> None:
    variables = {**VARIABLES, "rows": {"rows": True, "rows_max": 10, "characters_max": 300}}
    text = "{{ mark }}{{ name }}{{ rows|join(' ') }}"
    fits = prompt(text, variables=variables, input_tokens_max=1_140)
    assert not [one for one in lint(fits, LIMITS) if one.level == "error"]
    over = msgspec.structs.replace(fits, input_tokens_max=1_130)
    (found,) = [one for one in lint(over, LIMITS) if one.level == "error"]
    assert (found.rule, "1137" in found.message, "1130" in found.hint) == ("tokens", True, True)


def test_a_version_of_a_bundled_prompt_must_be_what_the_code_renders() -> None:
    contract = BUNDLED["dialogue.reply"]
    changed = dict(contract.sections)
    changed["extra"] = changed.pop("chatter")
    changed["world"] = msgspec.structs.replace(changed["world"], trust="system")
    changed["rules"] = msgspec.structs.replace(changed["rules"], text="Speak as {{ hero }}.")
    own = {**contract.variables, "hero": next(iter(contract.variables.values()))}
    found = lint(msgspec.structs.replace(contract, sections=changed, variables=own), LIMITS, contract=contract)
    assert {(one.rule, one.section) for one in found if one.level == "error"} == {
        ("section", "extra"),
        ("section", "chatter"),
        ("trust", "world"),
        ("undefined", "rules"),
        ("unused", ""),
    }, "the canary is gone, and `hero` is nothing that the code gives"


def test_a_variable_is_used_where_the_code_gives_it() -> None:
    contract = BUNDLED["dialogue.reply"]
    rules = msgspec.structs.replace(contract.sections["rules"], text="Be {{ traits }}. {{ canary }}\nKnow {{ facts }}")
    changed = msgspec.structs.replace(contract, sections={**contract.sections, "rules": rules})
    (found,) = [one for one in lint(changed, LIMITS, contract=contract) if one.level == "error"]
    assert (found.rule, found.section, found.line, found.column) == ("undefined", "rules", 2, 9)
    assert found.hint == "use it in world"


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_what_ships_has_nothing_to_mend(name: str) -> None:
    assert lint(BUNDLED[name], LIMITS, contract=BUNDLED[name]) == []


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_a_prompt_that_is_written_to_a_file_is_read_as_the_same_version(name: str) -> None:
    assert version_of(read_prompt(to_toml(BUNDLED[name]), "x.toml")) == version_of(BUNDLED[name])


def test_odd_texts_survive_a_file() -> None:
    for text in ('quote """ and \\ and """"', "tab\there\nline", "bell\x07\nline", "\n\nleading", "del\x7f\nline"):
        odd = prompt(text, sampling={"temperature": 0.5, "stop": ["\n"]}, output_tokens_max=9, model="fast")
        assert version_of(read_prompt(to_toml(odd), "x.toml")) == version_of(odd)


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"name": "a.b", "section": {}}, "section is unknown"),
        ({"name": "a.b", "sections": {"x": {"txt": ""}}}, "sections.*.txt is unknown"),
        (
            {"name": "a.b", "sections": {"x": {"text": ""}}, "variables": {"y": {"max": 1}}},
            "variables.*.max is unknown",
        ),
        ({"name": "a.b", "sections": {"x": {"text": 1}}}, "Expected `str`"),
        ({"name": "a.b", "sections": {"x": {"text": "", "trust": "player"}}}, "Invalid enum value 'player'"),
        ({"name": "a.b", "sections": {"X y": {"text": ""}}}, "matching regex"),
    ],
)
def test_a_file_that_is_no_prompt_is_refused_by_name(tree: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=r"mine\.toml") as caught:
        convert_prompt(tree, "mine.toml")
    assert told in caught.value.message


def test_the_version_is_the_hash_of_the_content_and_the_order_of_sections_is_part_of_it() -> None:
    one = prompt("{{ mark }}", sections={"a": {"text": "1"}, "b": {"text": "2"}})
    same = prompt("{{ mark }}", sections={"a": {"text": "1"}, "b": {"text": "2"}})
    turned = prompt("{{ mark }}", sections={"b": {"text": "2"}, "a": {"text": "1"}})
    warmer = msgspec.structs.replace(one, sampling=msgspec.structs.replace(one.sampling, temperature=1.0))
    assert version_of(one) == version_of(same)
    assert len({version_of(one), version_of(turned), version_of(warmer)}) == 3
