"""Hypothesis strategies for everything the wire contract can say, drawn from the edges of what it allows."""

from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st

from fleet import rules, wire
from fleet.canonical import INT_MAX, INT_MIN, Json

# A time limit per example measures the machine, not the code.
settings.register_profile("fleetproof", deadline=None)
settings.load_profile("fleetproof")

Payload = wire.DesiredState | wire.DeviceState | wire.DeviceInfo | wire.Heartbeat

_ALNUM = "abz019"
_TEXT = st.characters(exclude_categories=["Cs"], exclude_characters=[chr(c) for c in range(32)] + ["\x7f"])

labels_dns = st.text("ab-01", min_size=1, max_size=63).filter(
    lambda text: rules.LABEL.pattern.fullmatch(text) is not None
)
device_ids = st.one_of(
    st.lists(labels_dns, min_size=1, max_size=5)
    .map(".".join)
    .filter(lambda text: len(text) <= rules.SUBDOMAIN.len_max),
    st.sampled_from(["state", "state.x", "info.heartbeat", "a." * 126 + "b", "a" * 253]),
).map(wire.device_id)
deployment_names = st.one_of(labels_dns, st.just("n" * 63)).map(wire.deployment_name)
pairs = st.builds(wire.Pair, device_ids, deployment_names)

tokens = st.text([chr(c) for c in range(33, 127)], min_size=1, max_size=rules.TOKEN.len_max)
versions = st.text(_ALNUM + ".+_-", min_size=1, max_size=64).map(lambda text: ("1" + text)[:64])
titles = st.text(_TEXT, min_size=1, max_size=rules.TITLE.len_max)
free_text = st.text(_TEXT | st.sampled_from("\t\n\r"), max_size=200)
paths = st.text(_TEXT, max_size=100).map("/".__add__)
volume_sources = st.one_of(paths, st.text(_ALNUM, min_size=1, max_size=20))
env_names = st.text("AZ_.-", min_size=1, max_size=20)
times = st.datetimes(timezones=st.just(UTC)) | st.sampled_from(
    [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)]
)

label_values = st.just("") | st.text(_ALNUM, min_size=1, max_size=63)
label_keys = st.builds(
    lambda prefix, name: f"{prefix}/{name}" if prefix else name,
    st.none() | device_ids,
    st.text("aZ09", min_size=1, max_size=63),
)
labels = st.dictionaries(label_keys, label_values, max_size=6)

env_vars = st.builds(wire.EnvVar, env_names, free_text)
volumes = st.builds(wire.Volume, volume_sources, paths, st.booleans())
resources = st.builds(
    wire.Resources,
    st.none() | st.integers(1, rules.CPU_MILLIS_MAX),
    st.none() | st.integers(rules.MEMORY_BYTES_MIN, rules.MEMORY_BYTES_MAX),
)
health_checks = st.builds(
    wire.HealthCheck,
    st.lists(free_text, min_size=1, max_size=4).map(tuple),
    st.integers(1, rules.HEALTH_INTERVAL_SECS_MAX),
    st.integers(1, rules.HEALTH_TIMEOUT_SECS_MAX),
    st.integers(1, rules.HEALTH_RETRIES_MAX),
)
port_numbers = st.integers(1, rules.PORT_MAX)
lifecycles = st.builds(wire.Lifecycle, st.sampled_from(rules.STOP_SIGNALS), st.integers(0, rules.GRACE_PERIOD_SECS_MAX))
owners = st.builds(wire.Owner, tokens, st.integers(1, INT_MAX))


@st.composite
def scores(draw: st.DrawFn) -> wire.Score:
    """Scores with unique service names, and host ports unique across services."""
    names = draw(st.lists(labels_dns, min_size=1, max_size=4, unique=True))
    host_ports = draw(st.lists(st.tuples(port_numbers, st.sampled_from(["TCP", "UDP"])), max_size=8, unique=True))
    services = []
    for index, name in enumerate(names):
        mine = host_ports[index :: len(names)]
        services.append(
            wire.Service(
                name=name,
                image=draw(tokens),
                command=tuple(draw(st.lists(free_text, max_size=4))),
                env=tuple(draw(st.lists(env_vars, max_size=4, unique_by=lambda env: env.name))),
                ports=tuple(wire.Port(draw(port_numbers), port, protocol) for port, protocol in mine),
                volumes=tuple(draw(st.lists(volumes, max_size=4, unique_by=lambda volume: volume.target))),
                resources=draw(resources),
                image_pull_policy=draw(st.sampled_from(wire.PullPolicy)),
                health_check=draw(st.none() | health_checks),
            )
        )
    return wire.Score(tuple(services), draw(lifecycles))


desired_states = st.builds(wire.DesiredState, owners, scores())
device_states = st.builds(
    wire.DeviceState,
    st.sampled_from(wire.Phase),
    times,
    owners,
    st.dictionaries(labels_dns, tokens, max_size=4),
    st.none() | free_text,
)
device_infos = st.builds(wire.DeviceInfo, tokens, titles, versions, labels, tokens)
heartbeats = st.builds(wire.Heartbeat, versions, tokens, st.integers(0, INT_MAX), st.booleans(), st.none() | tokens)
payloads: st.SearchStrategy[Payload] = st.one_of(desired_states, device_states, device_infos, heartbeats)

Decoder = Callable[[bytes], Payload]
DECODERS: dict[type[Payload], Decoder] = {
    wire.DesiredState: wire.decode_desired_state,
    wire.DeviceState: wire.decode_device_state,
    wire.DeviceInfo: wire.decode_device_info,
    wire.Heartbeat: wire.decode_heartbeat,
}

json_scalars: st.SearchStrategy[Json] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(INT_MIN, INT_MAX),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
json_values: st.SearchStrategy[Json] = st.recursive(
    json_scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(_TEXT, max_size=5), inner, max_size=4),
    max_leaves=12,
)
