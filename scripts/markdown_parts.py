"""Tables and headings of Markdown, for the pages that are written from the code."""


def cell(text: object) -> str:
    """Return text as it stands in a cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """Return a table; nothing where it has no rows."""
    lines = [head, ("---",) * len(head), *rows] if rows else []
    return "".join(f"| {' | '.join(cell(one) for one in line)} |\n" for line in lines)


def heading(level: int, name: str, anchor: str, text: str) -> str:
    """Return a heading of code with an address of its own, and what stands below it."""
    return f"{'#' * level} `{name}` {{ #{anchor} }}\n\n{text}"
