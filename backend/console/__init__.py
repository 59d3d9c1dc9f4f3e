"""Pages for the people who work the line."""
