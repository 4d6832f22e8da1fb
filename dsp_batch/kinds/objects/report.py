"""Describe structured reports of any template: measurements, dose, coded answers, else their text (PS3.3 A.35)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from dsp_batch.dicom.content import ContentItem, read_content
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.kinds.card import describe_headers
from dsp_batch.kinds.kind import Contents, Instances
from dsp_batch.kinds.objects.measurements import (
    IRRADIATION_EVENT,
    Group,
    list_groups,
    list_statements,
)
from dsp_batch.kinds.objects.outline import outline_content
from dsp_batch.kinds.objects.quantities import count_noun, format_number, format_quantity, format_unit
from dsp_batch.model.card import Card
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.statement import Statement

MAX_QUANTITIES = 4
"""Quantities in the table of a card: more would have no room."""

MAX_EVENTS = 15
"""Irradiation events in the table of a card."""

_ACCUMULATED_DOSE = frozenset({"113702", "113811", "113516"})
"""Codes of the totals of X-rays (TID 10002), of CT (TID 10012), and of a radiopharmaceutical."""

_CALIBRATION = "122505"
"""Code of the calibration of a dose meter, which stands among the totals."""

_GENERIC_TITLES = frozenset({"126000", ""})
"""Codes of titles that say less than the description of the series: Imaging Measurement Report, none."""

_WELL_KNOWN = {
    "IBSI:RNU0": "Volume",  # of the mesh
    "SCT:118565006": "Volume",
    "IBSI:L0JK": "Diameter",  # the largest of the mesh
    "IBSI:QCFX": "Sphericity",
    "IBSI:Q4LE": "Mean",
    "IBSI:ECT3": "Variance",
    "IBSI:QG58": "P10",
    "IBSI:8DWT": "P90",
    "DCM:113830": "CTDIvol",
    "DCM:113838": "DLP",
    "DCM:122130": "DAP",
    "DCM:113738": "Dose (RP)",
    "DCM:111631": "AGD",
    "DCM:113733": "KVP",
}
"""Code of a quantity that says most of a region or of an irradiation → its short name for the head of a table."""


_RARE = 10
"""A well-known quantity has a column where one group in so many has it: some irradiations tell no dose."""


def describe_report(instances: Instances) -> Card:
    """Describe reports: each group of measurements in a row, else what is told, item by item, else their headers."""
    read = [(header, *read_content(header)) for header in instances.values()]
    roots = [root for _, root, _ in read]
    notes = gather_notes(note for _, _, notes in read for note in notes)
    title = _name_report(read[0][0], read[0][1])
    groups = [group for root in roots for group in list_groups(root)]
    if any(group.statements for group in groups):
        return _tabulate_groups(groups, title, notes)
    events = [event for root in roots for event in list_groups(root, IRRADIATION_EVENT)]
    totals = [statement for root in roots for statement in _list_totals(root)]
    if events or totals:
        return _tabulate_dose(events, totals, title, notes)
    rows = [row for root in roots for row in outline_content(root)]
    told = sum(bool(value) for _, value in rows)
    if not told:
        plain = describe_headers(Contents(instances=instances))
        items = sum(1 for root in roots for _ in root.walk()) - len(roots)
        headline = count_noun(items, "content item") if items else "no content"
        return replace(plain, kind="SR", headline=headline, title=title, n_items=items, notes=notes)
    headline = count_noun(told, "statement")
    return Card(kind="SR", headline=headline, title=title, rows=tuple(rows), n_items=told, notes=notes)


def state_reports(instances: Instances) -> tuple[Statement, ...]:
    """List the measurements and coded answers of reports as data, group by group."""
    found: list[Statement] = []
    for header in instances.values():
        root, _ = read_content(header)
        groups = list_groups(root) or list_groups(root, IRRADIATION_EVENT)
        if groups:
            found += [*_list_totals(root), *(each for group in groups for each in group.statements)]
        else:
            found += list_statements(root, Statement(group=1, group_name=str(root.concept)))
    return tuple(found)


def choose_quantities(groups: Sequence[Group]) -> dict[str, str]:
    """Choose the quantities that most groups share for the columns of a table.

    Where two well-known ones or more are among them, there is no room for others.

    Returns:
        Quantity → its name in the head of the table.
    """
    counts: Counter[str] = Counter()
    codes: dict[str, str] = {}
    for group in groups:
        numbers = {each.concept: each.code for each in group.statements if _is_number(each)}
        counts.update(numbers.keys())
        codes.update(numbers)
    most = max(counts.values(), default=0)
    known = [name for name in counts if codes[name] in _WELL_KNOWN and counts[name] * _RARE >= most]
    if len(known) > 1:
        ranks = {code: rank for rank, code in enumerate(_WELL_KNOWN)}
        chosen = sorted(known, key=lambda name: ranks[codes[name]])
    else:
        chosen = sorted(counts, key=lambda name: -counts[name])
    heads = {name: _WELL_KNOWN.get(codes[name], name) for name in chosen[:MAX_QUANTITIES]}
    return heads if len(set(heads.values())) == len(heads) else {name: name for name in heads}


def _tabulate_groups(groups: Sequence[Group], title: str, notes: tuple[str, ...]) -> Card:
    columns, rows = tabulate(groups)
    headline = count_noun(len(groups), "measurement group")
    numbers = [each for group in groups for each in group.statements if _is_number(each)]
    if len(numbers) == 1:
        headline = format_quantity(numbers[0].value, numbers[0].unit)
    return Card(kind="SR", headline=headline, title=title, columns=columns, rows=rows, n_items=len(groups), notes=notes)


def _tabulate_dose(events: Sequence[Group], totals: Sequence[Statement], title: str, notes: tuple[str, ...]) -> Card:
    numbers = [replace(each, statements=tuple(filter(_is_number, each.statements))) for each in events[:MAX_EVENTS]]
    columns, rows = tabulate(numbers) if numbers else ((), ())
    told = dict.fromkeys(
        f"{each.concept}: {format_quantity(each.value, each.unit)}" for each in totals if _is_number(each)
    )
    lines = tuple(told)
    if len(events) > MAX_EVENTS:
        lines = (*lines, f"the first {MAX_EVENTS} of {count_noun(len(events), 'irradiation event')}:")
    return Card(
        kind="Dose SR",
        headline=count_noun(len(events), "irradiation event"),
        title=title,
        columns=columns,
        rows=rows,
        lines=lines,
        n_items=len(events),
        notes=notes,
    )


def tabulate(groups: Sequence[Group]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Make a table of groups: a row for each, a column for each quantity that most of them share.

    Returns:
        Head and rows. A unit stands in the head where all values have it, else beside each value.
    """
    names = choose_quantities(groups)
    found = [{each.concept: each for each in reversed(group.statements) if _is_number(each)} for group in groups]
    units = {name: {row[name].unit for row in found if name in row} for name in names}
    shared = {name: next(iter(its)) for name, its in units.items() if len(its) == 1}
    answers = any(not _is_number(each) for group in groups for each in group.statements) and len(names) < MAX_QUANTITIES
    head = [_head_column(name, shared.get(quantity, "")) for quantity, name in names.items()]
    rows = []
    for group, values in zip(groups, found, strict=True):
        cells = [_write_cell(values.get(name), single_unit=name in shared) for name in names]
        rows.append((group.label, *cells, *((_join_answers(group),) if answers else ())))
    return ("", *head, *(("answers",) if answers else ())), tuple(rows)


def _head_column(name: str, unit: str) -> str:
    symbol = format_unit(unit)
    return f"{name}, {symbol}" if symbol else name


def _write_cell(statement: Statement | None, *, single_unit: bool) -> str:
    if statement is None:
        return ""
    return format_number(statement.value) if single_unit else format_quantity(statement.value, statement.unit)


def _join_answers(group: Group) -> str:
    return ", ".join(dict.fromkeys(each.text for each in group.statements if not _is_number(each) and each.text))


def _is_number(statement: Statement) -> bool:
    """Tell whether a statement is a measurement, with or without a number that can be shown."""
    return statement.value is not None or bool(statement.unit)


def _list_totals(root: ContentItem) -> Iterator[Statement]:
    for item in root.walk():
        if item.concept.value in _ACCUMULATED_DOSE and item.value_type == "CONTAINER":
            common = Statement(group=0, group_name=str(item.concept))
            for child in item.children:
                if child.concept.value != _CALIBRATION:
                    yield from list_statements(child, common)


def _name_report(header: Attributes, root: ContentItem) -> str:
    described = header.text("SeriesDescription")
    if described and root.concept.value in _GENERIC_TITLES:
        return described
    return str(root.concept) or described or "Structured report"
