"""All that `gateway check` finds in a config that can be loaded: errors of files, and warnings."""

from collections.abc import Sequence

from gateway.config.findings import Severity
from gateway.config.lint import LINTS, lint
from gateway.config.lint_table import LINT_TABLE
from gateway.config.lint_written import WRITTEN_CODES, lint_written
from gateway.config.load import LoadedConfig
from gateway.config.problems import Problem
from gateway.runtime.services.file_lints import FILE_LINTS
from gateway.runtime.services.files import (
    FAULTY,
    UNUSABLE,
    faulty_templates,
    unreadable_key_sets,
    unusable_files,
)
from gateway.runtime.services.unmarked import UNMARKED

CODES = frozenset(
    {code for code, _ in (*LINTS, *FILE_LINTS)} | WRITTEN_CODES | {UNUSABLE, FAULTY, UNMARKED}
)
"""The codes of all findings; each stands in `LINT_TABLE`."""


def find_all(
    config: LoadedConfig, now_s: float, in_store: Sequence[Problem] = ()
) -> list[tuple[Problem, Severity]]:
    """
    Find what is wrong or odd, in the order of the file.

    The files that the config names are opened; ``now_s`` is the time, in seconds since the Unix
    epoch. ``in_store`` are warnings about what the store holds, which is not asked here.
    """
    settings = config.settings
    warnings = [
        *in_store,
        *lint(settings),
        *lint_written(config.written),
        *unreadable_key_sets(settings),
        *(
            Problem(key, message, remedy=remedy, code=code)
            for code, find in FILE_LINTS
            for key, message, remedy in find(settings, now_s)
        ),
    ]
    found = [
        *((problem, Severity.ERROR) for problem in unusable_files(settings)),
        *((problem, Severity.ERROR) for problem in faulty_templates(settings)),
        *((problem, Severity.WARNING) for problem in warnings),
    ]
    found.sort(key=lambda entry: entry[0].line(config.written.lines))
    return [
        (problem._replace(default_remedy=LINT_TABLE[problem.code].remedy), severity)
        for problem, severity in found
    ]
