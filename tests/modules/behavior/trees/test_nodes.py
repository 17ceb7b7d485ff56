"""What each kind of node does, as its documentation says: those that py_trees lacks, and what leaves want."""

from __future__ import annotations

import pytest

from app.core.errors import Invalid
from app.modules.behavior.schema import NONE
from app.modules.behavior.trees import nodes
from app.modules.behavior.trees.nodes import Node
from tests.modules.behavior.trees import forest
from tests.modules.behavior.trees.play import FAIL, HANDLE, RUN, SKIP, SUCCEED, do, play, selector, sequence, when

PATROL_THEN_GUARD = (do("patrol", ticks=2), do("guard", ticks=2))
FOE = {"slot0_hp": 1.0, "slot0_distance": 5.0}


def add(key: str = "a", by: float = 1) -> Node:
    return nodes.Add(key=key, by=by)


# --- actions -------------------------------------------------------------------


def test_an_action_runs_until_its_expression_holds_and_wants_nothing_then() -> None:
    on = play(do("eat", until="hunger < 0.1"))
    assert on.tick(hunger=0.5) == ("RUNNING", "eat")
    assert on.tick(hunger=0.05) == ("SUCCESS", "")


def test_an_action_for_seconds_counts_game_time() -> None:
    on = play(do("rest", seconds=1.0))
    assert [on.tick(dt_s=0.4)[0] for _ in range(5)] == ["RUNNING", "RUNNING", "RUNNING", "SUCCESS", "RUNNING"]


def test_an_action_without_an_end_succeeds_at_once_and_is_wanted() -> None:
    assert play(do("wander")).tick() == ("SUCCESS", "wander")


def test_an_action_that_the_mask_forbids_fails() -> None:
    on = play(selector(do("attack", ticks=5), do("flee", ticks=5)))
    assert on.tick() == ("RUNNING", "attack")
    assert on.tick(forbid=("attack",)) == ("RUNNING", "flee")
    assert on.path == "main/flee #2"


def test_the_last_action_that_acted_in_a_tick_decides() -> None:
    on = play(sequence(do("talk"), do("wander"), FAIL))
    assert on.tick() == ("FAILURE", "wander")


def test_nobody_acting_is_unsure_and_names_the_last_leaf() -> None:
    on = play(selector(when("hp > 0.5"), when("hunger > 0.5")))
    assert on.tick() == ("FAILURE", "")
    assert on.path == "main/hunger > 0.5 #2"


def test_targets_follow_their_rule() -> None:
    seen = {"slot2_hp": 1, "slot2_distance": 9, "slot3_hp": 1, "slot3_distance": 4, "slot2_trades": 1}
    for target, slot in (("nearest", 3), ("trader", 2), ("none", NONE), ("slot2", 2), ("{b}", 2)):
        on = play(do("trade", target=target))
        assert on.tick(**seen) == ("SUCCESS", "trade")
        assert on.target == slot


def test_an_action_that_must_aim_fails_where_nobody_is() -> None:
    on = play(do("attack", must_aim=True, ticks=3))
    assert on.tick() == ("FAILURE", "")
    assert on.tick(**FOE) == ("RUNNING", "attack")
    assert on.target == 0


def test_a_wait_runs_without_wanting_anything() -> None:
    on = play(nodes.Wait(ticks=1))
    assert [on.tick() for _ in range(3)] == [("RUNNING", ""), ("SUCCESS", ""), ("RUNNING", "")]


# --- memory and halting -----------------------------------------------------------


def test_a_sequence_with_memory_goes_on_where_it_was_and_starts_anew_when_halted() -> None:
    danger = sequence(when("threats_near > 0"), do("flee", ticks=9))
    on = play(selector(danger, sequence(*PATROL_THEN_GUARD, memory=True)))
    assert [on.tick()[1] for _ in range(3)] == ["patrol", "patrol", "guard"]
    assert on.tick(threats_near=1)[1] == "flee"
    assert on.tick()[1] == "patrol"


def test_a_star_sequence_goes_on_after_a_failure_and_after_a_halt() -> None:
    star = nodes.StarSequence(children=(add(), when("hunger < 0.5"), do("rest", ticks=1)))
    on = play(selector(when("threats_near > 0"), star))
    assert on.tick(hunger=0.9) == ("FAILURE", "")
    assert on.tick(threats_near=1) == ("SUCCESS", "")
    assert on.tick(hunger=0.1) == ("RUNNING", "rest")
    assert on.tick(threats_near=1) == ("SUCCESS", "")
    assert on.tick(hunger=0.9) == ("RUNNING", "rest")
    assert on.tick(hunger=0.9) == ("SUCCESS", "")
    assert on.key("a") == 1


