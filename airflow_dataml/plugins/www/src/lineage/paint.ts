// Draws a scene on a canvas: what is in view alone, and from afar only what can be made out.

import type { Camera, Size } from "./camera";
import { inView } from "./camera";
import { drawCard, FAINT, LEGIBLE, strong } from "./card";
import type { Traced } from "./columns";
import type { Ink } from "./ink";
import { type Card, cardsIn, type Line, type Scene } from "./scene";

export interface Shown {
  camera: Camera;
  size: Size;
  ink: Ink;
  selected: string | null;
  hovered: string | null;
  /** What stands out; the others step back. Nothing where all are alike. */
  lit: Set<string> | null;
  matches: Set<string> | null;
  traced: Traced | null;
  focused: boolean;
}

// Below this scale single cards cannot be made out.
const DISTINCT = 0.16;
type Pen = CanvasRenderingContext2D;

/** Draws what is in view, and says how much that was: cards and lines. */
export function paint(pen: Pen, scene: Scene, shown: Shown): number {
  const { camera, size, ink } = shown;
  const view = inView(camera, size);
  pen.fillStyle = ink.canvas;
  pen.fillRect(0, 0, size.width, size.height);
  pen.save();
  pen.translate(camera.x, camera.y);
  pen.scale(camera.scale, camera.scale);
  const seen = (line: Line) =>
    line.bounds[2] >= view.left &&
    line.bounds[0] <= view.right &&
    line.bounds[3] >= view.top &&
    line.bounds[1] <= view.bottom;
  const inSight = scene.lines.filter(seen);
  lines(pen, inSight, shown, scene.flows.length > 0);
  flows(pen, scene, seen, shown);
  const cards = cardsIn(scene, view);
  if (camera.scale < DISTINCT || cards.length > 1500) blocks(pen, cards, shown);
  else for (const card of cards) drawCard(pen, card, shown, scene);
  pen.restore();
  return cards.length + inSight.length;
}

function along(pen: Pen, points: Line["points"]): void {
  points.forEach(([x, y], at) => {
    const before = points[at - 1];
    if (!before) pen.moveTo(x, y);
    else if (before[1] === y) pen.lineTo(x, y);
    else {
      const bend = Math.max(Math.abs(x - before[0]) / 2, 30);
      pen.bezierCurveTo(before[0] + bend, before[1], x - bend, y, x, y);
    }
  });
}

function straight(pen: Pen, points: Line["points"]): void {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return;
  pen.moveTo(...first);
  pen.lineTo(...last);
}

function stroke(pen: Pen, all: Line[], far: boolean): void {
  pen.beginPath();
  for (const line of all) (far ? straight : along)(pen, line.points);
  pen.stroke();
}

/** Lines of one look are drawn at one stroke. */
function lines(pen: Pen, all: Scene["lines"], shown: Shown, columns: boolean): void {
  const { ink, lit, hovered, selected, camera } = shown;
  const thick = Math.max(1.3, 0.7 / camera.scale);
  const far = camera.scale < LEGIBLE && all.length > 400;
  const near = (line: Line) => [line.src, line.dst].some((id) => id === hovered || id === selected);
  const stands = (line: Line) => lit !== null && lit.has(line.src) && lit.has(line.dst);
  pen.setLineDash([]);
  pen.lineWidth = thick;
  pen.strokeStyle = ink.edge;
  pen.globalAlpha = columns ? 0.25 : lit ? FAINT : 0.6;
  stroke(
    pen,
    all.filter((line) => !near(line) && !stands(line)),
    far,
  );
  pen.globalAlpha = columns ? 0.5 : 1;
  pen.strokeStyle = ink.accent;
  pen.lineWidth = thick * 1.4;
  const bright = all.filter((line) => stands(line) || (!lit && near(line)));
  stroke(pen, bright, far);
  pen.globalAlpha = 1;
  if (camera.scale < LEGIBLE) return;
  for (const line of all) {
    const high = stands(line) || (!lit && near(line));
    pen.globalAlpha = high ? 1 : lit || columns ? FAINT : 0.75;
    arrow(pen, line, high ? ink.accent : ink.edge);
  }
  pen.globalAlpha = 1;
}

