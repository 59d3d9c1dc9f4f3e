"""The bot: the Rasa project, its own parts, and client.py, the one door to it."""
