"""The view `?c=<hash>,<hash>`: what differs between artifacts, and what came of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from huldra.catalog import Row, Snapshot, presentation
from huldra.catalog.config_fields import same
from huldra_dashboard import address, badges, cell_values, charts, navigate, source
from huldra_dashboard import names as naming
from huldra_dashboard.comparison import differences
from huldra_dashboard.markup import escape, plain, terminal_text

_MOST_LINES = 1000


def show(digests: Sequence[str]) -> None:
    """Draw the comparison of at most eight artifacts, the first one as baseline."""
    st.button("Back", icon=":material/arrow_back:", type="tertiary", on_click=navigate.close_view)
    st.title("Compare", anchor=False)
    snapshot = source.catalog().snapshot()
    rows = _rows(digests, snapshot)
    if len(rows) < 2:
        badges.empty(
            "There are not two artifacts to compare",
            "Tick two to eight lines of the list, then *Compare*.",
            button=("To the list", lambda: navigate.go_to("experiments")),
        )
        return
    body(rows)


def _rows(digests: Sequence[str], snapshot: Snapshot) -> list[Row]:
    """The artifacts of these hashes that exist; says which do not."""
    rows = []
    for digest in dict.fromkeys(digests[: navigate.MAX_COMPARED]):
        found = snapshot.by_hash(digest) if digest else ()
        if found:
            rows.append(found[0])
        else:
            st.warning(f"No artifact has the hash {escape(digest, 40)}.")
    return rows


def body(rows: list[Row]) -> None:
    """Everything below the title."""
    names = _names(rows)
    digests = [row.digest for row in rows]
    asked = address.get(address.BASELINE)
    st.session_state["compare_baseline"] = asked if asked in digests else digests[0]
    baseline = st.selectbox(
        "Baseline",
        digests,
        format_func=lambda digest: plain(names[digests.index(digest)]),
        key="compare_baseline",
        on_change=address.written,
        args=("compare_baseline", address.BASELINE, digests[0]),
        help="It stands first; metrics of the others show how they differ from it.",
        width=360,
    )
    index = digests.index(baseline) if baseline in digests else 0
    order = [index, *(i for i in range(len(rows)) if i != index)]
    rows, names = [rows[i] for i in order], [names[i] for i in order]
    _heads(rows, names)
    _configs(rows, names)
    _metrics(rows, names)
    _environment(rows, names)
    _logs(rows, names)


def _names(rows: Sequence[Row]) -> list[str]:
    """A distinct name for each artifact, short enough for a column."""
    called = naming.of_rows(rows, source.catalog().snapshot())
    return [naming.full(row, called[row.key]) for row in rows]


def _heads(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Status, duration and a way to each artifact."""
    for column, row, name in zip(st.columns(len(rows)), rows, names, strict=True):
        with column.container(border=True):
            st.button(
                escape(name, 40),
                type="tertiary",
                key=f"open-{row.digest}",
                on_click=navigate.open_detail,
                args=(row.digest,),
            )
            badges.status_badge(row.status, badges.why_not_made(row))
            st.caption(
                f"{presentation.duration(row.duration_s)} · {escape(row.hostname or '–', 30)}"
            )


def _configs(rows: Sequence[Row], names: Sequence[str]) -> None:
    """The differing fields; all of them on demand."""
    st.subheader("Config")
    found = differences.lines([row.config for row in rows])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        everything = st.toggle("Equal fields too", key="compare_all")
        ignored = st.multiselect(
            "Ignore",
            [line.path for line in found],
            key="compare_ignored",
            placeholder="Ignore fields",
            label_visibility="collapsed",
            width=420,
        )
    shown = [line for line in found if line.path not in ignored and (everything or line.differs)]
    if not shown:
        st.caption("No field differs.")
        return
    _table("field", [line.path for line in shown], [_cells(line) for line in shown], names)


def _cells(line: differences.Line) -> list[str]:
    """The values of one field as text; – where an artifact does not have it."""
    return [
        cell_values.cell(value) if present else "–"
        for value, present in zip(line.values, line.present, strict=True)
    ]


