// Draws one card: what it is called, how it stands, its columns, and that there is more beside it.

import { columnId } from "./columns";
import type { Ink } from "./ink";
import { counted, shortName, underline } from "./model";
import type { Shown } from "./paint";
import { type Card, CARD, type Scene } from "./scene";

// Below this scale texts cannot be made out.
export const LEGIBLE = 0.42;
export const FAINT = 0.22;
type Pen = CanvasRenderingContext2D;

export function strong(card: Card, { lit }: Shown): boolean {
  return !lit || lit.has(card.node.node);
}

export function drawCard(pen: Pen, card: Card, shown: Shown, scene: Scene): void {
  const { ink, selected, hovered, matches, camera } = shown;
  const { spot, node } = card;
  const start = scene.picture.start === node.node;
  const chosen = node.node === selected;
  pen.globalAlpha = strong(card, shown) ? 1 : FAINT;
  pen.fillStyle = ink.canvas;
  pen.beginPath();
  pen.roundRect(spot.x, spot.y, spot.width, spot.height, 7);
  pen.fill();
  pen.fillStyle = chosen || node.node === hovered || start ? ink.chosen : ink.card;
  pen.fill();
  pen.lineWidth = chosen || start ? 2 : 1;
  pen.strokeStyle = chosen ? ink.focus : start ? ink.text : ink.line;
  pen.stroke();
  pen.fillStyle = ink[node.kind as "dataset"] ?? ink.external;
  pen.beginPath();
  pen.roundRect(spot.x, spot.y, 5, spot.height, [7, 0, 0, 7]);
  pen.fill();
  if (matches?.has(node.node)) ring(pen, card, ink.warn, 5);
  if (chosen && shown.focused) ring(pen, card, ink.focus, 3);
  if (camera.scale >= LEGIBLE) texts(pen, card, shown);
  else farText(pen, card, ink);
  mark(pen, card, ink);
  if (camera.scale >= LEGIBLE) handles(pen, card, ink);
  pen.globalAlpha = 1;
}

function ring(pen: Pen, { spot }: Card, colour: string, away: number): void {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.roundRect(spot.x - away, spot.y - away, spot.width + 2 * away, spot.height + 2 * away, 9);
  pen.stroke();
}

const fitting = new Map<string, string>();

/** A text cut in its middle to what there is room for; the end of a name tells more than its middle. */
function fit(pen: Pen, text: string, room: number): string {
  const key = `${pen.font} ${room} ${text}`;
  const known = fitting.get(key);
  if (known !== undefined) return known;
  let shown = text;
  if (pen.measureText(text).width > room) {
    let [low, high] = [1, text.length];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (pen.measureText(halves(text, middle)).width <= room) low = middle;
      else high = middle - 1;
    }
    shown = halves(text, low);
  }
  if (fitting.size > 20_000) fitting.clear();
  fitting.set(key, shown);
  return shown;
}

function halves(text: string, kept: number): string {
  const first = Math.ceil(kept * 0.6);
  return `${text.slice(0, first)}…${kept > first ? text.slice(first - kept) : ""}`;
}

