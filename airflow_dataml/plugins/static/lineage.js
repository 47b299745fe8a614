// Lineage: from a version to everything it came from and everything it went into.

import { C, h, useMemo, useNavigate } from "./host.js";
import { Go, Note, State, Top } from "./pieces.js";
import { useAnswer } from "./reading.js";
import { assetPath, cut, labelPath, number } from "./words.js";

function nodePath(node) {
  if (node.kind === "report") {
    const asset = node.label.slice(node.label.lastIndexOf(" of ") + 4);
    return assetPath(asset, { report: node.node.split(":")[1] });
  }
  return labelPath(node.label);
}

// Both walks as one graph: columns to the left are causes, to the right effects. A node stands as far
// out as its longest way to the middle, so that every edge runs from left to right.
function merged(up, down) {
  const column = new Map([[up.start, 0]]);
  const settle = (edges, near, far, step) => {
    for (let round = 0, moved = true; moved && round < up.nodes.length + down.nodes.length; round += 1) {
      moved = false;
      for (const edge of edges) {
        const next = column.has(edge[near]) ? column.get(edge[near]) + step : undefined;
        const now = column.get(edge[far]);
        if (next !== undefined && (now === undefined || next * step > now * step)) {
          column.set(edge[far], next);
          moved = true;
        }
      }
    }
  };
  settle(up.edges, 1, 0, -1);
  settle(down.edges, 0, 1, 1);
  const found = new Map([...down.nodes, ...up.nodes].filter((node) => column.has(node.node))
    .map((node) => [node.node, { ...node, column: column.get(node.node) }]));
  const edges = [...new Map([...up.edges, ...down.edges].map((edge) => [edge.join(" "), edge])).values()];
  return { nodes: [...found.values()], edges: edges.filter(([from, to]) => found.has(from) && found.has(to)) };
}

const BOX = { width: 220, height: 40, gapX: 60, gapY: 16, most: 150 };

function placed(graph) {
  const columns = [...new Set(graph.nodes.map((node) => node.column))].sort((a, b) => a - b);
  const at = new Map();
  columns.forEach((column, x) => graph.nodes.filter((node) => node.column === column).forEach((node, y) =>
    at.set(node.node, { node, x: x * (BOX.width + BOX.gapX) + 4, y: y * (BOX.height + BOX.gapY) + 4 })));
  return at;
}

function Drawing({ graph }) {
  const navigate = useNavigate();
  const at = useMemo(() => placed(graph), [graph]);
  const spots = [...at.values()];
  const width = Math.max(...spots.map((spot) => spot.x)) + BOX.width + 4;
  const height = Math.max(...spots.map((spot) => spot.y)) + BOX.height + 4;
  const line = "var(--chakra-colors-border-emphasized)";
  const curve = ([from, to]) => {
    const a = at.get(from), b = at.get(to);
    const x1 = a.x + BOX.width, y1 = a.y + BOX.height / 2, x2 = b.x, y2 = b.y + BOX.height / 2;
    const bend = Math.max(30, Math.abs(x2 - x1) / 2);
    return `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`;
  };
  const middle = spots.find((spot) => spot.node.column === 0);
  // A wide graph opens where its question was asked.
  const show = (box) => {
    if (box && middle) box.scrollLeft = middle.x + BOX.width + 24 - box.clientWidth;
  };
  return h(C.Box, { ref: show, overflow: "auto", maxH: "36rem", borderWidth: "1px", borderColor: "border", borderRadius: "md", p: 2 },
    h("svg", { width, height, role: "img", "aria-label": "Lineage graph" },
      graph.edges.map((edge) => h("path", { key: edge.join(" "), d: curve(edge), fill: "none", stroke: line, strokeWidth: 1.5 },
        h("title", null, edge[2]))),
      spots.map(({ node, x, y }) => h("g", {
        key: node.node, transform: `translate(${x},${y})`, role: "link", tabIndex: 0, style: { cursor: "pointer" },
        onClick: () => navigate(nodePath(node)),
        onKeyDown: (event) => event.key === "Enter" && navigate(nodePath(node)),
      },
        h("title", null, `${node.label} (${node.kind})`),
        h("rect", {
          width: BOX.width, height: BOX.height, rx: 6, strokeWidth: node.column === 0 ? 2.5 : 1.2,
          fill: node.column === 0 ? "var(--chakra-colors-bg-emphasized)" : "var(--chakra-colors-bg-subtle)", stroke: line,
        }),
        h("text", { x: 10, y: 17, style: { fontSize: "13px" }, fill: "currentColor" }, cut(node.label, 28)),
        h("text", { x: 10, y: 32, style: { fontSize: "11px" }, fill: "var(--chakra-colors-fg-muted)" }, cut(small(node), 34))))));
}

function small(node) {
  const detail = node.detail || {};
  const told = [node.kind, detail.verdict, detail.partition_key, detail.rows && `${number(detail.rows)} rows`];
  return told.filter(Boolean).join(", ");
}

function Steps({ title, graph }) {
  const depths = [...new Set(graph.nodes.map((node) => node.depth))].filter((depth) => depth > 0).sort((a, b) => a - b);
  return h(C.Box, { flex: 1, minW: "20rem" },
    h(C.Text, { fontWeight: "bold", mb: 1 }, title),
    !depths.length && h(Note, null, "Nothing."),
    depths.map((depth) => h(C.Box, { key: depth, mb: 2 },
      h(C.Text, { color: "fg.muted", fontSize: "sm" }, depth === 1 ? "1 step" : `${depth} steps`),
      graph.nodes.filter((node) => node.depth === depth).map((node) =>
        h(C.HStack, { key: node.node, gap: 2 },
          h(Go, { to: nodePath(node) }, node.label),
          h(C.Text, { color: "fg.muted", fontSize: "sm" }, small(node)),
          (node.detail || {}).incident_title && h(C.Badge, { colorPalette: "red" }, node.detail.incident_title))))),
    graph.truncated && h(Note, null, "The graph goes on beyond what is shown."));
}

export function Lineage({ name, version }) {
  const path = `lineage/${encodeURIComponent(name)}?${version ? `version=${encodeURIComponent(version)}&` : ""}direction=`;
  const up = useAnswer(`${path}upstream`);
  const down = useAnswer(`${path}downstream`);
  const graph = useMemo(() => (up.data && down.data ? merged(up.data, down.data) : null), [up.data, down.data]);
  if (!graph) return h(State, { answer: up.error ? up : down.error ? down : { loading: true } });
  return h(C.Box, null,
    graph.nodes.length > 1 && graph.nodes.length <= BOX.most && h(Drawing, { graph }),
    h(C.Flex, { gap: 8, wrap: "wrap", mt: 3 },
      h(Steps, { title: "Made from", graph: up.data }),
      h(Steps, { title: "Went into", graph: down.data })));
}

export function LineagePage({ name, query }) {
  return h(C.Box, null, h(Top, {}),
    h(C.Heading, { size: "lg", mb: 3 }, `Lineage of ${name}`),
    h(Lineage, { name, version: query.get("version") }));
}
