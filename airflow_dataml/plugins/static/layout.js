// How a dataset is kept: where readers find it, its keys, and what every part of it gets before it is published.

import { C, h } from "./host.js";
import { Facts, Note, Rows, Section } from "./pieces.js";
import { size, words } from "./words.js";

function indexesOf(layout) {
  const own = layout.indexes || [];
  const keys = layout.keys || [];
  const covered = own.some((index) => index.unique && !index.where && String(index.columns) === String(keys));
  return keys.length && !covered ? [{ columns: keys, unique: true, why: "the key" }, ...own] : own;
}

export function Layout({ asset }) {
  const location = asset.location || {};
  const layout = location.layout || {};
  const places = (location.published || []).filter((place) => place !== location.table);
  const defaults = Object.entries(layout.defaults || {});
  const comments = Object.entries(layout.column_comments || {});
  return h(C.Box, null,
    h(Section, { title: "Place" }, h(Facts, {
      pairs: [
        ["Table", location.table], ["Connection", location.conn_id], ["Kept as", location.store], ["Path", location.path || location.uri],
        ["Also read at", places.join(", ")], ["Written by", location.producer], ["Partition column", layout.partition_column],
        ["Comment", layout.comment], ["Kept in all", asset.bytes ? size(asset.bytes) : null],
      ],
    })),
    h(Section, { title: "Key" }, (layout.keys || []).length
      ? h(C.Code, null, layout.keys.join(", "))
      : h(Note, null, "None declared: merges need one, and diffs match whole rows.")),
    h(Section, { title: "Indexes" }, h(Rows, {
      rows: indexesOf(layout), empty: "None declared.", columns: [
        { title: "Columns", cell: (index) => (index.columns || []).join(", ") },
        { title: "Unique", cell: (index) => (index.unique ? "within each part" : "-") },
        { title: "Method", cell: (index) => (index.definition ? "-" : index.method || "btree") },
        { title: "Rows", cell: (index) => words(index.where || index.definition || "all") },
        { title: "Why", cell: (index) => index.why || "declared" },
      ],
    })),
    defaults.length > 0 && h(Section, { title: "Defaults" }, h(Facts, { pairs: defaults })),
    comments.length > 0 && h(Section, { title: "Comments on columns" }, h(Facts, { pairs: comments })),
    (layout.grants || []).length > 0 && h(Section, { title: "Grants" }, h(Rows, {
      rows: layout.grants, columns: [
        { title: "Role", cell: (grant) => grant.role },
        { title: "May", cell: (grant) => (grant.privileges || ["SELECT"]).join(", ") },
        { title: "Pass it on", cell: (grant) => (grant.grantable ? "yes" : "no") },
      ],
    })));
}
