"""The kinds of metrics; `gateway.telemetry.metrics` declares each metric by one."""

from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

LabelT = TypeVar("LabelT", bound=str)

NoLabel = Literal[""]
"""The label value of a metric without a label."""

WorkersMerge = Literal["sum", "max", "min", "farthest"]


@dataclass(frozen=True, slots=True, eq=False)
class MetricSpec:
    """
    A metric of the metrics page, by its name without the prefix ``gateway_``.

    Several labels are separated by commas, and so are their values.
    """

    kind: ClassVar[str]
    prefix: ClassVar[str] = "gateway_"
    suffix: ClassVar[str] = ""
    """What Prometheus puts behind the name."""

    name: str
    help: str
    label: str = ""
    """Empty for a metric without a label."""
    values: tuple[str, ...] = ()
    """All values of the label; empty where the set is open (names from the config)."""

    @property
    def exported(self) -> str:
        """The name on the metrics page."""
        return f"{self.prefix}{self.name}{self.suffix}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels."""
        return tuple(self.label.split(",")) if self.label else ()

    def label_values(self, joined: str) -> list[str]:
        """Take the values of the labels apart; the last may hold commas."""
        return joined.split(",", len(self.labels) - 1) if self.label else []

    def allows(self, value: str) -> bool:
        """Whether ``value`` is declared as a label value; tests hold the metrics page to it."""
        return not value if not self.label else not self.values or value in self.values


class CounterSpec(MetricSpec, Generic[LabelT]):
    """A number of events. mypy refuses a label value outside ``LabelT``."""

    __slots__ = ()
    kind = "counter"
    suffix = "_total"


@dataclass(frozen=True, slots=True, eq=False)
class GaugeSpec(MetricSpec):
    """A value that goes up and down."""

    kind = "gauge"

    merge: WorkersMerge = "sum"
    """What is shown of the values of several processes; ``farthest`` is that farthest from 0."""


class ProcessCounterSpec(CounterSpec[LabelT]):
    """A counter of the operating system's, by the name that all programs give it."""

    __slots__ = ()
    prefix = ""


class ProcessGaugeSpec(GaugeSpec):
    """A gauge of the operating system's, by the name that all programs give it."""

    __slots__ = ()
    prefix = ""
