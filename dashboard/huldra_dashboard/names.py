"""What an artifact is called: its name in a sweep, else the fields that vary among those shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from huldra.catalog import Row, Snapshot, Sweep, presentation
from huldra_dashboard import cell_values, source
from huldra_dashboard.markup import plain, shorten

_MOST_FIELDS = 3
_VALUE = 24  # characters of a value in a name
_LOOKED_AT = 300  # rows that the fields of names are taken from

_of_sweeps: tuple[tuple[Sweep, ...], dict[tuple[str, str], str]] = ((), {})


def members() -> Mapping[tuple[str, str], str]:
    """Root and key → name in the newest sweep that names the artifact."""
    global _of_sweeps  # noqa: PLW0603  one value for all sessions, replaced whole
    sweeps = source.catalog().sweeps()
    if _of_sweeps[0] is not sweeps:
        found: dict[tuple[str, str], str] = {}
        for sweep in sweeps:
            for member in sweep.members:
                if member.name and not member.name.isdecimal():
                    found.setdefault((sweep.root, member.key), member.name)
        _of_sweeps = sweeps, found
    return _of_sweeps[1]


def of_row(row: Row) -> str:
    """The name of one artifact by itself: that of its sweep, else its class."""
    return members().get((row.root, row.key)) or row.class_name


def of_rows(rows: Sequence[Row], snapshot: Snapshot) -> dict[str, str]:
    """Key → name, for artifacts that are shown together.

    Names tell apart what the fields tell apart; the hash, which tells all apart, stands beside.
    """
    by_member = members()
    found = {row.key: by_member.get((row.root, row.key), "") for row in rows}
    unnamed: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if not found[row.key]:
            unnamed[row.namespace].append(row)
    for group in unnamed.values():
        fields = cell_values.telling_fields(group[:_LOOKED_AT], snapshot)[:_MOST_FIELDS]
        for row in group:
            found[row.key] = by_fields(row, fields, snapshot) or row.class_name
    return found


def by_fields(row: Row, fields: Iterable[str], snapshot: Snapshot) -> str:
    """`lr 0.001 · width 128`."""
    parts = []
    for path in fields:
        value = snapshot.config_value(row, path)
        if value is not None:
            parts.append(f"{path.rpartition('.')[2]} {value_text(value)}")
    return plain(" · ".join(parts))


def value_text(value: object) -> str:
    """A field's value, short."""
    if isinstance(value, float):
        return presentation.number(value)
    return shorten(cell_values.cell(value), _VALUE)


def below(row: Row) -> str:
    """Class and hash, which stand small behind a name."""
    return plain(row.label)


def full(row: Row, name: str) -> str:
    """A name that is distinct by itself, for legends and select boxes."""
    return plain(name if name == row.label else f"{name} ({row.digest[:8]})")
