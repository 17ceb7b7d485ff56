"""Files: native, BehaviorTree.CPP and Beehave, good ones as stories and bad ones with their places."""

from __future__ import annotations

import msgspec
import pytest

from app.core.errors import Invalid
from app.modules.behavior.trees import nodes
from app.modules.behavior.trees.formats import compile_tree, shipped
from app.modules.behavior.trees.limits import TreeLimits
from app.modules.behavior.trees.meanings import Meanings, read_meanings
from app.modules.behavior.trees.nodes import Authored
from tests.modules.behavior.stage import LAYOUT
from tests.modules.behavior.trees.play import Play

FOE = {"slot0_hp": 1.0, "slot0_distance": 10.0, "energy": 1.0}
CALM = {"slot0_distance": 500.0, "energy": 1.0, "hp": 1.0}


def xml(body: str, *, more: str = "", root: str = 'BTCPP_format="4"') -> bytes:
    return f'<root {root}>\n<BehaviorTree ID="Main">\n{body}\n</BehaviorTree>\n{more}</root>'.encode()


def read(body: str, **options: str) -> Play:
    return Play.of(compile_tree(xml(body, **options), LAYOUT, format="btcpp"))


# --- what ships ------------------------------------------------------------------


def test_the_guard_flees_fights_sleeps_and_walks_its_rounds() -> None:
    on = Play.of(shipped("guard.toml", LAYOUT))
    assert on.tick(**CALM)[1] == "patrol"
    assert on.tick(**CALM | FOE)[1] == "attack"
    assert on.target == 0
    assert on.tick(**FOE | {"hp": 0.1, "threats_near": 1})[1] == "flee"
    assert on.tick(**CALM | {"energy": 0.1})[1] == "rest"
    wanted = [on.tick(**CALM)[1] for _ in range(61)]
    assert wanted == ["patrol"] * 40 + ["guard"] * 20 + [""]


def test_the_shopkeeper_counts_the_till_once_and_goes_to_bed() -> None:
    on = Play.of(shipped("shopkeeper.toml", LAYOUT))
    assert on.tick(home_distance=20)[1] == "work"
    evening = [on.tick(dt_s=10, is_night=1, home_distance=20)[1] for _ in range(4)]
    assert evening == ["work", "work", "home", "home"]
    assert on.tick(is_night=1, home_distance=1)[1] == "rest"
    assert on.tick(stock=3, slot2_hp=1, slot2_trades=1)[1] == "trade"
    assert on.key("closed") == 0


def test_the_boss_never_goes_back_a_phase() -> None:
    on = Play.of(shipped("boss.toml", LAYOUT))
    assert on.tick(hp=1, **{**FOE, "energy": 1.0})[1] == "attack"
    on.tick(hp=0.5, **FOE)
    assert (on.key("phase"), on.path.split("/")[2]) == (2, "hit and run")
    on.tick(hp=0.9, **FOE)
    assert on.key("phase") == 2
    on.tick(hp=0.2, **FOE)
    assert (on.key("phase"), on.path.split("/")[2]) == (3, "fury")


def test_the_sentinel_of_groot_stands_down_after_the_alarm() -> None:
    on = Play.of(shipped("sentinel.xml", LAYOUT))
    assert on.tick(**CALM)[1] == "patrol"
    assert on.tick(**FOE)[1] == "attack"
    assert on.key("alarm") == 1
    wanted = [on.tick(**CALM)[1] for _ in range(8)]
    assert wanted == ["guard"] * 6 + ["", "patrol"]
    assert on.key("alarm") == 0


def test_the_wolf_of_beehave_hunts_until_it_has_killed() -> None:
    on = Play.of(shipped("wolf.json", LAYOUT))
    assert on.tick(hunger=0.8, **FOE)[1] == "attack"
    assert on.tick(hunger=0.8)[1] == ""
    assert on.key("kills") == 1
    assert on.tick(hunger=0.8, is_night=1, energy=1)[1] == ""
    assert on.tick(guards_near=2, slot0_threat=0.5)[1] == "flee"


# --- BehaviorTree.CPP --------------------------------------------------------------


def test_subtrees_have_blackboards_of_their_own_save_for_what_is_remapped() -> None:
    below = '<BehaviorTree ID="Sub"><Script code="out := 5; mine := 7"/></BehaviorTree>'
    on = read(
        '<Sequence><Script code="mine := 1"/><SubTree ID="Sub" out="{got}"/>'
        '<ScriptCondition code="got == 5 &amp;&amp; mine == 1"/></Sequence>',
        more=below, root='BTCPP_format="4" main_tree_to_execute="Main"',
    )  # fmt: skip
    assert on.tick()[0] == "SUCCESS"
    on = read(
        '<Sequence><Script code="mine := 1"/><SubTree ID="Sub" _autoremap="true"/><ScriptCondition code="mine == 7"/>'
        "</Sequence>",
        more=below, root='BTCPP_format="4" main_tree_to_execute="Main"',
    )  # fmt: skip
    assert on.tick()[0] == "SUCCESS"


