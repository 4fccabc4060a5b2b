"""What msgspec raises for bytes that it cannot decode.

Not only its own errors: text that is no UTF-8 and nesting beyond the interpreter's stack come as Python's.
"""

import msgspec

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
