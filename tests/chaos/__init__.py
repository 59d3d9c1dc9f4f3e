"""Storms: the real processes, killed, cut off and starved at random moments while people call and write (`make chaos`)."""
