"""Every row of the table; importing this enters them all, in the table's order."""

from tests.bench.rows import (  # noqa: F401, I001 - the order is the table's
    cold,
    raw,
    many,
    slow,
    warm,
    first,
    scattered,
    snappy,
    small,
    archive,
    memory,
    start,
    find,
    spec,
    saving,
    uploading,
    beside,
)
