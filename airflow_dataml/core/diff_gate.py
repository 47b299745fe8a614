"""What may differ between two versions, and the verdict on a diff that follows from it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.quality import Verdict

if TYPE_CHECKING:
    from airflow_dataml.core.diffs import VersionDiff


class DiffGate(BaseModel):
    """What a diff may show without being refused; without any rule everything passes.

    What could not be compared is not known to be allowed: it is refused too.

    :param max_changed_fraction: inserted, updated and deleted rows in parts of the old version's rows. Without
        keys a changed row counts twice: as one deleted and one inserted.
    :param forbid_deletes: refuse a deleted row; without keys also a changed one.
    :param forbid_breaking: refuse a schema that breaks readers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_changed_fraction: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    forbid_deletes: bool = False
    forbid_breaking: bool = False

    @property
    def about_rows(self) -> bool:
        """Whether a rule needs the rows compared."""
        return self.max_changed_fraction is not None or self.forbid_deletes

    def judge(self, diff: VersionDiff) -> tuple[Verdict, tuple[str, ...]]:
        """Return the verdict on a diff, and every reason against it."""
        failed = []
        if self.forbid_breaking and diff.schema.breaking:
            failed.append("; ".join(change.sentence for change in diff.schema.breaking))
        if diff.rows is None:
            unread = (f"rows were not compared: {diff.unread}",) if self.about_rows else ()
            verdict = Verdict.FAIL if failed else Verdict.ERROR if unread else Verdict.PASS
            return verdict, (*failed, *unread)
        if self.forbid_deletes and diff.rows.deleted:
            failed.append(f"{diff.rows.deleted:,} rows are deleted")
        if self.max_changed_fraction is not None:
            changed = diff.rows.inserted + diff.rows.updated + diff.rows.deleted
            if diff.old.rows is None and changed:
                unknown = f"{changed:,} rows changed, of nobody knows how many"
                return (Verdict.FAIL if failed else Verdict.ERROR), (*failed, unknown)
            if changed > self.max_changed_fraction * (diff.old.rows or 0):
                failed.append(
                    f"{changed:,} rows changed of {diff.old.rows or 0:,}, which is more than {self.max_changed_fraction:.4g} of them"
                )
        return (Verdict.FAIL if failed else Verdict.PASS), tuple(failed)