def test_version_3_remaps_plain_names_and_spells_retry_its_own_way() -> None:
    below = '<BehaviorTree ID="Sub"><SetBlackboard output_key="out" value="5"/></BehaviorTree>'
    on = read(
        '<Sequence><RetryUntilSuccesful num_attempts="1"><SubTree ID="Sub" out="got"/></RetryUntilSuccesful>'
        '<BlackboardCheckInt value_A="{got}" value_B="5"><AlwaysSuccess/></BlackboardCheckInt></Sequence>',
        more=below, root='main_tree_to_execute="Main"',
    )  # fmt: skip
    assert on.tick()[0] == "SUCCESS"


def test_words_on_the_blackboard_are_told_apart() -> None:
    on = read(
        '<Sequence><SetBlackboard output_key="mode" value="hunt"/><Switch2 variable="{mode}" case_1="idle" '
        'case_2="hunt"><Action ID="rest"/><Action ID="attack"/><AlwaysFailure/></Switch2></Sequence>'
    )
    assert on.tick() == ("SUCCESS", "attack")


def test_preconditions_skip_succeed_fail_and_hold() -> None:
    on = read('<Fallback><Action ID="eat" _failureIf="hunger &lt; 0.5" _while="hp &gt; 0.1"/><Wander/></Fallback>')
    assert on.tick(hp=1, hunger=0.9) == ("SUCCESS", "eat")
    assert on.tick(hp=1, hunger=0.1) == ("SUCCESS", "wander")
    assert on.tick(hp=0, hunger=0.9) == ("SUCCESS", "wander")
    on = read('<Sequence><Action ID="eat" _skipIf="hunger &lt; 0.5"/><Action ID="rest"/></Sequence>')
    assert on.tick(hunger=0.1) == ("SUCCESS", "rest")
    assert read('<Inverter><Action ID="eat" _successIf="1"/></Inverter>').tick() == ("FAILURE", "")


def test_a_leaf_may_have_its_meaning_in_the_models_of_the_file() -> None:
    models = (
        '<TreeNodesModel><Action ID="Feast"><MetadataFields><Metadata intent="eat" until="hunger &lt; {full}" '
        'must_aim="false"/></MetadataFields></Action></TreeNodesModel>'
    )
    on = read('<Feast full="0.2"/>', more=models)
    assert on.tick(hunger=0.3) == ("RUNNING", "eat")
    assert on.tick(hunger=0.1) == ("SUCCESS", "")


@pytest.mark.parametrize(
    ("body", "said", "hint"),
    [
        ("<Sequense><AlwaysSuccess/></Sequense>", "line 3, column 1, <Sequense>: the unknown node", "'Sequence'"),
        ("<Sequence></Sequence>", "line 3, column 1, <Sequence>: no children", "one at least"),
        ("<Inverter><AlwaysSuccess/><AlwaysSuccess/></Inverter>", "2 children", "exactly one"),
        ("<Atack/>", "the unknown leaf 'Atack'", "did you mean 'attack'?"),
        ('<Repeat num_cycle="2"><Wander/></Repeat>', "the unknown attribute 'num_cycle'", "'num_cycles'"),
        ('<Repeat num_cycles="{n}"><Wander/></Repeat>', "'{n}' in place of a number", "fixed"),
        ("<Repeat><Wander/></Repeat>", "no attribute 'num_cycles'", ""),
        ('<Script code="a ** 2"/>', "the script 'a ** 2'", "assignments"),
        ('<Wander _onSuccess="a := 1"/>', "the attribute '_onSuccess'", "<Script>"),
        ('<SubTree ID="Mian"/>', "the unknown tree 'Mian'", "'Main'"),
        ('<SubTree ID="Main"/>', "the tree 'Main' within itself", ""),
        ('<ScriptCondition code="nobody &gt; 1"/>', "the unknown name 'nobody'", ""),
        ("<Control/>", "<Control>: no ID", ""),
    ],
)
def test_a_wrong_node_is_refused_with_line_column_and_the_nearest_name(body: str, said: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        compile_tree(xml(body), LAYOUT, format="btcpp")
    assert said in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'<!DOCTYPE root [<!ENTITY x "y">]><root/>', "a document type"),
        (b'<!DOCTYPE root SYSTEM "http://127.0.0.1/x"><root/>', "a document type"),
        (b"<root><BehaviorTree></root>", "line 1, column"),
        (b"<root>&x;</root>", "undefined entity"),
        (b"<tree/>", "the outermost tag"),
        (b"", "no element found"),
        (b"\xff\xfe\x00", "the XML is wrong"),
        (b"<root>" + b"<Inverter>" * 300 + b"</Inverter>" * 300 + b"</root>", "tags within another"),
        (b'<root><include path="x.xml"/></root>', "an unknown tag"),
        (b"<root></root>", "main_tree_to_execute"),
        (b"<root>" + b" " * 300_000 + b"</root>", "300013 bytes"),
    ],
)
def test_a_file_that_could_do_harm_or_cannot_be_read_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        compile_tree(data, LAYOUT, format="btcpp")
    assert said in caught.value.message


