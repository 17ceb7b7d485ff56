"""`manage.py memory`: files as they are found, and what is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.build import ROOT
from app.build.meanings import words
from app.cli.memory import memory
from app.cli.recall.files import parse
from app.cli.recall.plain import Plain
from app.cli.word_vectors import build
from app.core.errors import Invalid
from app.modules.memory.index.vectors import decoded

SAMPLE: dict[str, Any] = {
    "sample_id": "one",
    "conversation": {
        "speaker_a": "Ann",
        "speaker_b": "Bob",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Ann", "dia_id": "D1:1", "text": "Hey Bob!"},
            {"speaker": "Bob", "dia_id": "D1:2", "text": "I adopted a kitten yesterday.", "blip_caption": "a cat"},
            {"speaker": "Ann", "dia_id": "D1:3", "text": ""},
        ],
        "session_2_date_time": "some day",
        "session_2": [{"speaker": "Ann", "dia_id": "D2:1", "text": "I sold my car to a dentist."}],
        "session_3_date_time": "3:00 pm on 1 June, 2023",
    },
    "qa": [
        {"question": "What animal did Bob adopt?", "answer": "a kitten", "evidence": ["D:1:2"], "category": "4"},
        {"question": "What happened?", "evidence": ["D1:02; D2:1", "D9:17"], "category": 1},
        {"question": "What did Bob sell?", "evidence": ["D2:1"], "category": 5},
        {"question": "Who knows?", "evidence": [], "category": 3},
        {"question": "Who knows?", "evidence": ["D1:1"], "category": 9},
        None,
    ],
}


def test_an_untidy_file_is_read_and_what_is_passed_over_is_counted() -> None:
    (conversation,), skipped = parse([SAMPLE])
    assert [turn.id for turn in conversation.turns] == ["D1:1", "D1:2", "D2:1"]
    assert conversation.turns[1].words == "I adopted a kitten yesterday. (shares a cat)"
    assert conversation.turns[2].at_s == conversation.turns[0].at_s + 86_400.0
    assert [question.evidence for question in conversation.questions] == [("D1:2",), ("D1:2", "D2:1"), ("D2:1",)]
    assert +skipped == {
        "turns without words": 1,
        "session dates that cannot be read": 1,
        "evidence turns that are not in the conversation": 1,
        "questions without evidence": 1,
        "questions without text or category": 2,
    }


@pytest.mark.parametrize("content", [{}, [{"conversation": None}], "text"])
def test_what_holds_no_conversation_is_refused(content: object) -> None:
    with pytest.raises(Invalid, match="no conversation"):
        parse(content)


def test_plain_bm25_sees_two_neighbors_on_each_side() -> None:
    (conversation,), _ = parse([SAMPLE])
    assert set(Plain(conversation.turns).recall("kitten", 5)) == {"D1:1", "D1:2", "D2:1"}
    assert Plain(conversation.turns).recall("submarine", 5) == []


def test_the_bench_prints_recall_by_category_and_leaves_adversarial_ones_out(tmp_path: Path) -> None:
    file = tmp_path / "sample.json"
    file.write_text(json.dumps([SAMPLE]))
    run = CliRunner().invoke(memory, ["bench", "--json", str(file)], catch_exceptions=False)
    assert run.exit_code == 0
    verdict = json.loads(run.output.splitlines()[-1])["verdict"]
    assert verdict["total"]["questions"] == 2
    assert verdict["total"]["ours"]["5"] == 100.0
    assert verdict["categories"]["adversarial"]["questions"] == 1
    assert "multi-hop" in run.output
    every = CliRunner().invoke(memory, ["bench", "--json", "--all", str(file)], catch_exceptions=False)
    assert json.loads(every.output.splitlines()[-1])["verdict"]["total"]["questions"] == 3


def test_the_table_that_ships_knows_which_words_are_alike() -> None:
    table = words(ROOT)
    assert {"puppi", "dog"} & set(table.kin("pet", likeness_min=0.35, most=60)[0])
    assert table.kin("zzyzx", likeness_min=0.35, most=60)[0] == ()


def test_a_table_is_built_from_vectors_and_a_thesaurus(tmp_path: Path) -> None:
    names = [a + b for a in "bcdfghklmnprst" for b in ("an", "en", "in", "on")]
    vectors = {
        name: [float((at * k) % 7 - 3) + 0.01 * at for k in range(1, 9)] + [0.0, at] for at, name in enumerate(names)
    }
    (tmp_path / "glove.json").write_text(json.dumps({"dimensions": 8, "words": names, "vectors": vectors}))
    for kind in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"data.{kind}").write_text("")
        (tmp_path / f"index.{kind}").write_text("")
    apart = decoded(build(tmp_path / "glove.json", tmp_path, words=56, dimensions=4))
    (tmp_path / "data.noun").write_text(
        "  1 a licence\n00000001 03 n 02 kan 0 tin 0 001 @ 00000002 n 0000 | so\n00000002 03 n 01 ron 0 000 | more\n"
    )
    (tmp_path / "index.noun").write_text("kan n 1 1 @ 1 0 00000001\ntin n 1 1 @ 1 0 00000001\nron n 1 0 1 0 00000002\n")
    drawn = decoded(build(tmp_path / "glove.json", tmp_path, words=56, dimensions=4))

    def likeness(table: Any) -> float:
        one, other = table.sentence(["kan"]), table.sentence(["tin"])
        return float(one @ other) / float((one @ one) * (other @ other)) ** 0.5

    assert likeness(drawn) > likeness(apart)
    with pytest.raises(Invalid, match="no word vectors"):
        build(tmp_path / "data.noun", tmp_path, words=56, dimensions=4)
