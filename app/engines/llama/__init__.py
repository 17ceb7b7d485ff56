"""Words by a model on this machine, in llama.cpp."""
