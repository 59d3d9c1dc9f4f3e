"""The public side of the line: knowledge, conversations, cases, chat, API and console (see README, "Folders")."""
