"""Python's cycle collector in a process whose objects come by the hundred thousand, and stay."""

import gc

# New objects between two looks at the youngest.
_REPLAYED_MAX = 1_000_000
_GARBAGE_MAX = 100_000


def before_replay() -> None:
    """A replay makes no garbage, and the collector looks through all that it made."""
    gc.freeze()
    gc.set_threshold(_REPLAYED_MAX, 20, 50)


def after_replay() -> None:
    """What was replayed is here to stay: the collector need not look through it again and again."""
    gc.freeze()
    gc.set_threshold(_GARBAGE_MAX, 20, 50)
