"""Text of an export: files, names of files, and addresses without what nobody else may know."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

# In these what stands before the @ is part of the address, not a login.
_CONTAINERS = ("abfs", "abfss", "wasb", "wasbs")
_ODD = re.compile(r"[^a-z0-9._-]+")
_LONGEST = 80


def json_text(value: Any) -> str:
    """Return JSON as people read it, with a line's end."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def slug(name: str, *, longest: int = _LONGEST) -> str:
    """Return a name as one word of a path or a url; different names have different ones.

    >>> slug("rides"), slug("Two Words")
    ('rides', 'two_words-8e086add')
    """
    plain = _ODD.sub("_", name.lower()).strip("._-")
    if plain == name and len(plain) <= longest:
        return plain
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{plain[: longest - 9].strip('._-')}-{digest}".lstrip("-")


def plain_uri(uri: str) -> str:
    """Return a uri without login, query and fragment, where some keep a secret.

    >>> plain_uri("s3://key:secret@lake/a?token=x"), plain_uri("abfss://lake@acme.dfs.core.windows.net/a")
    ('s3://lake/a', 'abfss://lake@acme.dfs.core.windows.net/a')
    >>> plain_uri("dataml://dataset/rides"), plain_uri("file:/data/a b")
    ('dataml://dataset/rides', 'file:/data/a b')
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ""
    if not parts.scheme:
        return uri
    login, at, host = parts.netloc.rpartition("@")
    if at and parts.scheme in _CONTAINERS:
        host = f"{login.partition(':')[0]}@{host}"
    if "@" not in parts.netloc and not parts.query and not parts.fragment:
        return uri
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
