"""What stands in the buckets and should not: shapes 11, 12 and 13."""

from scenarios.catalogue.shape import Shape

ENTRIES: tuple[Shape, ...] = (
    Shape(
        number="11",
        id="malformed-device-state",
        title="Reports that nobody understands, or of a wrong time",
        trigger="Values of device-state that are no report (cut short, wrong types, bad UTF-8, a megabyte, deep "
        "nesting, a key twice, an unknown phase, NaN, nothing), of another owner or of a pair that nobody wants; "
        "devices whose clocks are in 2099, in 1971, hours behind or jump. While the operator is up or down.",
        expected="Each is skipped, counted and named once in the log, and costs nobody else anything; a good report or "
        "a delete heals it. A time ahead counts as that of its storing; an older event never replaces a newer one.",
        oracle="The hand's own writes and acknowledged reports, status against the reference model at two marks, the "
        "operator's counter and log.",
        risk="medium",
        diagram="""\
hand      ====[bad bytes, 2099]=======================[good]=====
broker    s1 .. s8   s1=BAD s2=2099  s3 .. s8 new     s1 good
operator  ======X                 [start]-replay-------fold-----
                                   BAD: skip, count, name once
                                   2099: as of its storing
status    all true ............... s3 .. s8 true ...... all true""",
    ),
    Shape(
        number="12",
        id="malformed-desired-state",
        title="Desired state in an old format, or edited by hand",
        trigger="Somebody, or another version, writes values of desired-state: garbage, cut short, with a field more "
        "or less, another score, another owner, a higher generation, other bytes of the same meaning. One key or all "
        "of them, while the operator is up or down.",
        expected="What does not say what its Deployment asks for is put right by one write; what does, in whatever "
        "bytes, is left. A device that cannot understand its value keeps to the last good one, and says so.",
        oracle="Writes by the broker's counters and the republished subject, the devices' acknowledged reports.",
        risk="medium",
        diagram="""\
hand      ====[old format, edited, other bytes]==================
broker    good       bad k keys          good k keys, other bytes left
operator  ================read CRs afresh, one put each==rests===
agents    run good   refuse, keep, say so   run good""",
    ),
    Shape(
        number="13",
        id="invalid-key",
        title="Keys that name nothing, and keys that name nobody's",
        trigger="Keys without a dot or a prefix, with other characters than names have, too long, with wildcards; and "
        "well-formed ones of devices and Deployments that are not there, of pairs that are not selected, with dots.",
        expected="A key that cannot be parsed is logged, counted and left. A device id may hold dots, so the last one "
        "is the border. A key that can be parsed and that nobody wants is an orphan, whatever its value, and goes.",
        oracle="The hand's entries read back by revision, delete markers on the republished subject, counter and log.",
        risk="low",
        diagram="""\
hand      ====[Dev.app nodot d.*]====[gone.app a.b.app]==========
broker    keys       stand as written        deleted, once
operator  ============name once, count, leave===sweep on fresh CRs
                                                split at the last dot
wanted    not one write ........................................""",
    ),
)