function texts(pen: Pen, { node, spot, columns }: Card, shown: Shown): void {
  const { ink, traced } = shown;
  pen.textBaseline = "alphabetic";
  pen.fillStyle = ink.text;
  pen.font = `600 13px ${ink.font}`;
  const room = spot.width - 50;
  pen.fillText(fit(pen, node.title ?? shortName(node.asset), room), spot.x + 14, spot.y + 23);
  pen.font = `12px ${ink.font}`;
  pen.fillStyle = ink.muted;
  const said = node.title ? `of ${shortName(node.asset)}` : underline(node);
  pen.fillText(fit(pen, said, spot.width - (node.incidents ? 62 : 28)), spot.x + 14, spot.y + 42);
  if (node.incidents) incidents(pen, node.incidents, spot.x + spot.width - 14, spot.y + 38, ink);
  if (!columns) return;
  pen.strokeStyle = ink.line;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(spot.x + 6, spot.y + CARD.height - 1);
  pen.lineTo(spot.x + spot.width - 1, spot.y + CARD.height - 1);
  pen.stroke();
  columns.names.forEach((name, at) => {
    const top = spot.y + CARD.height + at * CARD.row;
    const high = traced?.columns.has(columnId(node.node, name)) ?? false;
    if (high) {
      pen.fillStyle = ink.row;
      pen.fillRect(spot.x + 6, top + 1, spot.width - 8, CARD.row - 2);
    }
    pen.fillStyle = high ? ink.accent : traced ? ink.muted : ink.text;
    pen.font = `${high ? "600 " : ""}12px ${ink.font}`;
    pen.fillText(fit(pen, name, spot.width - 30), spot.x + 14, top + 14);
  });
  if (columns.rest > 0) {
    pen.fillStyle = ink.muted;
    pen.font = `12px ${ink.font}`;
    pen.fillText(`and ${columns.rest} more`, spot.x + 14, spot.y + CARD.height + columns.names.length * CARD.row + 14);
  }
}

function farText(pen: Pen, { node, spot }: Card, ink: Ink): void {
  pen.textBaseline = "middle";
  pen.fillStyle = ink.text;
  pen.font = `600 24px ${ink.font}`;
  pen.fillText(fit(pen, node.title ?? shortName(node.asset), spot.width - 44), spot.x + 14, spot.y + CARD.height / 2);
}

function incidents(pen: Pen, count: number, right: number, middle: number, ink: Ink): void {
  const text = `! ${count}`;
  pen.font = `600 11px ${ink.font}`;
  const wide = pen.measureText(text).width + 10;
  pen.fillStyle = ink.fail;
  pen.beginPath();
  pen.roundRect(right - wide, middle - 8, wide, 16, 8);
  pen.fill();
  pen.fillStyle = ink.onSolid;
  pen.fillText(text, right - wide + 5, middle + 4);
}

const SIGNS: Record<string, string> = { pass: "✓", warn: "!", fail: "×", error: "E", unknown: "?" };

/** The verdict as a dot with a sign, and a clock's hand where the promise of freshness is broken. */
function mark(pen: Pen, { node, spot }: Card, ink: Ink): void {
  const y = spot.y + 18;
  let x = spot.x + spot.width - 18;
  if (node.verdict) {
    pen.fillStyle = ink[node.verdict as "pass"] ?? ink.unknown;
    pen.beginPath();
    pen.arc(x, y, 7, 0, 2 * Math.PI);
    pen.fill();
    pen.fillStyle = ink.onSolid;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.font = `700 11px ${ink.font}`;
    pen.fillText(SIGNS[node.verdict] ?? "?", x, y + 0.5);
    pen.textAlign = "start";
    x -= 17;
  }
  if (!node.stale) return;
  pen.strokeStyle = ink.fail;
  pen.lineWidth = 1.6;
  pen.beginPath();
  pen.arc(x, y, 6, 0, 2 * Math.PI);
  pen.moveTo(x, y - 4);
  pen.lineTo(x, y);
  pen.lineTo(x + 3, y + 1);
  pen.stroke();
}

function handles(pen: Pen, { spot, rest }: Card, ink: Ink): void {
  for (const [count, x] of [
    [rest.up, spot.x],
    [rest.down, spot.x + spot.width],
  ] as const) {
    if (!count) continue;
    const text = counted(count);
    pen.font = `600 10px ${ink.font}`;
    const wide = Math.max(20, pen.measureText(text).width + 9);
    pen.fillStyle = ink.canvas;
    pen.strokeStyle = ink.accent;
    pen.lineWidth = 1.2;
    pen.beginPath();
    pen.roundRect(x - wide / 2, spot.y + CARD.height / 2 - 9, wide, 18, 9);
    pen.fill();
    pen.stroke();
    pen.fillStyle = ink.accent;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(text, x, spot.y + CARD.height / 2 + 0.5);
    pen.textAlign = "start";
  }
}
