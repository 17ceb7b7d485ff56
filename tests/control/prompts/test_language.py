"""The language of templates: what it renders, what it refuses, and that nothing in it runs long."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.control.prompts.language import Template, parse, tidy
from app.core.errors import Invalid, TooLarge

ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ name.__class__ }}",
    "{{ name['__class__'] }}",
    "{{ name|attr('__class__') }}",
    "{{ name|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ '{0.__class__}'.format(name) }}",
    "{{ '%s'|format(name) }}",
    "{{ self._TemplateReference__context }}",
    "{{ self.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ lipsum.__globals__['os'].system('id') }}",
    "{{ url_for.__globals__ }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ request.application.__globals__ }}",
    "{{ config.items() }}",
    "{{ dict(a=1).__class__ }}",
    "{{ ().__class__.__bases__[0] }}",
    "{{ [].__class__ }}",
    "{{ (1).__class__ }}",
    "{{ rows|map(attribute='__class__')|list }}",
    "{{ rows|selectattr('__class__')|list }}",
    "{{ rows|groupby('__class__') }}",
    "{{ rows|sort(attribute='__class__') }}",
    "{{ rows|sum(attribute='__class__') }}",
    "{{ name|pprint }}",
    "{{ name|tojson }}",
    "{{ name|xmlattr }}",
    "{{ caller() }}",
    "{{ loop.__class__ }}",
    "{% for row in rows %}{{ loop.__init__ }}{% endfor %}",
    "{% for row in rows recursive %}{{ loop(rows) }}{% endfor %}",
    "{% for row in name.__class__.mro() %}{% endfor %}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{{ m() }}",
    "{% call name() %}{% endcall %}",
    "{% set x = name.__class__ %}{{ x }}",
    "{% set ns = namespace(a=name) %}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import popen %}",
    "{% extends 'base' %}",
    "{% block a %}{% endblock %}",
    "{% with x = name.__class__ %}{{ x }}{% endwith %}",
    "{% filter upper %}x{% endfilter %}",
    "{% autoescape true %}x{% endautoescape %}",
    "{% if name.__class__ %}x{% endif %}",
    "{% if name is callable %}x{% endif %}",
    "{% if 'a' in name %}x{% endif %}",
    "{{ name if name else rows }}",
    "{{ name ~ name }}",
    "{{ _private }}",
    "{% for _ in rows %}{{ _ }}{% endfor %}",
]
BOMBS = [
    "{{ 9**9**9**9 }}",
    "{{ 'a' * 1000000000 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ range(1000000000)|list }}",
    "{% for row in range(1000000000) %}x{% endfor %}",
    "{% for a in rows %}{% for b in rows %}{% for c in rows %}{% endfor %}{% endfor %}{% endfor %}",
    "{{ rows|join('x')|join('x')|join('x')|join('x')|join('x')|join('x') }}",
    "{{ rows|join('" + "x" * 30_000 + "') }}",
    "{{ name|center(1000000000) }}",
    "{{ name|indent(1000000000) }}",
    "{{ name|replace('', name) }}",
    "{{ lipsum(n=100000) }}",
    "{{ " + "(" * 10_000 + "1" + ")" * 10_000 + " }}",
    "{{ name" + ".a" * 10_000 + " }}",
    "{{ " + "not " * 10_000 + "name }}",
    "{% if name" + " and name" * 5_000 + " %}x{% endif %}",
    "{% if name %}" * 2_000 + "{% endif %}" * 2_000,
    "{% for row in rows %}{% endfor %}" * 1_000,
    "{{ " + "1" * 30_000 + " }}",
    "{{ [" * 5_000 + "]" * 5_000 + " }}",
    "{% raw %}" * 2_000,
    "{#" * 10_000,
]
TEXTS = st.text(st.sampled_from("ab%${}<>\n \u2028é"), max_size=20)


def render(text: str, bytes_max: int = 100_000, /, **variables: Any) -> str:
    return Template(text, output_bytes_max=bytes_max).render(variables)


@pytest.mark.parametrize("text", ESCAPES)
def test_what_reaches_out_of_a_template_is_not_part_of_the_language(text: str) -> None:
    assert parse(text).faults, "it would be compiled"


@pytest.mark.parametrize("text", BOMBS, ids=range(len(BOMBS)))
def test_a_bomb_is_refused_before_anything_of_it_runs(text: str) -> None:
    began = time.process_time()
    assert parse(text).faults
    assert time.process_time() - began < 5.0, "reading it took as long as a bomb would"


@pytest.mark.parametrize(
    ("text", "variables", "told"),
    [
        ("Hello {{ name }}!", {"name": "Ann"}, "Hello Ann!"),
        ("{% if name == 'Ann' %}A{% elif name %}B{% else %}C{% endif %}", {"name": "Bo"}, "B"),
        ("{% for row in rows %}- {{ row|trim }}\n{% endfor %}", {"rows": [" a", "b "]}, "- a\n- b"),
        ("{% for row in rows %}x{% else %}none{% endfor %}", {"rows": ()}, "none"),
        ("{{ rows|join(', ') }} and {{ name|upper }}", {"rows": ["a", "b"], "name": "c"}, "a, b and C"),
        ("{% if rows|length > 1 and not name %}many{% endif %}", {"rows": ["a", "b"], "name": ""}, "many"),
        ("100% {{ name }} %(name)s", {"name": "sure"}, "100% sure %(name)s"),
        ("a\n\n   \n{{ name }}   \nb\n", {"name": ""}, "a\nb"),
        ("", {}, ""),
    ],
)
def test_what_the_language_has_is_rendered(text: str, variables: dict[str, Any], told: str) -> None:
    assert not parse(text).faults
    assert render(text, **variables) == told


@pytest.mark.parametrize("text", ["{{ name }}", "{% if yes %}{{ name }}{% endif %}", "{{ name|trim }}"])
def test_what_a_variable_brings_in_is_never_rendered_again(text: str) -> None:
    for value in ("{{ canary }}", "{% if 1 %}x{% endif %}", "$canary", "%(canary)s", "{# gone #}"):
        assert render(text, name=value, yes=True, canary="secret") == value


@pytest.mark.parametrize("text", ["{{ name }}", "{% if yes %}{{ name }}{% endif %}"])
def test_a_variable_that_is_missing_is_an_error(text: str) -> None:
    with pytest.raises(Invalid, match="name"):
        render(text, yes=True)


def test_a_value_of_the_wrong_kind_is_an_error_and_says_nothing_of_it() -> None:
    for text in ("{% for row in rows %}{{ row }}{% endfor %}", "{% if rows > 'a' %}x{% endif %}"):
        with pytest.raises(Invalid, match="cannot be rendered"):
            render(text, rows=3)


def test_output_past_its_bound_is_an_error_and_ends_the_loop() -> None:
    class Rows:
        taken = 0

        def __iter__(self) -> Any:
            while True:
                self.taken += 1
                yield "x" * 100

    rows = Rows()
    with pytest.raises(TooLarge, match="1000"):
        render("{% for row in rows %}{{ row }}{% endfor %}", 1_000, rows=rows)
    assert rows.taken < 20
    with pytest.raises(TooLarge):
        render("{{ name }}", 1_000, name="x" * 1_001)


@given(st.lists(st.one_of(TEXTS, st.sampled_from(["{{ a }}", "{{ b }}"])), max_size=6), TEXTS, TEXTS)
def test_a_template_that_only_inserts_says_what_jinja_says(pieces: list[str], a: str, b: str) -> None:
    text = "".join(piece if piece in ("{{ a }}", "{{ b }}") else piece.replace("{", "(") for piece in pieces)
    twin = ImmutableSandboxedEnvironment(undefined=StrictUndefined).from_string(text)
    assert render(text, a=a, b=b) == tidy(twin.render(a=a, b=b))
