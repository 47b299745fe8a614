// One asset: what it is, and a place for each question about it.

import { Compare, VersionPicker } from "./compare.js";
import { C, h, useNavigate } from "./host.js";
import { IncidentRows } from "./incidents.js";
import { Layout } from "./layout.js";
import { Lineage } from "./lineage.js";
import { Facts, Go, Mark, Muted, Places, Rows, Section, State, Top } from "./pieces.js";
import { Profile } from "./profile.js";
import { Quality } from "./quality.js";
import { Quarantines } from "./quarantine.js";
import { useAnswer, usePages } from "./reading.js";
import { ChosenReport, Reports } from "./reports.js";
import { VersionTable } from "./versions.js";
import { assetPath, count, encoded, size, utc } from "./words.js";

const TABS = [["Versions", "versions"], ["Quality", "quality"], ["Profile", "profile"], ["Compare", "compare"], ["Quarantine", "quarantine"], ["Layout", "layout"], ["Lineage", "lineage"]];

function Head({ asset }) {
  return h(C.Box, null,
    h(C.Flex, { gap: 3, align: "center", wrap: "wrap", mb: 3 },
      h(C.Heading, { size: "lg" }, asset.name),
      h(C.Badge, null, asset.kind),
      asset.verdict ? h(Mark, { text: asset.verdict }) : asset.version && h(Muted, null, "not verified"),
      asset.quarantined > 0 && h(Go, { to: assetPath(asset.name, { tab: "quarantine" }) },
        h(C.Badge, { colorPalette: "orange" }, `${count(asset.quarantined, "row")} in quarantine`)),
      asset.source === "observed" && h(C.Badge, { colorPalette: "gray" }, "observed")),
    asset.description && h(C.Text, { mb: 2 }, asset.description),
    h(Facts, {
      pairs: [
        ["Uri", asset.uri], ["Owner", asset.owner], ["Importance", asset.importance],
        ["Tags", (asset.tags || []).join(", ")], ["Table", (asset.location || {}).table],
        ["Producer", (asset.location || {}).producer], ["Current", asset.version && `@${asset.version}`],
        ["Rows", asset.rows], ["Kept", asset.bytes ? `${size(asset.bytes)} in all versions` : null],
        ["Last write (UTC)", asset.written_at && utc(asset.written_at)], ["Last seen (UTC)", utc(asset.last_seen)],
      ],
    }),
    asset.open_incidents.length > 0 && h(Section, { title: "Open incidents" }, h(IncidentRows, { rows: asset.open_incidents })));
}

function Aliases({ asset }) {
  if (!asset.aliases.length) return null;
  return h(Section, { title: asset.kind === "model" ? "Aliases" : "Aliases and branches" }, h(Rows, {
    id: "name", rows: asset.aliases, columns: [
      { title: "Alias", cell: (a) => h(Mark, { text: a.name }) },
      { title: "Version", cell: (a) => h(Go, { to: assetPath(asset.name, { version: a.version }) }, `@${a.version}`) },
      { title: "Since (UTC)", cell: (a) => utc(a.moved_at) },
    ],
  }));
}

function VersionList({ asset, chosen }) {
  const pages = usePages(`assets/${encoded(asset.name)}/versions`);
  return h(C.Box, null, h(VersionTable, { asset, pages, chosen }), h(Aliases, { asset }));
}

function LineageOf({ asset, chosen }) {
  return chosen && h(Section, { title: `Lineage of @${chosen}` },
    h(Lineage, { key: `${asset.name}@${chosen}`, name: asset.name, version: chosen }));
}

function ModelPage({ asset, chosen, report }) {
  return h(C.Box, null,
    report && h(ChosenReport, { key: report, id: report }),
    h(VersionList, { asset, chosen }),
    chosen && h(Section, { title: `Reports of @${chosen}` }, h(Reports, { key: chosen, name: asset.name, version: chosen })),
    h(LineageOf, { asset, chosen }));
}

function ProfileOf({ asset, chosen }) {
  const navigate = useNavigate();
  const pages = usePages(`assets/${encoded(asset.name)}/versions?limit=200`);
  const choose = (version) => navigate(assetPath(asset.name, { tab: "profile", version }));
  const picker = h(C.Box, { mb: 3 }, h(VersionPicker, { label: "Version", versions: pages.items, value: chosen, choose }));
  return h(Profile, { asset, chosen, picker });
}

function DatasetPage({ asset, chosen, report, query }) {
  // A link to a report alone means the place where reports are.
  const tab = TABS.some(([, name]) => name === query.get("tab")) ? query.get("tab") : report ? "quality" : "versions";
  const version = Number(query.get("version")) || undefined;
  const places = TABS.map(([title, name]) => [title, assetPath(asset.name, { tab: name, version }), name]);
  const shown = { asset, chosen };
  return h(C.Box, null,
    h(Places, { places, here: tab, label: asset.name, mt: 5, borderBottomWidth: "1px", borderColor: "border", pb: 2 }),
    tab === "versions" && h(VersionList, shown),
    tab === "quality" && h(Quality, { ...shown, report }),
    tab === "profile" && h(ProfileOf, shown),
    tab === "compare" && h(Compare, { ...shown, query }),
    tab === "quarantine" && h(Quarantines, { asset: asset.name }),
    tab === "layout" && h(Layout, { asset }),
    tab === "lineage" && h(LineageOf, shown));
}

export function Asset({ name, query }) {
  const answer = useAnswer(`assets/${encoded(name)}`);
  const asset = answer.data;
  if (!asset) return h(C.Box, null, h(Top, {}), h(State, { answer }));
  const chosen = Number(query.get("version")) || asset.version;
  const report = Number(query.get("report")) || null;
  return h(C.Box, null,
    h(Top, {}),
    h(Head, { asset }),
    asset.kind === "model" ? h(ModelPage, { asset, chosen, report }) : h(DatasetPage, { asset, chosen, report, query }));
}
