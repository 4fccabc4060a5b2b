"""What the bucket holds is not read at the start: after an edit all keys are written, and not only the new ones."""

from dataclasses import replace

from scenarios.defects.restart.no_seed import NO_SEED

NO_SEED_AFTER_EDIT = replace(
    NO_SEED,
    name="no-seed-after-edit",
    shape="selector-change-while-down",
    case="grow",
    check="others-kept",
    story="One more site was added to a selector while the operator was being upgraded. The list of keys already "
    "written lived in memory only, so every device of the fleet got its desired state once more.",
)
