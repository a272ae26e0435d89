"""The broker: accepts connections, and carries out what the router decides."""