def test_a_subtree_that_is_not_ticked_forgets_its_timers() -> None:
    on = play(selector(when("threats_near > 0"), nodes.Delay(child=do("rest"), ticks=2)))
    assert [on.tick()[1] for _ in range(2)] == ["", ""]
    on.tick(threats_near=1)
    assert [on.tick()[1] for _ in range(3)] == ["", "", "rest"]


# --- parallels ---------------------------------------------------------------------


def test_a_counted_parallel_ends_with_enough_successes_and_halts_the_rest() -> None:
    on = play(nodes.CountedParallel(successes=2, failures=2, children=(add(), do("rest", ticks=9), do("eat", ticks=1))))
    assert on.tick() == ("RUNNING", "eat")
    assert on.tick() == ("SUCCESS", "rest")
    assert on.key("a") == 1, "a child that has succeeded is not ticked again"


def test_a_counted_parallel_fails_when_it_cannot_succeed_any_more() -> None:
    on = play(nodes.CountedParallel(successes=-1, failures=-1, children=(FAIL, add())))
    assert on.tick() == ("FAILURE", "")
    assert on.key("a") == 0, "the children after it are not ticked"


def test_parallel_all_brings_every_child_to_its_end_before_it_fails() -> None:
    on = play(nodes.FullParallel(failures=1, children=(FAIL, do("rest", ticks=1), add())))
    assert [on.tick()[0] for _ in range(2)] == ["RUNNING", "FAILURE"]
    assert on.key("a") == 1


def test_more_failures_than_children_are_refused() -> None:
    with pytest.raises(Invalid, match=r"main: failures = 3 of 2 children"):
        forest.make(nodes.CountedParallel(failures=3, children=(FAIL, FAIL)))


# --- branches -----------------------------------------------------------------------


def test_if_then_else_keeps_its_choice_while_while_do_else_asks_again() -> None:
    children = (when("hp > 0.5"), do("attack", ticks=9), do("flee", ticks=9))
    for kind, then in ((nodes.IfThenElse, "attack"), (nodes.WhileDoElse, "flee")):
        on = play(kind(children=children))
        assert on.tick(hp=1)[1] == "attack"
        assert on.tick(hp=0.1)[1] == then


def test_without_an_else_the_condition_s_failure_is_the_answer() -> None:
    for kind in (nodes.IfThenElse, nodes.WhileDoElse):
        assert play(kind(children=(FAIL, do("attack")))).tick() == ("FAILURE", "")


def test_a_switch_takes_the_case_of_its_key_and_halts_the_other() -> None:
    switch = nodes.Switch(variable="a", cases=(1, 2), children=(do("eat", ticks=2), do("rest", ticks=2), do("wander")))
    on = play(sequence(nodes.Guard(child=nodes.Set(key="a", to=1), when="hp > 0.5", otherwise="success"), switch))
    assert on.tick()[1] == "wander"
    assert [on.tick(hp=1)[1] for _ in range(2)] == ["eat", "eat"]


# --- decorators ------------------------------------------------------------------------


def test_repeat_at_once_cycles_within_the_tick_and_repeat_once_a_tick() -> None:
    on = play(nodes.RepeatAtOnce(child=add(), cycles=3))
    assert on.tick() == ("SUCCESS", "")
    assert on.key("a") == 3
    on = play(nodes.Repeat(child=add(), cycles=3))
    assert [on.tick()[0] for _ in range(3)] == ["RUNNING", "RUNNING", "SUCCESS"]


def test_an_endless_repetition_is_cut_at_the_end_of_the_tick() -> None:
    on = play(nodes.RepeatAtOnce(child=add(), cycles=-1))
    assert [on.tick()[0] for _ in range(2)] == ["RUNNING", "RUNNING"]
    assert on.key("a") == 32


def test_loops_within_loops_are_bounded_when_the_tree_is_read() -> None:
    deep = nodes.RepeatAtOnce(child=nodes.RepeatAtOnce(child=add(), cycles=-1), cycles=-1)
    with pytest.raises(Invalid, match=r"4096 cycles in one tick, by loops within loops"):
        forest.make(nodes.RetryAtOnce(child=deep, attempts=-1))


def test_a_retry_counts_over_ticks_while_its_child_runs() -> None:
    tries = sequence(add(), do("attack", ticks=1), FAIL)
    on = play(nodes.RetryAtOnce(child=tries, attempts=2))
    assert [on.tick()[0] for _ in range(3)] == ["RUNNING", "RUNNING", "FAILURE"]


