"""What each text and count of the wire contract may be: one table, mirrored by the CRD schemas in `fleet/crds`.

Whatever the schemas admit, `fleet.wire` can encode; a unit test compares the two.
"""

import re

from fleet.fields import TextRule

SERVICES_MAX = 64
COMMAND_MAX = 64
ENV_MAX = 64
PORTS_MAX = 8
PORTS_OF_SCORE_MAX = 64
"""Of all services together. Admission compares them pairwise, and an API server bounds what such a rule may cost."""
VOLUMES_MAX = 16
LABELS_MAX = 64
PORT_MAX = 65535
GRACE_PERIOD_SECS_MAX = 3600
CPU_MILLIS_MAX = 1_000_000
MEMORY_BYTES_MIN = 6 * 1024 * 1024
"""Container runtimes take no less."""
MEMORY_BYTES_MAX = 2**50
HEALTH_INTERVAL_SECS_MAX = 3600
HEALTH_TIMEOUT_SECS_MAX = 600
HEALTH_RETRIES_MAX = 100
LOG_LINES_MAX = 1000
EXEC_TIMEOUT_S_MAX = 60
EXIT_CODE_MAX = 255
SCORE_CHARACTERS_MAX = 64 * 1024
"""All images, arguments of commands and health checks, env names and values and volume paths of a score together: with
the counts above it keeps the largest score that admission lets in under DESIRED_STATE_BYTES_MAX (at most 4 bytes a
character)."""

STOP_SIGNALS = (
    "SIGTERM",
    "SIGINT",
    "SIGQUIT",
    "SIGHUP",
    "SIGUSR1",
    "SIGUSR2",
    "SIGWINCH",
    "SIGRTMIN+3",
    "SIGKILL",
)

# As Kubernetes has it: the parts of a subdomain have no limit of their own.
_DNS_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_QUALIFIED_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"

LABEL = TextRule("a DNS label (a-z, 0-9, '-')", re.compile(_DNS_LABEL), 63)
SUBDOMAIN = TextRule("a DNS subdomain (a-z, 0-9, '-', '.')", re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*"), 253)
LABEL_KEY = TextRule(
    "a Kubernetes label key", re.compile(rf"(?:(?=.{{1,253}}/){_DNS_LABEL}(?:\.{_DNS_LABEL})*/)?{_QUALIFIED_NAME}"), 317
)
LABEL_VALUE = TextRule("a Kubernetes label value", re.compile(rf"(?:{_QUALIFIED_NAME})?"), 63)
TOKEN = TextRule("visible ASCII without spaces", re.compile(r"[!-~]+"), 128)
VERSION = TextRule("a version (letters, digits, '.', '_', '+', '-')", re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*"), 64)
TITLE = TextRule("text on one line", re.compile(r"[^\x00-\x1f\x7f]+"), 128)
IMAGE = TextRule("an image reference without spaces", re.compile(r"[!-~]+"), 512)
ENV_NAME = TextRule("an environment variable's name", re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*"), 256)
ENV_VALUE = TextRule("text without control characters", re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*"), 32768)
ARGUMENT = TextRule(ENV_VALUE.what, ENV_VALUE.pattern, 4096)
VOLUME_SOURCE = TextRule(
    "an absolute path or a volume's name", re.compile(r"/[^\x00-\x1f\x7f]*|[A-Za-z0-9][A-Za-z0-9_.-]*"), 512
)
VOLUME_TARGET = TextRule("an absolute path", re.compile(r"/[^\x00-\x1f\x7f]*"), 512)
LAST_ERROR = TextRule("text", re.compile(r"(?s:.*)"), 4096)
OUTPUT = TextRule(LAST_ERROR.what, LAST_ERROR.pattern, 256 * 1024)
MESSAGE = TextRule(LAST_ERROR.what, LAST_ERROR.pattern, 1024)
REASON = TextRule("a reason (letters)", re.compile(r"[A-Za-z]+"), 64)
PHASE = TextRule("Pending, Running or Failed", re.compile("Pending|Running|Failed"), 7)
STOP_SIGNAL = TextRule(f"one of {', '.join(STOP_SIGNALS)}", re.compile("|".join(map(re.escape, STOP_SIGNALS))), 16)
PULL_POLICY = TextRule("IfNotPresent, Always or Never", re.compile("IfNotPresent|Always|Never"), 12)
PROTOCOL = TextRule("TCP or UDP", re.compile("TCP|UDP"), 3)
