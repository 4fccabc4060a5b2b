"""What can go wrong while results are read or written: one clear line for a person.

ReportError
|- ResultError   a result file is missing, broken or of another format
"""


class ReportError(Exception):
    """A report cannot be made; `str()` says what, where, what to do."""


class ResultError(ReportError):
    """A result file cannot be read or written."""
