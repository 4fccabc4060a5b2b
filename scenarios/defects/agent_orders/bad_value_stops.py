"""What cannot be understood asks for nothing, so nothing is to run."""

from fleet.agent import desired, desk
from fleet.agent.desired import Confirmed, Refuse, Standing, TearDown, Verdict, Word
from scenarios.defects.defect import Defect


def _patch() -> None:
    judge_confirmed = desired.judge_confirmed

    def judge(standing: Standing, word: Word) -> Verdict | Confirmed:
        verdict = judge_confirmed(standing, word)
        return TearDown() if isinstance(verdict, Refuse) and standing is not None else verdict

    desk.judge = judge  # type: ignore[attr-defined, assignment] # the name that it imported


BAD_VALUE_STOPS = Defect(
    name="bad-value-stops",
    shape="bad-desired",
    case="truncated",
    check="untouched",
    story="A script of the platform team wrote half a value. The agent made an empty score of it, and stopped the "
    "pumps of a water works, as it had been told, it said.",
    patch=_patch,
    part="agent",
)
