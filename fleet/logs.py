"""Structured logs: one JSON object a line on stderr. Event names are stable; people and harnesses wait for them."""

import logging
import sys

import structlog

Logger = structlog.stdlib.BoundLogger


def configure() -> None:
    """Once, at the start of a process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries that log for themselves (nats, aiohttp) repeat what we report from our own edge.
    logging.getLogger().setLevel(logging.CRITICAL)


def get_logger(name: str) -> Logger:
    logger: Logger = structlog.get_logger().bind(part=name)
    return logger
