"""Lists with weights, as of ``Accept`` and ``Accept-Language`` (RFC 9110 section 12.4.2)."""

_MOST = 16
"""Entries that are read: browsers send fewer, and a long list must cost little."""


def by_weight(field: str) -> list[str]:
    """
    Return the entries of ``field`` in lower case, the preferred first; none of weight 0.

    Of equal weights the first one goes first. A weight that is none counts as 0.
    """
    weighed = []
    for part in field.split(",", _MOST)[:_MOST]:
        name, *parameters = part.lower().split(";")
        weight = _weight(parameters)
        if weight:
            weighed.append((-weight, name.strip()))
    return [name for _, name in sorted(weighed, key=lambda pair: pair[0])]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return _number(value)
    return 1.0


def _number(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 < weight <= 1 else 0.0
