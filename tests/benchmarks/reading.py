"""Reading what the benchmarks print."""


def cells(table: str) -> list[list[str]]:
    """Return a Markdown table's rows, without its head."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
