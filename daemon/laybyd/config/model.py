"""Every setting of the daemon: its name, its unit, its bounds and its default.

Owns the model behind `config/layby.yaml`. Must never know how a value was written (`source`) nor
what it makes the broker do. Defaults of delivery are the core's own: they are said once, there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from laybyd.config import endpoints
from laybyd.config.explain import by_place, explain
from laybyd.config.relations import relations
from laybyd.config.source import Source
from laybyd.config.units import Amount, amount, between, duration_us, share_ppm, size_bytes
from laybyd.core.settings import CoreSettings, GroupSettings
from laybyd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CORE = CoreSettings()
_GROUP = GroupSettings()
_TENTH = Amount(ppm=100_000)


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _as_path(value: object) -> object:
    return Path(value) if isinstance(value, str) and value else value


def _size(least: str, most: str = "1024TiB") -> BeforeValidator:
    return BeforeValidator(between(size_bytes, least, most))


Duration = Annotated[int, BeforeValidator(between(duration_us, "0s", "365d"))]
"""Microseconds."""
Interval = Annotated[int, BeforeValidator(between(duration_us, "1ms", "365d"))]
"""Microseconds, and not none."""
Share = Annotated[int, BeforeValidator(between(share_ppm, "0%", "100%"))]
"""Parts per million."""
SizeOrShare = Annotated[Amount, BeforeValidator(amount)]
Number = Annotated[int, Field(ge=1, le=1_000_000_000)]
Endpoint = Annotated[str, AfterValidator(endpoints.checked)]


class Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class StoreSection(Section):
    path: Annotated[Path, BeforeValidator(_as_path)] = Path("var")
    max_bytes: Annotated[int, _size("1MiB")] = 10 << 30
    segment_bytes: Annotated[int, _size("256KiB")] = 256 << 20


class LimitsSection(Section):
    max_message: Annotated[int, _size("1B")] = 1 << 20
    max_block: Annotated[int, _size("4KiB")] = 2 << 20
    max_messages: Annotated[int, Field(ge=1, le=1 << 20)] = 65_536
    wait: Interval = _CORE.wait_us_max
    pending_bytes: Annotated[int, _size("64KiB")] = 32 << 20
    ring_bytes: Annotated[int, _size("64KiB")] = 16 << 20
    sessions: Number = _CORE.sessions_max
    groups: Number = _CORE.groups_max


class GroupsSection(Section):
    lease: Interval = _GROUP.lease_us
    max_handling: Interval = _GROUP.max_handling_us
    max_hold: Interval = _GROUP.max_hold_us
    backoff: Annotated[
        tuple[Duration, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=64)
    ] = _GROUP.backoff_us
    max_attempts: Annotated[int, Field(ge=1, le=1_000)] = _GROUP.max_attempts
    live_slice: Interval = _GROUP.live_slice_us
    drain_slice: Interval = _GROUP.drain_slice_us
    hand_back_after: Interval = _GROUP.hand_back_after_us
    max_wait: Interval = _GROUP.max_wait_us
    busy_share: Share = _GROUP.busy_share_ppm
    idle_after: Duration = _GROUP.idle_after_us
    reserve: Annotated[int, Field(ge=0, le=10_000)] = _GROUP.reserve
    max_out: Number = _GROUP.max_out
    leases_per_session: Annotated[int, Field(ge=1, le=65_536)] = _GROUP.leases_per_session
    deferred_bytes: SizeOrShare = _TENTH
    dead_bytes: SizeOrShare = _TENTH


class BrokerSection(Section):
    restart_grace: Duration = _CORE.restart_grace_us
    settle_flush: Duration = _CORE.settle_flush_us
    settle_flush_deltas: Number = _CORE.settle_flush_deltas
    quiesce: Duration = _CORE.quiesce_us
    history_first: Annotated[int, Field(ge=1, le=64)] = _CORE.history_first
    history_last: Annotated[int, Field(ge=1, le=64)] = _CORE.history_last
    reason_bytes: Annotated[int, _size("64B", "64KiB")] = _CORE.reason_bytes_max
    producers: Number = _CORE.producers_max
    producers_kept: Interval = _CORE.producer_kept_us


class LogSection(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"


class Config(Section):
    """All settings, checked; nothing in it changes."""

    listen: Annotated[
        tuple[Endpoint, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=64)
    ] = ("tcp://127.0.0.1:5577",)
    insecure: bool = False
    store: StoreSection = StoreSection()
    limits: LimitsSection = LimitsSection()
    groups: GroupsSection = GroupsSection()
    broker: BrokerSection = BrokerSection()
    log: LogSection = LogSection()

    @classmethod
    def load(
        cls,
        path: Path | None,
        sets: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> Self:
        """File below environment below `sets` below `options` (ready values by dotted name).

        Raises ConfigError with every problem there is.
        """
        source = Source()
        if path is not None:
            source.add_file(path)
        source.add_environment(env or {})
        source.add_sets(sets)
        source.add_values(options or {}, "command line")
        return cls._checked(source)

    @classmethod
    def default(cls, **values: object) -> Self:
        """The defaults but for `values`: `Config.default(**{"groups.lease": "1s"})`."""
        source = Source()
        source.add_values(values, "settings")
        return cls._checked(source)

    @classmethod
    def _checked(cls, source: Source) -> Self:
        problems = list(source.problems)
        try:
            config = cls.model_validate(_without_empty_sections(source.values))
        except ValidationError as error:
            problems += explain(error, source, cls)
            raise ConfigError(sorted(problems, key=by_place)) from None
        problems += [
            f"{source.place(tuple(name.split('.')))}: {name}: {text}"
            for name, text in relations(config)
        ]
        if problems:
            raise ConfigError(sorted(problems, key=by_place))
        return config

    @property
    def open_endpoints(self) -> tuple[str, ...]:
        """Where strangers can knock: worth a warning at every start."""
        return tuple(one for one in self.listen if not endpoints.is_local(one))

    @property
    def core(self) -> CoreSettings:
        return CoreSettings(
            group=self.group_defaults,
            restart_grace_us=self.broker.restart_grace,
            settle_flush_us=self.broker.settle_flush,
            settle_flush_deltas=self.broker.settle_flush_deltas,
            wait_us_max=self.limits.wait,
            history_first=self.broker.history_first,
            history_last=self.broker.history_last,
            reason_bytes_max=self.broker.reason_bytes,
            producers_max=self.broker.producers,
            producer_kept_us=self.broker.producers_kept,
            groups_max=self.limits.groups,
            sessions_max=self.limits.sessions,
            quiesce_us=self.broker.quiesce,
        )

    @property
    def group_defaults(self) -> GroupSettings:
        """What a group gets that was made without settings of its own."""
        groups, whole = self.groups, self.store.max_bytes
        return GroupSettings(
            lease_us=groups.lease,
            max_handling_us=groups.max_handling,
            max_hold_us=groups.max_hold,
            backoff_us=groups.backoff,
            max_attempts=groups.max_attempts,
            live_slice_us=groups.live_slice,
            drain_slice_us=groups.drain_slice,
            hand_back_after_us=groups.hand_back_after,
            max_wait_us=groups.max_wait,
            busy_share_ppm=groups.busy_share,
            idle_after_us=groups.idle_after,
            reserve=groups.reserve,
            max_out=groups.max_out,
            leases_per_session=groups.leases_per_session,
            deferred_bytes=groups.deferred_bytes.of(whole),
            dead_bytes=groups.dead_bytes.of(whole),
        )


def _without_empty_sections(values: Mapping[str, object]) -> dict[str, object]:
    """`log:` with nothing below it leaves everything at its default."""
    sections = {
        name for name, field in Config.model_fields.items() if _is_section(field.annotation)
    }
    return {name: v for name, v in values.items() if not (v is None and name in sections)}


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)
