// The picture of a graph: a canvas that is moved by mouse, wheel, touch and keys, its small map and its buttons.

import { Box, Button, HStack, VisuallyHidden } from "@chakra-ui/react";
import { useEffect, useId, useRef, useState } from "react";
import { type ColumnId, type ColumnSet, type Traced } from "./columns";
import { listen } from "./gestures";
import { onTheme } from "./ink";
import { laidOutInSlices } from "./layout";
import { nodeLabel, type Picture, spoken } from "./model";
import { boxesOf, type Hit, neighbour, type Scene, sceneOf } from "./scene";
import { type Look, MAP, Stage } from "./stage";

export interface CanvasProps {
  picture: Picture;
  columns: ColumnSet | null;
  selected: string | null;
  lit: Set<string> | null;
  matches: Set<string> | null;
  traced: Traced | null;
  height: string;
  select: (node: string | null, column?: ColumnId) => void;
  expand: (node: string, way: "both" | "upstream" | "downstream") => void;
}

const KEYS =
  "Arrow keys go from card to card, Enter shows its neighbours, plus and minus zoom, 0 shows all, shift with arrow keys moves the picture.";

/** The scene of a picture, laid out beside the page's own work; the one before stays until it is there. */
function useScene(picture: Picture, columns: ColumnSet | null): { scene: Scene | null; working: boolean } {
  const [held, setHeld] = useState<{ scene: Scene; of: Picture; with: ColumnSet | null } | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    const edges = picture.edges.map((edge): [string, string] => [edge.src, edge.dst]);
    void laidOutInSlices(boxesOf(picture, columns), edges, controller.signal).then((layout) => {
      if (layout) setHeld({ scene: sceneOf(picture, layout, columns), of: picture, with: columns });
    });
    return () => controller.abort();
  }, [picture, columns]);
  return { scene: held?.scene ?? null, working: held?.of !== picture || held.with !== columns };
}

export function GraphCanvas(props: CanvasProps) {
  const { picture, columns, selected, lit, matches, traced, height } = props;
  const { scene, working } = useScene(picture, columns);
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const small = useRef<HTMLCanvasElement>(null);
  const stage = useRef<Stage | null>(null);
  const help = useId();
  const chosen = picture.nodes.get(selected ?? "");
  const now = useRef({ ...props, scene });
  useEffect(() => {
    now.current = { ...props, scene };
  });

  useEffect(() => {
    if (!canvas.current || !small.current || !frame.current) return undefined;
    const made = new Stage(canvas.current, small.current);
    stage.current = made;
    const sizes = new ResizeObserver(([entry]) => {
      if (entry) made.resize(entry.contentRect.width, entry.contentRect.height);
    });
    sizes.observe(frame.current);
    const density = matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    const redraw = () => made.redraw();
    density.addEventListener("change", redraw);
    const offTheme = onTheme(() => made.recolour());
    const offGestures = listen(made, () => ({
      click: (hit) => clicked(now.current, hit),
      open: (node) => now.current.expand(node, "both"),
      key: (event) => pressed(now.current, event),
      title: (hit) => titled(now.current.picture, hit),
    }));
    return () => {
      sizes.disconnect();
      density.removeEventListener("change", redraw);
      offTheme();
      offGestures();
      made.close();
    };
  }, []);

  useEffect(() => {
    const look: Look = { selected, lit, matches, traced };
    stage.current?.dress(look);
  }, [selected, lit, matches, traced]);
  const shown = useRef<Scene | null>(null);
  useEffect(() => {
    if (!scene || shown.current === scene) return;
    // What one looks at keeps its place when more is shown around it; another start is another picture.
    const same = shown.current?.picture.start === scene.picture.start;
    shown.current = scene;
    stage.current?.show(scene, same ? (now.current.selected ?? scene.picture.start) : null);
  }, [scene]);
  useEffect(() => {
    if (selected && scene) stage.current?.reveal(selected);
  }, [selected, scene]);

  return (
    <Box
      position="relative"
      borderWidth="1px"
      borderColor="border"
      borderRadius="md"
      overflow="hidden"
      aria-busy={working}
    >
      <div ref={frame} style={{ height, minHeight: "22rem" }}>
        <canvas
          ref={canvas}
          tabIndex={0}
          role="application"
          aria-label={`Lineage graph of ${picture.nodes.size} nodes and ${picture.edges.length} edges`}
          aria-describedby={help}
          data-testid="lineage-canvas"
          data-ready={scene && !working ? "yes" : "no"}
          style={{ display: "block", width: "100%", height: "100%", touchAction: "none", outlineOffset: "-2px" }}
        />
      </div>
      <VisuallyHidden id={help}>{KEYS}</VisuallyHidden>
      <canvas
        ref={small}
        hidden
        aria-hidden="true"
        style={{
          position: "absolute",
          right: 10,
          bottom: 10,
          width: MAP.width,
          height: MAP.height,
          borderRadius: 6,
          border: "1px solid var(--chakra-colors-border)",
          cursor: "crosshair",
          touchAction: "none",
        }}
      />
      <HStack position="absolute" left="10px" bottom="10px" gap={1} role="group" aria-label="View">
        <Button
          size="xs"
          variant="surface"
          aria-label="Zoom in"
          title="Zoom in (+)"
          onClick={() => stage.current?.zoom(1.25)}
        >
          +
        </Button>
        <Button
          size="xs"
          variant="surface"
          aria-label="Zoom out"
          title="Zoom out (-)"
          onClick={() => stage.current?.zoom(0.8)}
        >
          −
        </Button>
        <Button size="xs" variant="surface" title="Show all (0)" onClick={() => stage.current?.fit()}>
          Fit
        </Button>
      </HStack>
      <VisuallyHidden aria-live="polite">{chosen ? spoken(picture, chosen) : ""}</VisuallyHidden>
    </Box>
  );
}

type Now = CanvasProps & { scene: Scene | null };

function clicked({ select, expand }: Now, hit: Hit | null): void {
  if (hit?.expand) expand(hit.node, hit.expand === "up" ? "upstream" : "downstream");
  else select(hit?.node ?? null, hit?.column);
}

function pressed({ scene, picture, selected, select, expand }: Now, event: KeyboardEvent): boolean {
  if (!scene) return false;
  if (event.key === "Escape") {
    if (!selected) return false;
    select(null);
    return true;
  }
  if (event.key === "Enter" || event.key === " ") {
    if (selected) expand(selected, "both");
    else select(picture.start);
    return true;
  }
  if (!event.key.startsWith("Arrow")) return false;
  const next = selected ? neighbour(scene, selected, event.key) : picture.start;
  if (next) select(next);
  return true;
}

function titled(picture: Picture, hit: Hit | null): string {
  const node = hit && picture.nodes.get(hit.node);
  if (!hit || !node) return "";
  if (hit.expand) return hit.expand === "up" ? "Show what it came from" : "Show what it went into";
  return hit.column ? (hit.column.split("\n")[1] ?? "") : `${nodeLabel(node)}${node.owner ? `, ${node.owner}` : ""}`;
}
