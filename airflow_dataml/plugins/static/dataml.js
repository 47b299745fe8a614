// The DataML page: catalog, assets, lineage, incidents and audit, on the libraries Airflow's own page
// has loaded. No build step; Airflow takes the component from the global of the app's name.
(function () {
  "use strict";

  const React = globalThis.React;
  const C = globalThis.ChakraUI;
  const { Link: RouterLink, useLocation, useNavigate } = globalThis.ReactRouterDOM;
  const { createElement: h, useEffect, useMemo, useState } = React;

  const ROOT = "/plugin/dataml";
  const MAX_PAGES = 20;
  const PALETTE = {
    pass: "green", warn: "orange", fail: "red", error: "purple", unknown: "gray",
    champion: "green", current: "green", challenger: "blue", candidate: "gray", previous: "gray",
    critical: "red", high: "red", medium: "orange", low: "gray", new: "red", acknowledged: "orange",
    assigned: "orange", resolved: "green", promote: "green", retrain: "blue", keep: "gray", wait: "gray",
    fix_data: "orange",
  };

  // ---- reading -------------------------------------------------------------------------------------

  async function get(path, signal) {
    const response = await fetch(new URL(`dataml/${path}`, document.baseURI), {
      credentials: "same-origin",
      headers: { Accept: "application/json" },
      signal,
    });
    if (response.ok) return response.json();
    if (response.status === 401) throw new Error("Your session has ended. Reload the page to sign in again.");
    if (response.status === 403) throw new Error("You may not read assets here. Ask an administrator.");
    const body = await response.json().catch(() => ({}));
    const detail = typeof body.detail === "string" ? body.detail : `The server answered ${response.status}.`;
    throw new Error(detail);
  }

  async function getAll(path, signal) {
    const items = [];
    let after = "";
    for (let page = 0; page < MAX_PAGES && after !== null; page += 1) {
      const joint = path.includes("?") ? "&" : "?";
      const answer = await get(`${path}${joint}limit=200&after=${encodeURIComponent(after)}`, signal);
      items.push(...answer.items);
      after = answer.next;
    }
    return items;
  }

  function useAnswer(path, read = get) {
    const [state, setState] = useState({ loading: true });
    useEffect(() => {
      if (!path) return undefined;
      const controller = new AbortController();
      setState({ loading: true });
      read(path, controller.signal).then(
        (data) => setState({ data }),
        (error) => controller.signal.aborted || setState({ error }),
      );
      return () => controller.abort();
    }, [path]);
    return state;
  }

  // Pages newest first, more on demand.
  function usePages(path, first = "") {
    const [pages, setPages] = useState({ items: [], next: null, loading: true });
    const load = (before, signal) => {
      const joint = path.includes("?") ? "&" : "?";
      get(before ? `${path}${joint}before=${before}` : `${path}${first}`, signal).then(
        (page) => setPages((old) => ({ ...(before ? old : {}), ...page, items: [...(before ? old.items : []), ...page.items] })),
        (error) => signal && signal.aborted || setPages((old) => ({ ...old, loading: false, error })),
      );
    };
    useEffect(() => {
      const controller = new AbortController();
      setPages({ items: [], next: null, loading: true });
      load(null, controller.signal);
      return () => controller.abort();
    }, [path]);
    return { ...pages, more: pages.next ? () => load(pages.next) : null };
  }

  // ---- words ---------------------------------------------------------------------------------------

  function utc(text) {
    const time = text ? new Date(text) : null;
    return time && !Number.isNaN(time.getTime()) ? time.toISOString().slice(0, 19).replace("T", " ") : "-";
  }

  function number(value) {
    if (value === null || value === undefined) return "-";
    if (typeof value !== "number") return String(value);
    return Number.isInteger(value) ? value.toLocaleString("en-US") : String(Number(value.toPrecision(5)));
  }

  function words(value) {
    if (value === null || value === undefined || value === "") return "-";
    if (typeof value === "number") return number(value);
    if (typeof value === "object") return JSON.stringify(value);
    return String(value);
  }

  function assetPath(name, query) {
    const found = Object.entries(query || {}).filter(([, value]) => value !== null && value !== undefined);
    const text = new URLSearchParams(found).toString();
    return `${ROOT}/asset/${encodeURIComponent(name)}${text ? `?${text}` : ""}`;
  }

  // ---- small pieces --------------------------------------------------------------------------------

  function Go({ to, children }) {
    return h(C.Link, { asChild: true, color: "fg.info" }, h(RouterLink, { to }, children));
  }

  function Mark({ text }) {
    if (!text) return h(C.Text, { color: "fg.muted" }, "-");
    return h(C.Badge, { colorPalette: PALETTE[text] || "gray" }, String(text).replaceAll("_", " "));
  }

  function Marks({ texts }) {
    return h(C.HStack, { gap: 1, wrap: "wrap" }, (texts || []).map((text) => h(Mark, { key: text, text })));
  }

  function State({ answer }) {
    if (answer.error) {
      return h(C.Alert.Root, { status: "error" }, h(C.Alert.Indicator), h(C.Alert.Title, null, answer.error.message));
    }
    return answer.loading ? h(C.Spinner, { size: "sm", "aria-label": "Loading" }) : null;
  }

  function Note({ children }) {
    return h(C.Text, { color: "fg.muted", py: 2 }, children);
  }

  function Section({ title, children }) {
    return h(C.Box, { as: "section", mt: 6 }, h(C.Heading, { size: "md", mb: 2 }, title), children);
  }

  // columns: [{title, cell(row), right}]
  function Rows({ columns, rows, id, empty }) {
    if (!rows.length) return h(Note, null, empty || "Nothing here yet.");
    const align = (column) => (column.right ? "end" : "start");
    return h(C.Box, { overflowX: "auto" },
      h(C.Table.Root, { size: "sm", interactive: true },
        h(C.Table.Header, null, h(C.Table.Row, null, columns.map((column) =>
          h(C.Table.ColumnHeader, { key: column.title, textAlign: align(column), whiteSpace: "nowrap" }, column.title)))),
        h(C.Table.Body, null, rows.map((row, position) =>
          h(C.Table.Row, { key: id ? row[id] : position }, columns.map((column) =>
            h(C.Table.Cell, { key: column.title, textAlign: align(column) }, column.cell(row))))))));
  }

  function Facts({ pairs }) {
    const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
    return h(C.SimpleGrid, { columns: { base: 1, md: 2, xl: 3 }, gapX: 8, gapY: 1 }, known.map(([name, value]) =>
      h(C.Flex, { key: name, gap: 2 },
        h(C.Text, { color: "fg.muted", minW: "8rem" }, name),
        h(C.Box, { wordBreak: "break-word" }, React.isValidElement(value) ? value : words(value)))));
  }

  function More({ pages }) {
    return pages.more ? h(C.Button, { size: "sm", variant: "outline", mt: 3, onClick: pages.more }, "Show older") : null;
  }

  function Top({ here }) {
    const pages = [["Catalog", ""], ["Incidents", "incidents"], ["Audit", "audit"]];
    return h(C.HStack, { as: "nav", gap: 1, mb: 4 }, pages.map(([title, path]) =>
      h(C.Button, { key: title, asChild: true, size: "sm", variant: here === path ? "subtle" : "ghost" },
        h(RouterLink, { to: path ? `${ROOT}/${path}` : ROOT }, title))));
  }

  // ---- catalog -------------------------------------------------------------------------------------

  function matches(asset, search) {
    const text = [asset.name, asset.kind, asset.owner, asset.description, asset.uri, ...(asset.tags || [])];
    const haystack = text.filter(Boolean).join(" ").toLowerCase();
    return search.toLowerCase().split(/\s+/).every((word) => haystack.includes(word));
  }

  function Catalog() {
    const answer = useAnswer("assets", getAll);
    const [search, setSearch] = useState("");
    const found = useMemo(() => (answer.data || []).filter((asset) => matches(asset, search)), [answer.data, search]);
    const columns = [
      { title: "Name", cell: (a) => h(Go, { to: assetPath(a.name) }, a.name) },
      { title: "Kind", cell: (a) => a.kind },
      { title: "Version", right: true, cell: (a) => (a.version ? `@${a.version}` : "-") },
      { title: "Rows", right: true, cell: (a) => number(a.rows) },
      { title: "Last write (UTC)", cell: (a) => utc(a.written_at || a.last_seen) },
      { title: "Verdict", cell: (a) => h(Mark, { text: a.verdict }) },
      { title: "Open incidents", right: true, cell: (a) => (a.incidents ? h(C.Badge, { colorPalette: "red" }, a.incidents) : "-") },
      { title: "Owner", cell: (a) => words(a.owner) },
    ];
    return h(C.Box, null,
      h(Top, { here: "" }),
      h(C.Input, {
        "aria-label": "Search the catalog", placeholder: "Search name, kind, owner, tag", maxW: "28rem", mb: 3, size: "sm",
        value: search, onChange: (event) => setSearch(event.target.value),
      }),
      h(State, { answer }),
      answer.data && h(Rows, {
        columns, rows: found, id: "name",
        empty: search ? `Nothing matches "${search}".` : "The catalog is empty. It fills as DAGs publish datasets and models.",
      }));
  }

  // ---- reports -------------------------------------------------------------------------------------

  function flatten(value, prefix, out) {
    for (const [name, item] of Object.entries(value || {})) {
      const path = prefix ? `${prefix}.${name}` : name;
      if (item && typeof item === "object" && !Array.isArray(item)) flatten(item, path, out);
      else if (!Array.isArray(item)) out.push([path, item]);
      else if (item.every((entry) => typeof entry !== "object")) out.push([path, item.join("; ")]);
    }
    return out;
  }

  function Body({ body }) {
    const lists = Object.entries(body).filter(([, value]) =>
      Array.isArray(value) && value.length && value.every((row) => row && typeof row === "object" && !Array.isArray(row)));
    const rest = Object.fromEntries(Object.entries(body).filter(([name]) => name !== "profile" && !lists.some(([list]) => list === name)));
    return h(C.Box, { mt: 2 },
      h(Facts, { pairs: flatten(rest, "", []).slice(0, 120) }),
      lists.map(([name, rows]) => {
        const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
        const columns = names.map((title) => ({
          title, cell: (row) => (title === "verdict" ? h(Mark, { text: row[title] }) : words(row[title])),
        }));
        return h(C.Box, { key: name, mt: 3 }, h(C.Text, { fontWeight: "bold" }, name), h(Rows, { columns, rows }));
      }));
  }

  function Whole({ id }) {
    const answer = useAnswer(`reports/${id}`);
    return h(C.Box, null, h(State, { answer }), answer.data && h(Body, { body: answer.data.body }));
  }

  function checkWords(check) {
    if (check.detail) return `${check.name}: ${check.detail}`;
    if (check.observed === null || check.observed === undefined) return `${check.name} could not be evaluated`;
    return `${check.name} is ${words(check.observed)} ${check.unit || ""}, expected ${words(check.threshold)}`.replace(" ,", ",");
  }

  function ReportCard({ report }) {
    const [open, setOpen] = useState(false);
    const reasons = Array.isArray(report.reasons) ? report.reasons : [];
    return h(C.Box, { borderWidth: "1px", borderColor: "border.emphasized", borderRadius: "md", p: 3, mb: 2 },
      h(C.Flex, { gap: 3, align: "center", wrap: "wrap" },
        h(C.Text, { fontWeight: "bold" }, `${report.kind} report ${report.report_id}`),
        h(Mark, { text: report.verdict }),
        report.action && h(Mark, { text: report.action }),
        report.version && h(C.Text, { color: "fg.muted" }, `of @${report.version}`),
        h(C.Text, { color: "fg.muted" }, `${utc(report.created_at)} UTC`),
        h(C.Button, { size: "xs", variant: "ghost", "aria-expanded": open, onClick: () => setOpen(!open) }, open ? "Less" : "More")),
      report.summary && h(C.Text, { mt: 1 }, words(report.summary)),
      reasons.map((reason) => h(C.Text, { key: reason, mt: 1 }, reason)),
      (report.worst || []).map((check, position) =>
        h(C.HStack, { key: position, mt: 1 }, h(Mark, { text: check.verdict }), h(C.Text, null, checkWords(check)))),
      open && h(Whole, { id: report.report_id }));
  }

  // One report in full, also one of a batch that was refused and so belongs to no version.
  function ChosenReport({ id }) {
    const answer = useAnswer(`reports/${id}`);
    const report = answer.data;
    return h(Section, { title: `Report ${id}` },
      h(State, { answer }),
      report && h(C.Box, { borderWidth: "2px", borderColor: "border.emphasized", borderRadius: "md", p: 3 },
        h(C.HStack, { gap: 3 },
          h(C.Text, { fontWeight: "bold" }, report.kind), h(Mark, { text: report.verdict }),
          h(C.Text, { color: "fg.muted" }, `${utc(report.created_at)} UTC`)),
        h(Body, { body: report.body })));
  }

  function Reports({ name, version }) {
    const pages = usePages(`assets/${encodeURIComponent(name)}/reports?version=${version}&limit=20`);
    return h(C.Box, null,
      h(State, { answer: pages }),
      !pages.loading && !pages.items.length && !pages.error && h(Note, null, "No report yet."),
      pages.items.map((report) => h(ReportCard, { key: report.report_id, report })),
      h(More, { pages }));
  }

  // ---- asset ---------------------------------------------------------------------------------------

  function versionColumns(name, kind) {
    const verdicts = (v) => Object.entries(v.verdicts || {}).filter(([, verdict]) => verdict);
    const columns = [
      { title: "Version", cell: (v) => h(Go, { to: assetPath(name, { version: v.number }) }, `@${v.number}`) },
      { title: "Aliases", cell: (v) => h(Marks, { texts: v.aliases }) },
      {
        title: "Verdicts", cell: (v) => h(C.HStack, { gap: 2, wrap: "wrap" }, verdicts(v).map(([of, verdict]) =>
          h(C.HStack, { key: of, gap: 1 }, h(C.Text, { color: "fg.muted" }, of), h(Mark, { text: verdict })))),
      },
      { title: "Written (UTC)", cell: (v) => utc(v.created_at) },
      { title: "By", cell: (v) => `${v.dag_id}.${v.task_id}` },
    ];
    const of = kind === "model"
      ? [{ title: "Trained on", cell: (v) => (v.dataset ? h(NodeName, { label: v.dataset }) : "-") }]
      : [
        { title: "Rows", right: true, cell: (v) => number(v.rows) },
        { title: "Partition", cell: (v) => words(v.partition_key) },
        { title: "Fingerprint", cell: (v) => (v.fingerprint ? h(C.Code, { title: v.fingerprint }, v.fingerprint.slice(0, 12)) : "-") },
      ];
    return [...columns.slice(0, 1), ...of, ...columns.slice(1)];
  }

  function Asset({ name, query }) {
    const answer = useAnswer(`assets/${encodeURIComponent(name)}`);
    const asset = answer.data;
    if (!asset) return h(C.Box, null, h(Top, {}), h(State, { answer }));
    const chosen = Number(query.get("version")) || asset.version;
    const report = Number(query.get("report")) || null;
    return h(C.Box, null,
      h(Top, {}),
      h(C.Flex, { gap: 3, align: "center", wrap: "wrap", mb: 3 },
        h(C.Heading, { size: "lg" }, asset.name),
        h(C.Badge, null, asset.kind),
        h(Mark, { text: asset.verdict }),
        asset.source === "observed" && h(C.Badge, { colorPalette: "gray" }, "observed")),
      asset.description && h(C.Text, { mb: 2 }, asset.description),
      h(Facts, {
        pairs: [
          ["Uri", asset.uri], ["Owner", asset.owner], ["Importance", asset.importance],
          ["Tags", (asset.tags || []).join(", ")], ["Table", (asset.location || {}).table],
          ["Producer", (asset.location || {}).producer], ["Current", asset.version && `@${asset.version}`],
          ["Rows", asset.rows], ["Last write (UTC)", asset.written_at && utc(asset.written_at)],
          ["Last seen (UTC)", utc(asset.last_seen)],
        ],
      }),
      asset.open_incidents.length > 0 && h(Section, { title: "Open incidents" }, h(IncidentRows, { rows: asset.open_incidents })),
      asset.aliases.length > 0 && h(Section, { title: "Aliases" }, h(Rows, {
        id: "name", rows: asset.aliases, columns: [
          { title: "Alias", cell: (a) => h(Mark, { text: a.name }) },
          { title: "Version", cell: (a) => h(Go, { to: assetPath(name, { version: a.version }) }, `@${a.version}`) },
          { title: "Since (UTC)", cell: (a) => utc(a.moved_at) },
        ],
      })),
      report && h(ChosenReport, { key: report, id: report }),
      h(Versions, { asset, chosen }));
  }

  function Versions({ asset, chosen }) {
    const pages = usePages(`assets/${encodeURIComponent(asset.name)}/versions`);
    const version = pages.items.find((item) => item.number === chosen);
    return h(C.Box, null,
      h(Section, { title: `Versions (${number(asset.versions)})` },
        h(State, { answer: pages }),
        !pages.loading && !pages.error && h(Rows, {
          columns: versionColumns(asset.name, asset.kind), rows: pages.items, id: "number",
          empty: asset.kind === "external" ? "Observed only; nothing of it is versioned here." : "No version yet.",
        }),
        h(More, { pages })),
      version && version.metrics && h(Section, { title: `Metrics of @${chosen}` },
        h(Facts, { pairs: Object.entries(version.metrics).sort() })),
      chosen && h(Section, { title: `Reports of @${chosen}` },
        h(Reports, { key: chosen, name: asset.name, version: chosen })),
      chosen && h(Section, { title: `Lineage of @${chosen}` },
        h(Lineage, { key: `${asset.name}@${chosen}`, name: asset.name, version: chosen })));
  }

  // ---- lineage -------------------------------------------------------------------------------------

  function nodePath(node) {
    if (node.kind === "report") {
      const asset = node.label.slice(node.label.lastIndexOf(" of ") + 4);
      return assetPath(asset, { report: node.node.split(":")[1] });
    }
    return labelPath(node.label);
  }

  function labelPath(label) {
    const at = label.lastIndexOf("@");
    return at < 0 ? assetPath(label) : assetPath(label.slice(0, at), { version: label.slice(at + 1) });
  }

  function NodeName({ label }) {
    return h(Go, { to: labelPath(label) }, label);
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

  function cut(text, most) {
    return text.length > most ? `${text.slice(0, most - 1)}…` : text;
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

  function Lineage({ name, version }) {
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

  function LineagePage({ name, query }) {
    return h(C.Box, null, h(Top, {}),
      h(C.Heading, { size: "lg", mb: 3 }, `Lineage of ${name}`),
      h(Lineage, { name, version: query.get("version") }));
  }

  // ---- incidents and audit -------------------------------------------------------------------------

  function IncidentRows({ rows }) {
    return h(Rows, {
      rows, id: "incident_id", empty: "No incident.", columns: [
        { title: "Incident", cell: (i) => `#${i.incident_id}` },
        { title: "Asset", cell: (i) => h(Go, { to: assetPath(i.asset) }, i.asset) },
        { title: "Kind", cell: (i) => i.kind },
        { title: "Severity", cell: (i) => h(Mark, { text: i.severity }) },
        { title: "State", cell: (i) => h(Mark, { text: i.state }) },
        { title: "Opened (UTC)", cell: (i) => utc(i.opened_at) },
        { title: "What", cell: (i) => h(C.Box, null, h(Go, { to: assetPath(i.asset, { report: i.report_id }) }, i.title),
          i.resolution && h(C.Text, { color: "fg.muted" }, i.resolution)) },
      ],
    });
  }

  function Incidents() {
    const [all, setAll] = useState(false);
    const pages = usePages(all ? "incidents" : "incidents?state=open");
    return h(C.Box, null,
      h(Top, { here: "incidents" }),
      h(C.Button, { size: "sm", variant: "outline", mb: 3, onClick: () => setAll(!all) }, all ? "Only open ones" : "Resolved ones too"),
      h(State, { answer: pages }),
      !pages.loading && !pages.error && h(IncidentRows, { rows: pages.items }),
      h(More, { pages }));
  }

  function Audit() {
    const pages = usePages("audit?limit=50", "&verify=true");
    return h(C.Box, null,
      h(Top, { here: "audit" }),
      h(State, { answer: pages }),
      pages.entries !== undefined && h(C.Alert.Root, { status: pages.fault ? "error" : "success", mb: 4 }, h(C.Alert.Indicator),
        h(C.Alert.Title, null, pages.fault
          ? `The audit chain is broken at ${pages.fault}.`
          : `The audit chain holds: ${number(pages.entries)} entries, recomputed just now.`)),
      !pages.loading && !pages.error && h(Rows, {
        rows: pages.items, id: "seq", empty: "No decision has been taken yet.", columns: [
          { title: "Entry", right: true, cell: (a) => number(a.seq) },
          { title: "At (UTC)", cell: (a) => utc(a.at) },
          { title: "Who", cell: (a) => a.actor },
          { title: "Action", cell: (a) => h(Mark, { text: a.action }) },
          { title: "Subject", cell: (a) => h(NodeName, { label: a.subject }) },
          { title: "Detail", cell: (a) => h(C.Text, { fontSize: "sm", color: "fg.muted", wordBreak: "break-word" }, words(a.detail)) },
        ],
      }),
      h(More, { pages }));
  }

  // ---- routes --------------------------------------------------------------------------------------

  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  function Page({ path, query }) {
    const [place, ...rest] = path.split("/").filter(Boolean);
    const name = rest.map(decoded).join("/");
    if (place === "asset" && name) return h(Asset, { key: name, name, query });
    if (place === "lineage" && name) return h(LineagePage, { key: name, name, query });
    if (place === "incidents") return h(Incidents);
    if (place === "audit") return h(Audit);
    return h(Catalog);
  }

  function DataML() {
    const { pathname, search } = useLocation();
    const path = pathname.slice(pathname.indexOf(ROOT) + ROOT.length);
    return h(C.Box, { p: 4, h: "full", overflowY: "auto", "data-testid": "dataml" },
      h(C.Heading, { size: "xl", mb: 3 }, "DataML"),
      h(Page, { path, query: new URLSearchParams(search) }));
  }

  globalThis.DataML = DataML;
})();
