"""What all of it together says: counts over calls, cases and answers."""
