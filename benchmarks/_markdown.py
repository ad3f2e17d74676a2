"""Tables in Markdown, for the pages of the benchmarks."""


def markdown_row(cells):
    """One row of cells."""
    return "| " + " | ".join(map(str, cells)) + " |"


def markdown(table, digits=3):
    """Markdown of a data frame, its index left out; `digits` of floats."""
    lines = [markdown_row(table.columns), "|" + "---|" * len(table.columns)]
    for row in table.itertuples(index=False):
        cells = [f"{v:.{digits}f}" if isinstance(v, float) else v for v in row]
        lines.append(markdown_row(cells))
    return "\n".join(lines)


def listed(values, separator=", "):
    """The different values in a line, in order."""
    return separator.join(map(str, sorted(set(values))))
