"""Parquet files whose columns hold other values, other types, or have other names."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from chance import Chance

_TYPES = (
    pa.string(), pa.large_string(), pa.int8(), pa.int32(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(),
    pa.bool_(), pa.binary(), pa.list_(pa.int64()), pa.list_(pa.string()), pa.list_(pa.list_(pa.float64())),
    pa.timestamp("us"), pa.struct([("a", pa.int32())]), pa.dictionary(pa.int32(), pa.string()), pa.null(),
    pa.decimal128(10, 2),
)  # fmt: skip


def change_table(table: pa.Table, chance: Chance, most: int = 3) -> pa.Table:
    """Change a few things of a table; its metadata stay."""
    metadata = table.schema.metadata
    for _ in range(chance.randint(1, most)):
        if table.num_columns:
            table = _change(table, chance.randrange(table.num_columns), chance)
    return table.replace_schema_metadata(metadata)


def _change(table: pa.Table, at: int, chance: Chance) -> pa.Table:
    return chance.choice(_CHANGES)(table, at, chance)


def _rename(table: pa.Table, at: int, chance: Chance) -> pa.Table:
    names = [*table.column_names[:at], chance.text().encode(errors="replace").decode(), *table.column_names[at + 1 :]]
    return table.rename_columns(names)


def _take_rows(table: pa.Table, _: int, chance: Chance) -> pa.Table:
    rows = [chance.randrange(len(table)) for _ in range(chance.choice((0, 1, 3)))] if len(table) else []
    return table.take(pa.array(rows, pa.int64()))


def _change_type(table: pa.Table, at: int, chance: Chance) -> pa.Table:
    kind = chance.choice(_TYPES)
    return table.set_column(at, table.schema.field(at).with_type(kind), make_array(kind, len(table), chance))


def _change_metadata(table: pa.Table, at: int, chance: Chance) -> pa.Table:
    field = table.schema.field(at)
    key = chance.choice(sorted(field.metadata or {b"vr": b""}))
    changed = {**(field.metadata or {}), key: chance.text().encode(errors="replace")}
    return table.set_column(at, field.with_metadata(changed), table.column(at))


def _change_values(table: pa.Table, at: int, chance: Chance) -> pa.Table:
    field, values = table.schema.field(at), table.column(at).to_pylist()
    fresh = make_array(field.type, len(values), chance).to_pylist()
    mixed = [new if chance.one_in(2) else old for old, new in zip(values, fresh, strict=True)]
    return table.set_column(at, field.with_nullable(nullable=True), pa.array(mixed, field.type))


_CHANGES: tuple[Callable[[pa.Table, int, Chance], pa.Table], ...] = (
    lambda table, at, _: table.remove_column(at),
    lambda table, at, _: table.append_column(table.schema.field(at), table.column(at)),
    _rename,
    _take_rows,
    _change_type,
    _change_type,
    _change_metadata,
    _change_values,
    _change_values,
    _change_values,
)


def make_array(kind: pa.DataType, length: int, chance: Chance) -> pa.Array:
    """Make odd values of a type."""
    return pa.array([_make_value(kind, chance) if not chance.one_in(5) else None for _ in range(length)], kind)


def _make_value(kind: pa.DataType, chance: Chance) -> Any:  # noqa: PLR0911  # one for each type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_make_value(kind.value_type, chance) for _ in range(chance.choice((0, 1, 3, 4)))]
    if pa.types.is_boolean(kind):
        return chance.one_in(2)
    if pa.types.is_integer(kind):
        low = 0 if pa.types.is_unsigned_integer(kind) else -(1 << kind.bit_width - 1)
        return (chance.number() - low) % (1 << kind.bit_width) + low
    if pa.types.is_floating(kind):
        return chance.real()
    if pa.types.is_struct(kind):
        return {"a": 1}
    if pa.types.is_binary(kind):
        return chance.bytes(8)
    if pa.types.is_timestamp(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return None if pa.types.is_null(kind) else chance.randrange(10**6)
    return chance.text().encode(errors="replace").decode()


def write_table(table: pa.Table) -> bytes:
    """Write a table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression=None)
    return sink.getvalue()


def change_json(value: Any, chance: Chance) -> Any:
    """Change one thing somewhere in a value of JSON."""
    if isinstance(value, dict) and value and not chance.one_in(6):
        key = chance.choice(sorted(value))
        if chance.one_in(8):
            return {name: each for name, each in value.items() if name != key}
        return {**value, key: change_json(value[key], chance)}
    if isinstance(value, list) and value and not chance.one_in(4):
        at = chance.randrange(len(value))
        return [*value[:at], change_json(value[at], chance), *value[at + 1 :]]
    odd: tuple[Any, ...] = (None, True, [], {}, [[]], {"a": 1}, "", chance.number(), chance.real(), -1, [chance.text()])
    return chance.choice((*odd, chance.text().encode(errors="replace").decode()))
