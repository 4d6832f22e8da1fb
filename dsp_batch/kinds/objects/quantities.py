"""Write numbers and their units as people read them."""

from __future__ import annotations

_SYMBOLS = {
    "1": "",
    "mm2": "mm²",
    "mm3": "mm³",
    "cm2": "cm²",
    "cm3": "cm³",
    "um": "µm",
    "um2": "µm²",
    "uAs": "µAs",
    "uA": "µA",
    "us": "µs",
    "deg": "°",
    "[hnsf'U]": "HU",
    "[hnsf'U]2": "HU²",
    "Cel": "°C",
    "uV": "µV",
    "mm[Hg]": "mmHg",
    "cm[H2O]": "cmH₂O",
    "/mm": "1/mm",
    "Gym2": "Gy·m²",
    "Gy.m2": "Gy·m²",
    "dGy.cm2": "dGy·cm²",
    "mGy.cm2": "mGy·cm²",
    "mGycm": "mGy·cm",
    "mGy.cm": "mGy·cm",
    "{no units}": "",
    "{ratio}": "",
}
"""Code of UCUM → symbol."""

_LITER_MM3 = 1e6


def format_unit(unit: str) -> str:
    """Write a unit of UCUM as a symbol.

    Example:
        >>> format_unit("mm3"), format_unit("1"), format_unit("{events}")
        ('mm³', '', 'events')
    """
    return _SYMBOLS[unit] if unit in _SYMBOLS else unit.replace("{", "").replace("}", " ").strip()


def format_number(number: float | None) -> str:
    """Write a number with four digits, and all digits before the point.

    Example:
        >>> format_number(0.123456), format_number(12345.6), format_number(120.0), format_number(None)
        ('0.1235', '12,346', '120', '—')
    """
    if number is None:
        return "—"
    return f"{number:,.0f}" if 1000 <= abs(number) < 1e12 else f"{number:.4g}"


def format_quantity(number: float | None, unit: str) -> str:
    """Write a number with its unit.

    Example:
        >>> format_quantity(12.4, "mm"), format_quantity(None, "mm"), format_quantity(2500, "mm3")
        ('12.4 mm', '—', '2,500 mm³ (2.5 mL)')
    """
    if number is None:
        return "—"
    symbol = format_unit(unit)
    text = f"{format_number(number)}{'' if symbol == '°' else ' '}{symbol}".strip()
    if unit == "mm3" and abs(number) >= 1000:
        return f"{text} ({format_number(number * 1000 / _LITER_MM3)} mL)"
    return text


def count_noun(number: int, one: str, several: str = "") -> str:
    """Write a count with its noun.

    Example:
        >>> count_noun(1, "beam"), count_noun(1200, "series", "series")
        ('1 beam', '1,200 series')
    """
    return f"1 {one}" if number == 1 else f"{number:,} {several or one + 's'}"
