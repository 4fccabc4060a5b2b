"""The harness's error tree: one clear line each; what went wrong in the harness never counts against the product.

HarnessError
|- MissingPart     a binary or a capability is not there; says how to get it
|- ServiceError    a service of the harness did not start, or died
|- WaitTimeout     a wait met its deadline; says what was seen last
|- LeakError       something outlived its owner
|- Mismatch        what a benchmark compares is not the same
"""


class HarnessError(Exception):
    """Any failure the harness explains itself; `str()` is one line for a person: what, where, what to do."""


class MissingPart(HarnessError):  # noqa: N818 - names a state, as in `except MissingPart`
    """A binary or capability is missing or broken; the text names it and says how to get it."""


class ServiceError(HarnessError):
    """A service the harness runs did not become ready, or ended by itself."""


class WaitTimeout(HarnessError):  # noqa: N818 - the field's word
    """A wait met its deadline. The text has the last value or the last error that was seen."""


class LeakError(HarnessError):
    """A process, port, namespace, task or folder outlived the one who owned it."""


class Mismatch(HarnessError):  # noqa: N818 - says what was found
    """What a benchmark was to compare did not come to the same: no figure of it says anything."""
