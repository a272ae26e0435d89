"""How a bus reaches a broker: a link carries its messages, whatever the broker is."""