def _table(
    first: str, labels: Sequence[str], lines: Sequence[Sequence[str]], names: Sequence[str]
) -> None:
    """A line for each label, a column for each artifact, the baseline pinned."""
    columns = [f"{index}: {name}" for index, name in enumerate(names)]
    data = pd.DataFrame([[plain(x) for x in line] for line in lines], columns=columns)
    data.insert(0, first, [plain(label) for label in labels])
    config: dict[str, Any] = {
        column: st.column_config.TextColumn(escape(name, 40))
        for column, name in zip(columns, names, strict=True)
    }
    config[first] = st.column_config.TextColumn(first.capitalize(), pinned=True)
    config[columns[0]] = st.column_config.TextColumn(
        f"{escape(names[0], 40)} (baseline)", pinned=True
    )
    st.dataframe(
        data,
        hide_index=True,
        column_config=config,
        height="content" if len(lines) <= 30 else 800,
    )


def _metrics(rows: Sequence[Row], names: Sequence[str]) -> None:
    """The last number of each metric with the difference to the baseline; curves together."""
    st.subheader("Metrics")
    catalog = source.catalog()
    metrics = [catalog.metrics(row) for row in rows]
    labels = list(dict.fromkeys(name for one in metrics for name in one.values))[:_MOST_LINES]
    if not labels:
        st.caption("None of these artifacts holds numbers at its top level.")
        return
    lines = [_with_delta([one.values.get(label) for one in metrics]) for label in labels]
    _table("metric", labels, lines, names)
    curves = list(dict.fromkeys(name for one in metrics for name in one.series))
    if curves:
        name = st.selectbox("Curve", curves, format_func=plain, key="compare_curve", width=360)
        series = {
            label: one.series[name]
            for label, one in zip(names, metrics, strict=True)
            if name in one.series
        }
        charts.draw(charts.lines(series), "compared", alt="One metric of each artifact over steps")


def _with_delta(values: Sequence[float | None]) -> list[str]:
    """Numbers as text; behind each the difference to the first one."""
    base = values[0]
    texts = [presentation.number(base)]
    for value in values[1:]:
        text = presentation.number(value)
        if value is not None and base is not None and value != base:
            text += f"  ({value - base:+.4g})"
        texts.append(text)
    return texts


def _environment(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Differences in code and machine."""
    keys = ("git_commit", "git_branch", "git_dirty", "python_version", "platform", "hostname")
    catalog = source.catalog()
    metadata: list[Mapping[str, object]] = [catalog.detail(row).metadata or {} for row in rows]
    lines = []
    for key in keys:
        values = [one.get(key) for one in metadata]
        if any(not same(values[0], value) for value in values[1:]):
            lines.append((key, ["–" if v is None else cell_values.cell(v) for v in values]))
    with st.expander(f"Environment: {presentation.count(len(lines), 'difference')}"):
        if lines:
            _table("recorded", [key for key, _ in lines], [cells for _, cells in lines], names)
        else:
            st.caption("Same commit, Python, platform and host.")


def _logs(rows: Sequence[Row], names: Sequence[str]) -> None:
    """The ends of two logs against each other, on demand."""
    if not st.toggle("Difference of the logs", key="compare_logs"):
        return
    other = 1
    if len(rows) > 2:
        other = st.selectbox(
            "Baseline against",
            range(1, len(rows)),
            format_func=lambda index: plain(names[index]),
            width=360,
        )
    catalog = source.catalog()
    one, two = (_log_lines(catalog.log_tail(row)) for row in (rows[0], rows[other or 1]))
    found = list(difflib.unified_diff(one, two, plain(names[0]), plain(names[other]), lineterm=""))
    st.code(
        "\n".join(found[:_MOST_LINES]) or "The ends of the logs are equal.",
        language=None,
        height=400,
    )


def _log_lines(text: str) -> list[str]:
    """Lines of a log without the time that each begins with, which always differs."""
    return [line.split(" ", 1)[-1] for line in terminal_text(text).splitlines()]
