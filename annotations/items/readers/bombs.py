"""Small files that unpack to large ones: how much is unpacked, and the looks at Parquet and Arrow before they are read.

Texts and judgments pack to a twentieth; a bomb packs to a thousandth and less. What is over the limit is refused in
words, before memory is asked for it; the same data unpacked are read as any other file.
"""

import gzip
import os
import struct

from .records import UnknownFormat

FREE = 64 << 20
"""Bytes that any file may unpack to."""
RATIO = 100
SHARED = 1 << 62
MOST_AT_ONCE = 1 << 30
"""Bytes of a batch of Parquet at worst."""
MOST_VALUES = 10_000
"""Values of one column in one row, on average over a row group."""


def allowed(packed: int) -> int:
    """Bytes that so many packed bytes may unpack to."""
    return FREE + RATIO * packed


def too_much(packed: int) -> str:
    return f"it unpacks to more than {RATIO} times its {packed:,} bytes, as no data of people do; unpack it to import it"


class Gunzip(gzip.GzipFile):
    """A gzip file for reading that raises OSError once it has given more than its size allows."""

    def __init__(self, path):
        super().__init__(path)
        self._packed = os.path.getsize(path)
        self._left = allowed(self._packed)

    def read1(self, size: int = -1) -> bytes:
        return self._counted(super().read1(size))

    def read(self, size: int | None = -1) -> bytes:
        return self._counted(super().read(size))

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise OSError(too_much(self._packed))
        return data


def way_to_read(path, metadata, at_once: int) -> dict:
    """`batch_size` and `read_dictionary` with which a Parquet file's batches stay under MOST_AT_ONCE.

    A text that a dictionary holds once may stand in every row: few rows are read at once then, and in lists, of which
    one row may have millions, texts stay dictionaries (at three times the time). Raises UnknownFormat where the file
    says of itself that it unpacks to too much, or has rows of too many values.
    """
    shared: set[str] = set()
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        for place in range(metadata.num_columns):
            column = group.column(place)
            size, values = column.total_uncompressed_size, column.num_values
            if size > allowed(column.total_compressed_size):
                raise UnknownFormat(path, too_much(column.total_compressed_size))
            if values > MOST_VALUES * (group.num_rows + MOST_VALUES):
                raise UnknownFormat(
                    path, f"expected at most {MOST_VALUES:,} values in a row's list, found more"
                )
            if column.physical_type != "BYTE_ARRAY" or not column.has_dictionary_page:
                continue
            if metadata.schema.column(place).max_repetition_level == 0:
                at_once = max(1, min(at_once, MOST_AT_ONCE // max(1, size)))
            elif values * size > MOST_AT_ONCE:
                shared.add(column.path_in_schema)
    return {"batch_size": at_once, "read_dictionary": sorted(shared)}


def check_arrow(path, messages) -> None:
    """Raise UnknownFormat for an Arrow stream with a batch that unpacks to more than its size allows."""
    while True:
        try:
            message = messages.read_next_message()
        except StopIteration:
            return
        if message.type == "schema":
            continue
        if unpacked_size(message.metadata.to_pybytes(), message.body) > allowed(message.body.size):
            raise UnknownFormat(path, too_much(message.body.size))


def unpacked_size(metadata: bytes, body) -> int:
    """Bytes that an Arrow message's buffers say they unpack to (format/Message.fbs); 0 where they are not packed.

    A packed buffer begins with its length as int64, -1 where it was left as it is.
    """
    header = _table(metadata, 0, 2)  # Message.header
    if header is not None and metadata[_field(metadata, struct.unpack_from("<I", metadata)[0], 1)] == 2:
        header = _table(metadata, header, 1, is_table=True)  # DictionaryBatch.data
    if header is None or not _field(metadata, header, 3):  # RecordBatch.compression
        return 0
    at = _field(metadata, header, 2)  # RecordBatch.buffers, structs of offset and length
    at += struct.unpack_from("<I", metadata, at)[0]
    total = 0
    for number in range(struct.unpack_from("<I", metadata, at)[0]):
        offset, length = struct.unpack_from("<qq", metadata, at + 4 + 16 * number)
        if length >= 8:
            total += max(0, struct.unpack_from("<q", body, offset)[0])
    return total


def _field(data: bytes, table: int, number: int) -> int:
    """Where a flatbuffer table's field stands; 0 where the table has none."""
    names = table - struct.unpack_from("<i", data, table)[0]
    place = 4 + 2 * number
    if place >= struct.unpack_from("<H", data, names)[0]:
        return 0
    offset = struct.unpack_from("<H", data, names + place)[0]
    return table + offset if offset else 0


def _table(data: bytes, table: int, number: int, *, is_table: bool = False) -> int | None:
    """Where the table stands that a field points to; of the root table unless `is_table`."""
    at = _field(data, table if is_table else struct.unpack_from("<I", data)[0], number)
    return at + struct.unpack_from("<I", data, at)[0] if at else None


def size_as_text(array) -> int:
    """About the bytes of an Arrow array's values when each stands for itself, however often it shares one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, is_ = array.type, pa.types
    if is_.is_dictionary(kind):
        words = array.dictionary
        if is_.is_binary(words.type) or is_.is_string(words.type) or is_.is_large_string(words.type):
            return 8 * len(array) + (pc.sum(pc.take(pc.binary_length(words), array.indices)).as_py() or 0)
        return len(array) * (8 + size_as_text(words))
    if is_.is_struct(kind):
        return 8 * len(array) + sum(size_as_text(array.field(n)) for n in range(kind.num_fields))
    if is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind) or is_.is_map(kind):
        return 8 * len(array) + size_as_text(array.flatten())
    if is_.is_nested(kind) or is_.is_run_end_encoded(
        kind
    ):  # views and runs, in which one value may stand for millions
        return SHARED
    return 8 * len(array) + array.nbytes
