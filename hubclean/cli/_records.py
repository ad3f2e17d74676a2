"""Records of a CSV or TSV file, each as it is written.

Quotes, ends of lines and spaces stay what they are, which no parser keeps. Fields are
told apart as pandas does: a quote counts where it begins a field.
"""

import re

BOM = b"\xef\xbb\xbf"


def split_records(data, separator):
    r"""Records with the end of their line, header included; blank lines left out.

    Parameters
    ----------
    data : bytes
        Content of the file, without a byte order mark.
    separator : bytes
        One byte.

    Returns
    -------
    records : list of bytes

    Examples
    --------
    >>> split_records(b'x,kind\r\n\r\n"1\n2",a\r\n', b",")
    [b'x,kind\r\n', b'"1\n2",a\r\n']
    """
    field = _field(separator)
    record = re.compile(rb"%b(?:%b%b)*(?:\r\n|\n|\r|\Z)" % (field, separator, field))
    blank = b" \t\r\n".replace(separator, b"")
    found = (match[0] for match in record.finditer(data))
    return [record for record in found if record.strip(blank)]


def spans_of_fields(record, separator):
    r"""Where each field of a record begins and ends.

    Parameters
    ----------
    record : bytes
        One of `split_records`.
    separator : bytes
        One byte.

    Returns
    -------
    spans : list of (int, int)

    Examples
    --------
    >>> spans_of_fields(b'"a, b",dog\n', b",")
    [(0, 6), (7, 10)]
    """
    field = re.compile(_field(separator))
    spans = [field.match(record).span()]
    while record[(end := spans[-1][1]) : end + 1] == separator:
        spans.append(field.match(record, end + 1).span())
    return spans


def field_of(record, column, separator):
    """Text of one field, with its quotes."""
    start, stop = spans_of_fields(record, separator)[column]
    return record[start:stop]


def with_field(record, column, separator, text):
    r"""Record with another text in one field; fields that it lacks are made.

    Examples
    --------
    >>> with_field(b"1,dog,x\n", 1, b",", b'"cat"')
    b'1,"cat",x\n'
    >>> with_field(b"1\n", 2, b",", b"cat")
    b'1,,cat\n'
    """
    spans = spans_of_fields(record, separator)
    lacking = column + 1 - len(spans)
    start, stop = spans[column] if lacking <= 0 else 2 * spans[-1][1:]
    return record[:start] + lacking * separator + text + record[stop:]


def _field(separator):
    """Pattern of a field: in quotes, with what may follow them, or without."""
    rest = rb"[^%b\r\n]*" % separator
    quoted = rb'"[^"]*(?:""[^"]*)*"?' + rest
    return rb"(?:%b|[^%b\"\r\n]%b|)" % (quoted, separator, rest)
