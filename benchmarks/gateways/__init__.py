"""The parts of the llm benchmark: the servers that are measured, the clients that press them, the faults, the SDKs."""
