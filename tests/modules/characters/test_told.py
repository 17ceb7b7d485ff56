"""Who is what to whom is kept by id and said by name."""

from __future__ import annotations

from app.modules.characters import logic
from app.modules.characters.plans import Wish
from app.modules.dialogue.telling import known_of
from app.world.entities import Player
from app.world.gate.claims import check_claims
from tests.modules.characters.test_made import put, village


def test_people_speak_of_their_own_by_name() -> None:
    world = village()
    world.state.players["hero"] = Player(id="hero", name="Robin", location="cottage")
    made: logic.Made = put(world, Wish(plan="household", count=3, seed=2, place="cottage"))
    one, other = made.members[0].npc, made.members[1].npc
    told = known_of(world, one, world.state.players["hero"], {one.id})
    known = {fact.predicate: fact.value for fact in told if fact.subject_id == one.id}
    assert known["spouse"] == other.name
    assert "craft" not in known, "that is for those alone who know it"
    true = check_claims(world, other.id, f"{one.name}'s spouse is {other.name}.")
    false = check_claims(world, other.id, f"{one.name}'s spouse is Zed Zander.")
    assert [claim.verdict for claim in true] == ["supported"]
    assert [(claim.verdict, claim.instead) for claim in false] == [("contradicted", other.name)]
