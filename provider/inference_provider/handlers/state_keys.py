"""Keys beside a spec's fields in what an engine stores. Users' states have them: rename none."""

PROVIDER_KEY = "__provider"
"""Key under which the SDK keeps the pickled provider, among the user's fields."""

OWNER_KEY = "stack"
"""Input that holds the owner's label; not a field of any spec."""

PLACEHOLDERS_KEY = "placeholders"
"""Input that holds the values of a stack file's placeholders in the fields; not a field."""

PLACE_KEY = "place"
"""Input that holds where the workspace is, filled in by the SDK; missing for a local one, so that
states of older releases do not change."""

HOME_KEY = "home"
"""Input that a check adds: ids of what the place leads to; missing where it has none."""

DEGRADED_KEY = "degraded"
"""Input that only a read sets: what does not run as recorded."""

HELD_BY_KEY = "held_by"
"""Input that only a read sets: the former name of the state's stack."""

INCARNATION_KEY = "incarnation"
"""Output that holds a resource's incarnation; not meant for programs."""

NOT_FIELDS = frozenset(
    {PROVIDER_KEY, OWNER_KEY, PLACEHOLDERS_KEY, PLACE_KEY, HOME_KEY}
    | {DEGRADED_KEY, HELD_BY_KEY, INCARNATION_KEY}
)
