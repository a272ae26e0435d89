"""The command line: ``cqrsbus broker``, ``run``, ``send``, ``ask``, ``publish`` and ``sub``."""