# --- Beehave and native ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"root": {"type": "SelectorX", "children": [{"type": "rest"}]}}', "the unknown node 'SelectorX'"),
        (b'{"root": {"type": "Inverter", "children": []}}', "expected exactly one|0 children"),
        (b'{"root": {"type": "sleepp"}}', "the unknown leaf 'sleepp'"),
        (b'{"root": {"type": "blackboard_set_action", "key": "k"}}', "missing"),
        (b'{"root": {"type": "rest", "weight": 3}}', "weight"),
        (b"[", "cannot be read"),
        (b'{"root": ' + b'{"type": "inverter", "children": [' * 5_000, "cannot be read|too many nodes"),
    ],
)
def test_a_wrong_hive_is_refused_by_the_path_of_its_nodes(data: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        compile_tree(data, LAYOUT, format="beehave")


def native(node: nodes.Node, **fields: object) -> bytes:
    return msgspec.json.encode(Authored(**{"schema": "open_world", "root": "t", "trees": {"t": node}, **fields}))


@pytest.mark.parametrize(
    ("node", "said", "hint"),
    [
        (nodes.Action(intent="atack"), "the unknown intent 'atack'", "'attack'"),
        (nodes.Action(intent="eat", target="slot0"), "aims at nothing", "leave target out"),
        (nodes.Action(intent="attack", target="slot3"), "target 'slot3' of 'attack'", "slot0, slot1"),
        (nodes.Action(intent="attack", target="neerest"), "the unknown target 'neerest'", "'nearest'"),
        (nodes.Action(intent="attack", target="none", must_aim=True), "must_aim", "leave one"),
        (nodes.Action(intent="eat", seconds=1, ticks=1), "seconds = 1", "one of the two"),
        (nodes.Wait(), "a wait without an end", "until"),
        (nodes.Set(key="x", to=1), "the unknown key 'x'", "declare it"),
        (nodes.Set(key="hp", to=1), "the feature 'hp' in place of a key", ""),
        (nodes.SubTree(tree="u"), "the unknown tree 'u'", "'t'"),
        (nodes.Parallel(children=(nodes.Wait(ticks=1, name="a"),), success=("b",)), "unknown child 'b'", "'a'"),
        (nodes.Switch(variable="hp", cases=(1,), children=(nodes.Wait(ticks=1),)), "1 children for 1 cases", ""),
    ],
)
def test_a_wrong_native_node_is_refused_by_its_path(node: nodes.Node, said: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        compile_tree(native(node), LAYOUT, format="json")
    assert "the tree is wrong at t" in caught.value.message
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_a_key_may_not_be_called_like_a_feature() -> None:
    with pytest.raises(Invalid, match="the key 'hunger' is a feature"):
        compile_tree(native(nodes.Wait(ticks=1), blackboard={"hunger": 1.0}), LAYOUT, format="json")


def test_a_tree_of_another_schema_is_refused() -> None:
    with pytest.raises(Invalid, match="for schema 'space'"):
        compile_tree(native(nodes.Wait(ticks=1), schema="space"), LAYOUT, format="json")


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (TreeLimits(nodes_max=5), "more than 5 nodes"),
        (TreeLimits(depth_max=2), "more than 2 nodes from the root"),
        (TreeLimits(source_bytes_max=50), "bytes"),
        (TreeLimits(keys_max=0), "more than 0 keys"),
        (TreeLimits(expression_chars_max=4), "an expression of"),
    ],
)
def test_every_limit_of_a_tree_is_kept(limits: TreeLimits, said: str) -> None:
    children = tuple(nodes.Condition(when="k == 1") for _ in range(9))
    data = native(nodes.Sequence(memory=False, children=children), blackboard={"k": 1.0})
    if limits.depth_max == 2:
        data = native(nodes.Inverter(child=nodes.Inverter(child=nodes.Condition(when="hp >= 1"))))
    compile_tree(data, LAYOUT, format="json")
    with pytest.raises(Invalid, match=said):
        compile_tree(data, LAYOUT, format="json", limits=limits)


def test_toml_json_and_a_schema_for_editors_are_one_format() -> None:
    tree = shipped("boss.toml", LAYOUT)
    again = compile_tree(msgspec.json.encode(tree.authored), LAYOUT, format="json")
    assert (again.digest, again.paths) == (tree.digest, tree.paths)
    assert "StarSequence" in msgspec.json.schema(Authored)["$defs"]


def test_unknown_meanings_are_refused() -> None:
    with pytest.raises(Invalid, match="meanings cannot be read"):
        read_meanings(b"[condition]\na = 'hp > 1'")
    assert read_meanings(b"") == Meanings()
