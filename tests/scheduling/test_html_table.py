"""What notebooks show of configs, lists, plans and sweeps."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

import huldra
from huldra.scheduling.html_table import html_table
from tests.support.odd import Note


class Secret(huldra.Huldra[int]):
    name: str = "<b>"
    token: str = huldra.field(default="hidden", repr=False, hashed=False)

    def _create(self) -> int:
        raise AssertionError("computed")


class Few(huldra.HuldraList[Note]):
    """A list that is shown whole."""

    first = Note(name="<script>")


class Many(huldra.HuldraList[Note]):
    """A list that is folded."""

    each = [Note(name=f"n{i}") for i in range(30)]  # noqa: RUF012  what users write


def test_a_config_is_a_table_of_its_fields() -> None:
    """Values are escaped, and a field without a repr stays hidden."""
    shown = Secret()._repr_html_()
    assert "<p>Secret: 2 fields</p>" in shown
    assert "<td>name</td><td>&#x27;&lt;b&gt;&#x27;</td>" in shown
    assert "<td>token</td><td>...</td>" in shown


def test_a_list_is_a_table_of_its_members() -> None:
    """Markup in a config is text; the bound method is what notebooks ask a class for."""
    assert isinstance(Few._repr_html_, types.MethodType)
    shown = Few._repr_html_()
    assert "<p>Few: 1 Note</p>" in shown
    assert "<td>first</td><td>Note(" in shown
    assert "<script>" not in shown


def test_a_long_list_is_folded_to_its_counts() -> None:
    """The counts are the summary, and the members are below it."""
    shown = Many._repr_html_()
    assert shown.startswith("<details><summary>Many: 30 Note</summary><table>")
    assert shown.count("<tr>") == 31


def test_a_plan_is_a_table_with_its_counts(huldra_root: Path) -> None:
    """Short plans are shown, long ones are folded, and nothing is written."""
    Few.first.load_or_create()
    before = sorted(huldra_root.rglob("*"))
    assert "<p>1 cached</p><table>" in Few.plan()._repr_html_()
    shown = Many.plan()._repr_html_()
    assert shown.startswith("<details><summary>30 will run")
    assert "<td>will run</td>" in shown
    assert sorted(huldra_root.rglob("*")) == before


def test_a_long_sweep_is_folded_to_its_counts(huldra_root: Path) -> None:
    """As a long plan is."""
    sweep = Many.load_or_create(executor="inline")
    assert "<summary>Sweep Many 30 jobs: 30 success</summary>" in sweep._repr_html_()


@pytest.mark.parametrize(("count", "said"), [(500, ""), (503, "<p>and 3 more</p>")])
def test_what_is_too_much_is_counted(count: int, said: str) -> None:
    """A notebook's file holds what it shows."""
    shown = html_table(("n",), [(str(number),) for number in range(count)], "n")
    assert shown.endswith(f"</tbody></table>{said}</details>")
    assert shown.count("<tr>") == 501
