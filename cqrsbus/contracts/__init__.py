"""What services promise each other: the schemas of their messages, and whether they fit together."""
