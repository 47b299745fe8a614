// Mouse, wheel, touch and keys on the canvas, as movements of the stage and as what was chosen.

import type { Hit } from "./scene";
import type { Stage } from "./stage";

export interface Chosen {
  click: (hit: Hit | null) => void;
  open: (node: string) => void;
  key: (event: KeyboardEvent) => boolean;
  title: (hit: Hit | null) => string;
}

const MOVED = 4;
const STEP = 60;

interface Finger {
  x: number;
  y: number;
}

/** Begins to listen; ends it when called. */
export function listen(stage: Stage, chosen: () => Chosen): () => void {
  const { canvas, small } = stage;
  const over = new AbortController();
  const on = <K extends keyof HTMLElementEventMap>(
    type: K,
    act: (event: HTMLElementEventMap[K]) => void,
    target: HTMLElement = canvas,
  ) => target.addEventListener(type, act, { signal: over.signal, passive: false });
  const fingers = new Map<number, Finger>();
  let begun: Finger | null = null;
  let moved = false;
  const place = (event: MouseEvent): Finger => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  on("pointerdown", (event) => {
    if (event.button > 1) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event));
    moved = fingers.size > 1;
    begun = place(event);
  });
  on("pointermove", (event) => {
    const now = place(event);
    const before = fingers.get(event.pointerId);
    if (!before) {
      const hit = stage.hit(now.x, now.y);
      stage.hover(hit?.node ?? null);
      canvas.style.cursor = hit ? "pointer" : "grab";
      canvas.title = chosen().title(hit);
      return;
    }
    if (!moved && begun && Math.hypot(now.x - begun.x, now.y - begun.y) < MOVED) return;
    moved = true;
    canvas.style.cursor = "grabbing";
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const apart = (finger: Finger) => Math.hypot(finger.x - other.x, finger.y - other.y) || 1;
      const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      stage.zoom(apart(now) / apart(before), middle);
      stage.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else {
      stage.pan(now.x - before.x, now.y - before.y);
    }
    fingers.set(event.pointerId, now);
  });
  const lift = (event: PointerEvent) => {
    const was = fingers.delete(event.pointerId);
    canvas.style.cursor = "grab";
    if (!was || moved || event.type === "pointercancel") return;
    const { x, y } = place(event);
    chosen().click(stage.hit(x, y));
  };
  on("pointerup", lift);
  on("pointercancel", lift);
  on("pointerleave", () => stage.hover(null));
  on("dblclick", (event) => {
    const { x, y } = place(event);
    const hit = stage.hit(x, y);
    if (hit && !hit.expand) chosen().open(hit.node);
  });
  on("wheel", (event) => {
    event.preventDefault();
    const line = event.deltaMode === 1 ? 16 : 1;
    if (event.shiftKey) stage.pan(-(event.deltaX + event.deltaY) * line, 0);
    else stage.zoom(Math.exp(-event.deltaY * line * (event.ctrlKey ? 0.01 : 0.0015)), place(event));
  });
  on("keydown", (event) => {
    if (move(stage, event) || chosen().key(event)) event.preventDefault();
  });
  on("focus", () => {
    stage.focused = true;
    stage.redraw();
  });
  on("blur", () => {
    stage.focused = false;
    stage.redraw();
  });

  const jump = (event: PointerEvent) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = small.getBoundingClientRect();
    stage.jump(event.clientX - box.left, event.clientY - box.top);
  };
  on("pointerdown", jump, small);
  on("pointermove", jump, small);
  return () => over.abort();
}

const PANS: Record<string, [number, number]> = {
  ArrowLeft: [STEP, 0],
  ArrowRight: [-STEP, 0],
  ArrowUp: [0, STEP],
  ArrowDown: [0, -STEP],
};

function move(stage: Stage, event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const pan = event.shiftKey ? PANS[event.key] : undefined;
  if (pan) stage.pan(...pan);
  else if (event.key === "+" || event.key === "=") stage.zoom(1.25);
  else if (event.key === "-") stage.zoom(0.8);
  else if (event.key === "0") stage.fit();
  else return false;
  return true;
}
