"""Describe spatial registrations: what they move, how far and by which angle (PS3.3 C.20.2, C.20.3)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dsp_batch.dicom.codes import read_code
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.objects.quantities import count_noun, format_number
from dsp_batch.model.card import Card
from dsp_batch.model.statement import Statement

Matrix = tuple[float, ...]
"""A matrix of 4 × 4 numbers, row after row, that maps positions in mm."""

_IDENTITY: Matrix = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)
_NUMBERS = len(_IDENTITY)
_TAIL = 12
"""Characters of a UID that tell frames of reference apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """How one frame of reference is moved onto that of the object."""

    source: str
    """Frame of Reference UID (0020,0052) that is moved."""

    target: str
    """Frame of Reference UID (0020,0052) of the object."""

    kind: str
    """Type of the matrix (0070,030C), or `DEFORMABLE`."""

    means: str
    """Registration Type Code Sequence (0070,030D): what the registration rests on; empty for none."""

    shift_mm: tuple[float, float, float]
    """Shift along the axes of the patient."""

    turn_degrees: float
    """Angle of the turn about its axis."""

    grid: tuple[int, ...] = ()
    """Columns, rows and planes of a deformation grid; empty for none."""


def describe_registration(instances: Instances) -> Card:
    """Describe registrations: each that moves something in a row."""
    motions = [motion for header in instances.values() for motion in list_motions(header)]
    moving = [motion for motion in motions if _moves(motion)] or motions
    first = next(iter(instances.values()))
    headline = count_noun(len(moving), "registration")
    if len(moving) == 1:
        headline = f"shift {_write_shift(moving[0])} mm, turn {format_number(round(moving[0].turn_degrees, 2))}°"
    return Card(
        kind="REG",
        headline=headline,
        title=first.text("ContentDescription") or first.text("ContentLabel") or "Registration",
        columns=("from", "to", "type", "shift, mm", "turn, °") if moving else (),
        rows=tuple(
            (_cut(m.source), _cut(m.target), m.kind.lower(), _write_shift(m), format_number(round(m.turn_degrees, 2)))
            for m in moving
        ),
        lines=tuple(dict.fromkeys(line for motion in moving for line in _list_lines(motion))),
        n_items=len(moving),
    )


def state_registrations(instances: Instances) -> tuple[Statement, ...]:
    """List the shift and the turn of each registration as data."""
    found: list[Statement] = []
    motions = [motion for header in instances.values() for motion in list_motions(header)]
    for number, motion in enumerate(motions, 1):
        values = dict(zip(("shift x", "shift y", "shift z"), motion.shift_mm, strict=True))
        name = motion.kind
        found += [Statement(group=number, group_name=name, concept=k, value=v, unit="mm") for k, v in values.items()]
        found.append(Statement(group=number, group_name=name, concept="turn", value=motion.turn_degrees, unit="deg"))
    return tuple(found)


def list_motions(header: Attributes) -> Iterator[Motion]:
    """List the registrations of an object in its order, those that move nothing too."""
    target = header.text("FrameOfReferenceUID") or ""
    for item in header.items("RegistrationSequence"):
        for registration in item.items("MatrixRegistrationSequence"):
            matrices = registration.items("MatrixSequence")
            product = _multiply([each.numbers("FrameOfReferenceTransformationMatrix") for each in matrices])
            kinds = [text for each in matrices if (text := each.text("FrameOfReferenceTransformationMatrixType"))]
            yield Motion(
                source=item.text("FrameOfReferenceUID") or "",
                target=target,
                kind=next(iter(kinds), ""),
                means=str(read_code(registration, "RegistrationTypeCodeSequence")),
                shift_mm=(product[3], product[7], product[11]),
                turn_degrees=measure_turn(product),
            )
    for item in header.items("DeformableRegistrationSequence"):
        grid = item.item("DeformableRegistrationGridSequence")
        matrix = item.item("PreDeformationMatrixRegistrationSequence").numbers("FrameOfReferenceTransformationMatrix")
        before = _multiply([matrix])
        yield Motion(
            source=item.text("SourceFrameOfReferenceUID") or "",
            target=target,
            kind="DEFORMABLE",
            means=str(read_code(item, "RegistrationTypeCodeSequence")),
            shift_mm=(before[3], before[7], before[11]),
            turn_degrees=measure_turn(before),
            grid=tuple(int(number) for number in grid.numbers("GridDimensions") if math.isfinite(number)),
        )


def measure_turn(matrix: Matrix) -> float:
    """Measure the angle by which a matrix turns, in degrees, apart from its scale.

    Example:
        >>> measure_turn((0, -1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1))
        90.0
    """
    lengths = [math.hypot(*(matrix[row * 4 + column] for row in range(3))) for column in range(3)]
    trace = sum(matrix[axis * 5] / length for axis, length in enumerate(lengths) if length)
    return math.degrees(math.acos(min(max((trace - 1) / 2, -1.0), 1.0)))


def _multiply(matrices: list[tuple[float, ...]]) -> Matrix:
    """Multiply matrices so that the first of them is applied first. Those that are damaged count for nothing."""
    product = _IDENTITY
    for matrix in matrices:
        if len(matrix) == _NUMBERS and all(map(math.isfinite, matrix)):
            product = tuple(
                sum(matrix[row * 4 + k] * product[k * 4 + column] for k in range(4))
                for row in range(4)
                for column in range(4)
            )
    return product if all(map(math.isfinite, product)) else _IDENTITY


def _moves(motion: Motion) -> bool:
    return any(motion.shift_mm) or motion.turn_degrees != 0 or bool(motion.grid) or motion.source != motion.target


def _list_lines(motion: Motion) -> Iterator[str]:
    if motion.means:
        yield f"by {motion.means}"
    if motion.grid:
        yield f"deformation grid of {' × '.join(map(str, motion.grid))}"


def _write_shift(motion: Motion) -> str:
    return ", ".join(format_number(round(number, 2)) for number in motion.shift_mm)


def _cut(uid: str) -> str:
    return uid if len(uid) <= _TAIL else f"…{uid[-_TAIL:]}"
