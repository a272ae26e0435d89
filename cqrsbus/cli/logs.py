"""Logs on stderr: coloured on a terminal, plain or JSON elsewhere."""

import json
import logging
import sys
from datetime import UTC, datetime

from cqrsbus.cli.output import visible
from cqrsbus.cli.settings import Settings

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def set_up_logging(settings: Settings, *, default: str, application: bool = False) -> None:
    """Send logs to stderr.

    Args:
        settings: Which level and format.
        default: The level if none is set.
        application: The level is for the application's own logs as well; else those of others are warnings at least.
    """
    level = (settings.log_level or default).upper()
    root = logging.getLogger()
    root.addHandler(_handler(settings))
    root.setLevel(level if application else logging.WARNING)
    logging.getLogger("cqrsbus").setLevel(level)


def _handler(settings: Settings) -> logging.Handler:
    if settings.log_format == "text" and sys.stderr.isatty():
        from rich.console import Console
        from rich.highlighter import NullHighlighter
        from rich.logging import RichHandler

        coloured = RichHandler(console=Console(stderr=True), show_path=False, highlighter=NullHighlighter())
        coloured.setFormatter(_TextFormatter("%(message)s"))
        return coloured
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if settings.log_format == "json" else _TextFormatter(_TEXT))
    return handler


class _TextFormatter(logging.Formatter):
    """Plain text, without characters that a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(visible(line) for line in super().format(record).split("\n"))


class _JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)
