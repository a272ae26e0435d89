"""The bus: handlers, calls, and everything that knows what a message is."""