function arrow(pen: Pen, line: Line, fill: string): void {
  const end = line.points.at(-1);
  if (!end) return;
  pen.fillStyle = fill;
  pen.beginPath();
  pen.moveTo(end[0] - 1, end[1]);
  pen.lineTo(end[0] - 9, end[1] - 4.5);
  pen.lineTo(end[0] - 9, end[1] + 4.5);
  pen.fill();
}

function flows(pen: Pen, scene: Scene, seen: (line: Line) => boolean, shown: Shown): void {
  if (!scene.flows.length) return;
  const { ink, traced, camera } = shown;
  for (const pass of [false, true]) {
    for (const line of scene.flows) {
      const high = traced?.flows.has(line.flow) ?? false;
      if (high !== pass || !seen(line)) continue;
      pen.globalAlpha = high ? 1 : traced ? 0.12 : line.flow.kind === "direct" ? 0.65 : 0.35;
      pen.strokeStyle = high ? ink.accent : ink.edge;
      pen.lineWidth = Math.max(high ? 2 : 1.1, 0.6 / camera.scale);
      // What only decides which rows there are is dashed, and so is what is not sure.
      pen.setLineDash(line.flow.kind === "indirect" || line.flow.confidence < 0.5 ? [4, 4] : []);
      stroke(pen, [line], false);
    }
  }
  pen.setLineDash([]);
  pen.globalAlpha = 1;
}

function blocks(pen: Pen, cards: Card[], shown: Shown): void {
  const { ink, selected, matches, camera } = shown;
  const groups = new Map<string, Card[]>();
  for (const card of cards) {
    const key = `${tint(card, ink)}|${strong(card, shown) ? 1 : FAINT}`;
    const group = groups.get(key);
    if (group) group.push(card);
    else groups.set(key, [card]);
  }
  for (const [key, group] of groups) {
    const [fill = "", alpha = "1"] = key.split("|");
    pen.fillStyle = fill;
    pen.globalAlpha = Number(alpha);
    pen.beginPath();
    for (const { spot } of group) pen.rect(spot.x, spot.y, spot.width, spot.height);
    pen.fill();
  }
  pen.globalAlpha = 1;
  pen.strokeStyle = ink.focus;
  pen.lineWidth = 3 / camera.scale;
  for (const { spot, node } of cards)
    if (node.node === selected || matches?.has(node.node)) pen.strokeRect(spot.x, spot.y, spot.width, spot.height);
}

function tint({ node }: Card, ink: Ink): string {
  if (node.verdict === "fail" || node.verdict === "error") return ink[node.verdict];
  return ink[node.kind as "dataset"] ?? ink.external;
}

/** All cards as small blocks, and what is in view as a frame; the scale it is drawn at. */
export function paintMap(pen: Pen, scene: Scene, shown: Shown, size: Size): { scale: number; x: number; y: number } {
  const scale = Math.min((size.width - 8) / scene.width, (size.height - 8) / scene.height);
  const x = (size.width - scene.width * scale) / 2;
  const y = (size.height - scene.height * scale) / 2;
  pen.fillStyle = shown.ink.card;
  pen.fillRect(0, 0, size.width, size.height);
  pen.save();
  pen.translate(x, y);
  for (const card of scene.cards.values()) {
    pen.globalAlpha = strong(card, shown) ? 0.85 : 0.2;
    pen.fillStyle = tint(card, shown.ink);
    const { spot } = card;
    pen.fillRect(spot.x * scale, spot.y * scale, Math.max(spot.width * scale, 1.5), Math.max(spot.height * scale, 1));
  }
  pen.restore();
  return { scale, x, y };
}

export function paintFrame(
  pen: Pen,
  shown: Shown,
  size: Size,
  at: { scale: number; x: number; y: number },
  outline: string,
): void {
  const view = inView(shown.camera, shown.size);
  const left = Math.max(1, view.left * at.scale + at.x);
  const top = Math.max(1, view.top * at.scale + at.y);
  const right = Math.min(size.width - 1, view.right * at.scale + at.x);
  const bottom = Math.min(size.height - 1, view.bottom * at.scale + at.y);
  pen.strokeStyle = outline;
  pen.lineWidth = 1.5;
  pen.strokeRect(left, top, Math.max(right - left, 3), Math.max(bottom - top, 3));
}
