"""The words of quests, in several languages, and the check that they name only what is bound."""
