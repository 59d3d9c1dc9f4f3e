"""Who is talking to whom: turns, the handoff queue, presence."""
