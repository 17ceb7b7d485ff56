"""The doors: other programs' protocols (OpenAI, Anthropic, Evennia) over the same words as the modules."""
