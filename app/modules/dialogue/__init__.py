"""What NPCs say: dialogues with players and with each other, streamed, checked and explained."""
