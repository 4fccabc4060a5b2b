"""The operator's memory of keys: the verdicts of `fleet.wire`, and shared objects."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import wire
from fleet.errors import WireError
from fleet.operator.keys import PairKeys
from fleet.tests import strategies as some
from fleet.tests.test_wire import MALFORMED


def verdict(parse: Callable[[str], object], key: str) -> object:
    """Return what a key names, or the line that refuses it."""
    try:
        return parse(key)
    except WireError as error:
        return f"refused: {error}"


def agree(keys: PairKeys, key: str) -> None:
    for ours, theirs in (
        (keys.of_desired_key, wire.parse_desired_key),
        (keys.of_state_key, wire.parse_state_key),
        (keys.of_heartbeat_key, wire.parse_heartbeat_key),
        (keys.of_info_key, wire.parse_info_key),
    ):
        expected = verdict(theirs, key)
        assert verdict(ours, key) == expected
        assert verdict(ours, key) == expected, "the second time it may come from memory"


prefixes = st.sampled_from(["", "state.", "state", "heartbeat.", "info.", "INFO.", "."])
texts = st.one_of(
    some.pairs.map(wire.desired_key),
    some.device_ids,
    st.text("ab.-*>A_", max_size=12),
    st.text(max_size=20),
    st.sampled_from(MALFORMED),
    st.just("\ud800.a"),
)
remembering = PairKeys()


@given(prefixes, texts)
def test_any_key(prefix: str, text: str) -> None:
    """Every text is refused, or names what `fleet.wire` says, with and without a memory of earlier keys."""
    agree(remembering, prefix + text)
    agree(PairKeys(pairs_max=1), prefix + text)


@pytest.mark.parametrize("prefix", ["", "state.", "heartbeat.", "info."])
@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_keys(prefix: str, text: str) -> None:
    """The contract's malformed keys are refused in the same words."""
    agree(PairKeys(), prefix + text)


def test_keys_of_one_pair_share_it() -> None:
    """A desired-state key and a device-state key of one pair give one object."""
    keys = PairKeys()
    pair = keys.of_desired_key("site-7.d1.web")
    assert keys.of_state_key("state.site-7.d1.web") is pair
    assert keys.of_desired_key(wire.desired_key(pair)) is pair


def test_names_are_shared() -> None:
    """Pairs of one device, its heartbeat and its device-info hold one text; so do pairs of one deployment."""
    keys = PairKeys()
    web, db, other = (keys.of_desired_key(key) for key in ("site-7.d1.web", "site-7.d1.db", "site-7.d2.web"))
    assert web.device is db.device
    assert keys.of_heartbeat_key("heartbeat.site-7.d1") is web.device
    assert keys.of_info_key("info.site-7.d1") is web.device
    assert web.deployment is other.deployment


def test_what_is_remembered_is_bounded() -> None:
    """One more than the bound, and all are forgotten: they come back as equal, new objects."""
    keys = PairKeys(pairs_max=2)
    first, _ = keys.of_desired_keys(["d1.web", "d2.web"])
    assert keys.of_desired_key("d1.web") is first
    keys.of_desired_key("d3.web")
    again = keys.of_desired_key("d1.web")
    assert again == first
    assert again is not first


@given(st.lists(st.tuples(st.sampled_from(["", "state.", "heartbeat.", "info."]), texts), min_size=1, max_size=4))
def test_many_keys_at_once(parts: list[tuple[str, str]]) -> None:
    """Each is what it is by itself; if some are refused, all are, in the words of one of them."""
    keys, several = PairKeys(pairs_max=2), [prefix + text for prefix, text in parts]
    for one, many in (
        (keys.of_desired_key, keys.of_desired_keys),
        (keys.of_state_key, keys.of_state_keys),
        (keys.of_heartbeat_key, keys.of_heartbeat_keys),
        (keys.of_info_key, keys.of_info_keys),
    ):
        alone = [verdict(one, key) for key in several]
        refusals = [known for known in alone if isinstance(known, str) and known.startswith("refused: ")]
        if refusals:
            with pytest.raises(WireError) as error:
                many(several)
            assert f"refused: {error.value}" in refusals
        else:
            assert many(several) == alone


def test_refusals_are_not_remembered() -> None:
    """Malformed keys take no room: what was known stays known."""
    keys = PairKeys(pairs_max=1)
    pair = keys.of_desired_key("d1.web")
    for text in MALFORMED:
        with pytest.raises(WireError):
            keys.of_desired_key(text)
    assert keys.of_desired_key("d1.web") is pair
