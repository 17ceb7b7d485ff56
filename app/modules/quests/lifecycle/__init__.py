"""What becomes of a quest once it is offered: progress, repair, credit, ends."""