def test_a_delay_waits_and_a_cutoff_ends_without_another_tick() -> None:
    on = play(nodes.Delay(child=do("rest"), seconds=2))
    assert [on.tick() for _ in range(3)] == [("RUNNING", ""), ("RUNNING", ""), ("SUCCESS", "rest")]
    on = play(nodes.Cutoff(child=sequence(add(), do("attack", ticks=99)), ticks=2))
    assert [on.tick()[0] for _ in range(3)] == ["RUNNING", "RUNNING", "FAILURE"]
    assert on.key("a") == 2


def test_a_timeout_ticks_its_child_before_it_ends_it() -> None:
    on = play(nodes.Timeout(child=sequence(add(), do("attack", ticks=99)), ticks=2))
    assert [on.tick()[0] for _ in range(4)] == ["RUNNING", "RUNNING", "RUNNING", "FAILURE"]
    assert on.key("a") == 4


def test_a_cooldown_runs_on_while_its_node_is_not_ticked() -> None:
    on = play(selector(when("threats_near > 0"), nodes.Cooldown(child=do("talk"), seconds=3), do("wander")))
    assert on.tick()[1] == "talk"
    assert on.tick(threats_near=1)[1] == ""
    assert [on.tick()[1] for _ in range(2)] == ["wander", "talk"]


def test_run_once_is_skipped_afterwards_and_one_shot_gives_its_result() -> None:
    on = play(nodes.RunOnce(child=add()))
    assert [on.tick()[0] for _ in range(2)] == ["SUCCESS", "SKIPPED"]
    on = play(nodes.RunOnce(child=add(), then_skip=False))
    assert [on.tick()[0] for _ in range(2)] == ["SUCCESS", "SUCCESS"]
    assert on.key("a") == 1
    on = play(nodes.OneShot(child=when("hp > 0.5"), on="success"))
    assert [on.tick(hp=hp)[0] for hp in (0, 1, 0)] == ["FAILURE", "SUCCESS", "SUCCESS"]


def test_a_guard_asks_in_each_tick_and_start_if_only_at_the_start() -> None:
    for kind, then in ((nodes.Guard, ("FAILURE", "")), (nodes.StartIf, ("RUNNING", "eat"))):
        on = play(kind(child=do("eat", ticks=9), when="hunger > 0.5"))
        assert on.tick() == ("FAILURE", "")
        assert on.tick(hunger=1) == ("RUNNING", "eat")
        assert on.tick() == then


def test_skipped_children_neither_succeed_nor_fail() -> None:
    assert play(sequence(SKIP, do("eat"))).tick() == ("SUCCESS", "eat")
    assert play(selector(SKIP, do("eat"))).tick() == ("SUCCESS", "eat")
    assert play(sequence(SKIP, SKIP, memory=True)).tick()[0] == "SKIPPED"
    assert play(selector(SKIP, FAIL)).tick()[0] == "FAILURE"
    assert play(nodes.Inverter(child=SKIP)).tick()[0] == "SKIPPED"
    assert play(nodes.CountedParallel(children=(SKIP, SUCCEED))).tick()[0] == "SUCCESS"
    assert play(nodes.CountedParallel(children=(SKIP, SKIP))).tick()[0] == "SUCCESS"


def test_statuses_are_exchanged_and_whoever_ran_is_halted() -> None:
    on = play(nodes.Map(child=sequence(do("eat", ticks=1), do("rest", ticks=1), memory=True), running="failure"))
    assert [on.tick() for _ in range(2)] == [("FAILURE", "eat"), ("FAILURE", "eat")]
    assert play(nodes.UntilFail(child=SUCCEED)).tick()[0] == "RUNNING"
    assert play(nodes.UntilFail(child=FAIL)).tick()[0] == "SUCCESS"
    assert play(nodes.ForceFailure(child=RUN)).tick()[0] == "RUNNING"


# --- the blackboard ---------------------------------------------------------------------


def test_keys_are_set_from_numbers_keys_and_features() -> None:
    steps = (nodes.Set(key="a", to="threats_near"), nodes.Set(key="b", to="a"), add("b", 2))
    on = play(sequence(*steps))
    on.tick(threats_near=3)
    assert (on.key("a"), on.key("b")) == (3, 5)


def test_a_key_that_the_game_writes_changes_the_next_tick() -> None:
    on = play(sequence(when("a == 4"), do("attack")))
    assert on.tick() == ("FAILURE", "")
    for memory in (on.memory, on.slow_memory):
        memory.write(HANDLE, "a", 4)
    assert on.tick() == ("SUCCESS", "attack")
