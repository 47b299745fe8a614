"""A quality report as JUnit XML, which every CI system shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

from airflow_dataml.core.quality import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_dataml.core.quality import CheckResult, QualityReport

# XML has no way to write these.
_UNWRITABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: QualityReport, *, contract: str, skipped: Collection[str] = ()) -> str:
    """Write a report as a test suite with one test per check.

    :param contract: what to call the suite.
    :param skipped: ids of checks that were not judged.
    """
    cases = [_case(check, contract, check.id in skipped) for check in report.checks]
    count = {
        name: sum(case.find(name) is not None for case in cases) for name in ("failure", "error", "skipped")
    }
    suite = Xml.Element(
        "testsuite",
        name=_clean(contract),
        tests=str(len(cases)),
        failures=str(count["failure"]),
        errors=str(count["error"] + len(report.errors)),
        skipped=str(count["skipped"]),
        timestamp=report.started.isoformat(timespec="seconds"),
        time=f"{(report.finished - report.started).total_seconds():.3f}",
    )
    suite.extend(cases)
    if report.errors:
        Xml.SubElement(suite, "system-err").text = _clean("\n".join(report.errors))
    Xml.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(suite, encoding="unicode") + "\n"


def _case(check: CheckResult, contract: str, skipped: bool) -> Xml.Element:
    case = Xml.Element("testcase", classname=_clean(contract), name=_clean(check.id), time="0")
    if skipped:
        Xml.SubElement(case, "skipped", message="says nothing on a sample")
    elif check.verdict is Verdict.FAIL:
        Xml.SubElement(case, "failure", message=_clean(check.sentence), type="fail")
    elif check.verdict.blocks:
        Xml.SubElement(case, "error", message=_clean(check.sentence), type=check.verdict.value)
    elif check.verdict is Verdict.WARN:
        Xml.SubElement(case, "system-out").text = _clean(f"warning: {check.sentence}")
    return case


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("?", text)
