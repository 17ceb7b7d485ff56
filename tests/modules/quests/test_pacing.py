"""Peaks are followed by rest, whoever plays however: build up, peak, relax."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.modules.quests.generation.casting import load_strategies
from app.modules.quests.generation.pacing import (
    STRIFE,
    Beat,
    Mood,
    Pacing,
    beat_of,
    end_of,
    mood_after,
    pace,
    settled,
)
from app.modules.quests.planning.domain import load_vocabulary
from app.world.events import Happened, QuestRecorded

USUAL = Pacing()
BEATS = st.lists(st.tuples(st.floats(0.0, 2_000.0), st.floats(0.0, 0.7)), max_size=40).map(
    lambda drawn: [
        Beat(at, strength)
        for at, (_, strength) in zip(itertools.accumulate(gap for gap, _ in drawn), drawn, strict=True)
    ]
)


def course(beats: list[Beat], step_s: float = 30.0) -> list[Mood]:
    """The mood at each beat and every few seconds between and after."""
    mood, moods, now = Mood(), [Mood()], 0.0
    for beat in [*beats, Beat((beats[-1].game_s if beats else 0.0) + 20_000.0, 0.0)]:
        while now + step_s < beat.game_s:
            now += step_s
            moods.append(settled(mood, now, USUAL))
        mood = mood_after([beat], USUAL, mood)
        moods.append(mood)
        now = beat.game_s
    return moods


def phases(moods: list[Mood]) -> list[str]:
    return [phase for phase, _ in itertools.groupby(mood.phase for mood in moods)]


def test_a_newcomer_starts_calm_and_is_given_something_small() -> None:
    first = pace(Mood(), 0.0, USUAL)
    assert first.phase == "calm"
    assert first.weights["comfort"] > first.weights["conquest"]
    assert first.effort_max < 20


@settings(max_examples=200, deadline=None)
@given(beats=BEATS)
def test_after_every_peak_comes_a_rest_before_the_next(beats: list[Beat]) -> None:
    seen = phases(course(beats))
    for before, after in itertools.pairwise(seen):
        assert (before, after) in {
            ("calm", "build"), ("build", "calm"), ("calm", "peak"), ("build", "peak"), ("peak", "relax"),
            ("relax", "calm"), ("relax", "build"), ("relax", "peak"),
        }  # fmt: skip
    peaks = [at for at, phase in enumerate(seen) if phase == "peak"]
    for first, second in itertools.pairwise(peaks):
        assert "relax" in seen[first:second]
    assert seen[-1] == "calm", "left alone, everybody calms down"


@settings(max_examples=200, deadline=None)
@given(beats=BEATS)
def test_a_rest_lasts_as_long_as_it_should(beats: list[Beat]) -> None:
    moods = course(beats)
    starts = {mood.since_s for mood in moods if mood.phase == "relax"}
    for start in starts:
        peaks = [mood.since_s for mood in moods if mood.phase == "peak" and mood.since_s >= start]
        assert all(peak >= start + USUAL.rest_s for peak in peaks)


@settings(max_examples=100, deadline=None)
@given(beats=BEATS, asked=st.lists(st.floats(0.0, 30_000.0), max_size=8))
def test_asking_in_between_changes_nothing(beats: list[Beat], asked: list[float]) -> None:
    plain = settled(mood_after(beats, USUAL), 50_000.0, USUAL)
    mood = Mood()
    for moment, beat in sorted(
        [*((at, None) for at in asked), *((beat.game_s, beat) for beat in beats)], key=lambda one: one[0]
    ):
        mood = mood_after([beat], USUAL, mood) if beat is not None else settled(mood, moment, USUAL)
    again = settled(mood, 50_000.0, USUAL)
    assert again.phase == plain.phase
    assert again.peaks == plain.peaks
    assert again.intensity == pytest.approx(plain.intensity, abs=1e-6)


def test_a_fight_builds_up_to_a_peak_and_the_next_quest_is_a_quiet_one() -> None:
    fights = [Beat(float(turn * 60), 0.3) for turn in range(4)]
    after = mood_after(fights, USUAL)
    assert after.phase == "peak"
    assert mood_after(fights[:1], USUAL).phase == "build"
    later = pace(after, fights[-1].game_s + USUAL.peak_s_max + 1.0, USUAL)
    assert later.phase == "relax"
    assert later.avoid == frozenset(STRIFE)
    assert later.weights["serenity"] > 1.5 > later.weights["conquest"]
    assert later.level_offset < 0


def test_a_player_in_a_rest_who_fights_on_rests_on() -> None:
    fights = [Beat(float(turn * 60), 0.5) for turn in range(200)]
    seen = phases(course(fights))
    assert seen[:3] == ["calm", "build", "peak"]
    assert seen[3:] == ["relax", "calm"]


def test_what_befalls_a_player_stirs_it_and_others_business_does_not() -> None:
    died = beat_of(Happened(verb="died", actor="ada"), "ada", 5.0)
    struck = beat_of(Happened(verb="attacked", actor="wolf", target="ada"), "ada", 5.0)
    assert died is not None
    assert struck is not None
    assert died.strength > struck.strength
    assert beat_of(Happened(verb="talked", actor="ada"), "ada", 5.0) is None
    assert beat_of(Happened(verb="killed", actor="bo", target="wolf"), "ada", 5.0) is None
    assert beat_of(QuestRecorded(id="q", state="failed", body=b""), "ada", 5.0) is None
    failed, done = end_of("failed", 1.0), end_of("completed", 1.0)
    assert failed is not None
    assert done is not None
    assert failed.strength > done.strength
    assert end_of("offered", 1.0) is None


def test_weights_and_actions_are_words_of_the_vocabulary() -> None:
    motives, actions = load_strategies().motives.keys(), load_vocabulary().schemas.keys()
    for mood in (Mood(), Mood(phase="build", intensity=0.5), Mood(phase="peak", intensity=1.5), Mood(phase="relax")):
        told = pace(mood, 0.0, USUAL)
        assert told.weights.keys() == set(motives)
        assert told.avoid - {"capture"} <= set(actions)
        assert all(weight > 0 for weight in told.weights.values())
        assert told.effort_min < told.effort_max
