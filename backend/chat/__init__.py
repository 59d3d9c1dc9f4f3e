"""The citizen's pages: chat, widget, state of a case."""
