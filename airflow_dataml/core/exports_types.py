"""Postgres types in the words of other catalogs."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_dataml.core.schemas import normal_type


@dataclass(frozen=True, slots=True)
class TypeWords:
    """One type as each vocabulary calls it.

    :param sizes: length, or precision and scale, where the type says so.
    :param element: of an array, the words of what is in it.
    """

    croissant: str
    frictionless: str
    datahub: str
    openmetadata: str
    unity: str
    spark: str
    odcs: str = "string"
    sizes: tuple[int, ...] = ()
    element: TypeWords | None = None


_TEXT = TypeWords("sc:Text", "string", "StringType", "STRING", "STRING", "string")
_WORDS = {
    "smallint": TypeWords("sc:Integer", "integer", "NumberType", "SMALLINT", "SHORT", "short", "integer"),
    "integer": TypeWords("sc:Integer", "integer", "NumberType", "INT", "INT", "integer", "integer"),
    "bigint": TypeWords("sc:Integer", "integer", "NumberType", "BIGINT", "LONG", "long", "integer"),
    "real": TypeWords("sc:Float", "number", "NumberType", "FLOAT", "FLOAT", "float", "number"),
    "double precision": TypeWords(
        "sc:Float", "number", "NumberType", "DOUBLE", "DOUBLE", "double", "number"
    ),
    "numeric": TypeWords("sc:Float", "number", "NumberType", "NUMERIC", "DECIMAL", "decimal", "number"),
    "boolean": TypeWords(
        "sc:Boolean", "boolean", "BooleanType", "BOOLEAN", "BOOLEAN", "boolean", "boolean"
    ),
    "date": TypeWords("sc:Date", "date", "DateType", "DATE", "DATE", "date", "date"),
    # Frictionless reads no time zone in the default format.
    "timestamp without time zone": TypeWords(
        "sc:DateTime", "datetime", "TimeType", "TIMESTAMP", "TIMESTAMP_NTZ", "timestamp_ntz", "date"
    ),
    "timestamp with time zone": TypeWords(
        "sc:DateTime", "datetime", "TimeType", "TIMESTAMPZ", "TIMESTAMP", "timestamp", "date"
    ),
    # Readers of Croissant take a time to have no fractions.
    "time without time zone": TypeWords("sc:Text", "string", "TimeType", "TIME", "STRING", "string"),
    "time with time zone": TypeWords("sc:Text", "string", "TimeType", "TIME", "STRING", "string"),
    "interval": TypeWords("sc:Text", "string", "StringType", "INTERVAL", "STRING", "string"),
    "bytea": TypeWords("sc:Text", "string", "BytesType", "BYTEA", "BINARY", "binary"),
    "uuid": TypeWords("sc:Text", "string", "StringType", "UUID", "STRING", "string"),
    # A document may be any JSON value; the word "object" of Frictionless is a mapping alone.
    "json": TypeWords("sc:Text", "any", "RecordType", "JSON", "STRING", "string", "object"),
    "jsonb": TypeWords("sc:Text", "any", "RecordType", "JSON", "STRING", "string", "object"),
    "text": _TEXT,
    "character varying": TypeWords("sc:Text", "string", "StringType", "VARCHAR", "STRING", "string"),
    "character": TypeWords("sc:Text", "string", "StringType", "CHAR", "STRING", "string"),
    "inet": TypeWords("sc:Text", "string", "StringType", "INET", "STRING", "string"),
    "cidr": TypeWords("sc:Text", "string", "StringType", "CIDR", "STRING", "string"),
    "xml": TypeWords("sc:Text", "string", "StringType", "XML", "STRING", "string"),
    "money": TypeWords("sc:Text", "string", "NumberType", "MONEY", "STRING", "string"),
}  # fmt: skip
_UNKNOWN = TypeWords("sc:Text", "string", "NullType", "UNKNOWN", "STRING", "string")


def words_of(data_type: str) -> TypeWords:
    """Return a Postgres type in the words of the others; what they have no word for is text.

    >>> words_of("numeric(10,2)").sizes, words_of("int[]").element.unity, words_of("tsrange").openmetadata
    ((10, 2), 'INT', 'UNKNOWN')
    """
    base, sizes, array = normal_type(data_type)
    found = _WORDS.get(base, _UNKNOWN)
    if not array:
        return TypeWords(
            found.croissant, found.frictionless, found.datahub, found.openmetadata, found.unity, found.spark,
            found.odcs, sizes,
        )  # fmt: skip
    return TypeWords("sc:Text", "any", "ArrayType", "ARRAY", "ARRAY", "array", "array", (), found)
