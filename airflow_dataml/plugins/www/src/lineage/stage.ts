// The canvas and who looks at it: one drawing per frame at most, whatever moved in between.

import { type Camera, centred, fitted, inView, type Size, toScene, zoomed } from "./camera";
import type { Traced } from "./columns";
import { type Ink, inkNear } from "./ink";
import { paint, paintFrame, paintMap, type Shown } from "./paint";
import { type Hit, hitAt, type Scene } from "./scene";

export interface Look {
  selected: string | null;
  lit: Set<string> | null;
  matches: Set<string> | null;
  traced: Traced | null;
}

const MAP: Size = { width: 168, height: 112 };
// Smaller than this is not read; what is brought into view to be read is shown so large.
const READABLE = 0.55;
const COMFORTABLE = 0.85;
// With more than this in view a frame takes longer than a screen waits: while one moves, the last drawing moves
// along, with this much around it, and is drawn anew when one stops or comes to its edge.
const MANY = 700;
const AROUND = 240;
const STILL_MS = 90;

interface Kept {
  image: HTMLCanvasElement;
  camera: Camera;
  size: Size;
}

export class Stage {
  camera: Camera = { x: 0, y: 0, scale: 1 };
  size: Size = { width: 0, height: 0 };
  hovered: string | null = null;
  focused = false;
  private scene: Scene | null = null;
  private look: Look = { selected: null, lit: null, matches: null, traced: null };
  private ink: Ink;
  private asked = 0;
  private kept: Kept | null = null;
  private much = 0;
  private still: ReturnType<typeof setTimeout> | undefined;
  private map: { image: HTMLCanvasElement; at: { scale: number; x: number; y: number } } | null = null;

  constructor(
    readonly canvas: HTMLCanvasElement,
    readonly small: HTMLCanvasElement,
  ) {
    this.ink = inkNear(canvas.parentElement ?? document.body);
  }

  /** The theme changed. */
  recolour(): void {
    this.ink = inkNear(this.canvas.parentElement ?? document.body);
    this.map = null;
    this.kept = null;
    this.redraw();
  }

  resize(width: number, height: number): void {
    if (!width || !height) return;
    const before = this.size;
    this.size = { width, height };
    this.kept = null;
    if (!before.width) this.arrive();
    this.redraw();
  }

  /** Show another scene; the card one looks at stays where it is on the screen. */
  show(scene: Scene, hold: string | null): void {
    const held = hold && this.scene?.cards.get(hold)?.spot;
    const now = hold && scene.cards.get(hold)?.spot;
    const first = !this.scene;
    this.scene = scene;
    this.map = null;
    this.kept = null;
    if (held && now) {
      this.camera.x += (held.x - now.x) * this.camera.scale;
      this.camera.y += (held.y - now.y) * this.camera.scale;
    } else if (first || !hold) {
      this.arrive();
    }
    this.redraw();
  }

  dress(look: Look): void {
    this.look = look;
    this.map = null;
    this.kept = null;
    this.redraw();
  }

  /** All of it, or where that could not be read the start as it is. */
  private arrive(): void {
    if (!this.scene || !this.size.width) return;
    this.camera = fitted(this.scene, this.size);
    const start = this.scene.cards.get(this.look.selected ?? "") ?? this.scene.cards.get(this.scene.picture.start);
    if (this.camera.scale < READABLE && start) {
      const { x, y, width, height } = start.spot;
      this.camera = centred(this.camera, this.size, x + width / 2, y + height / 2, COMFORTABLE);
    }
  }

  fit(): void {
    if (this.scene) this.camera = fitted(this.scene, this.size);
    this.redraw();
  }

  zoom(factor: number, at = { x: this.size.width / 2, y: this.size.height / 2 }): void {
    this.camera = zoomed(this.camera, factor, at);
    this.redraw();
  }

  pan(x: number, y: number): void {
    this.camera = { ...this.camera, x: this.camera.x + x, y: this.camera.y + y };
    this.redraw();
  }

  /** Bring a card into view, and close enough to be read; nothing moves where it is already. */
  reveal(node: string): void {
    const spot = this.scene?.cards.get(node)?.spot;
    if (!spot || !this.size.width) return;
    const view = inView(this.camera, this.size);
    const margin = 24 / this.camera.scale;
    const inside =
      spot.x - margin >= view.left &&
      spot.x + spot.width + margin <= view.right &&
      spot.y >= view.top &&
      spot.y + Math.min(spot.height, 80) <= view.bottom;
    if (inside && this.camera.scale >= READABLE) return;
    const scale = Math.max(this.camera.scale, COMFORTABLE);
    this.camera = centred(this.camera, this.size, spot.x + spot.width / 2, spot.y + spot.height / 2, scale);
    this.redraw();
  }

  hit(x: number, y: number): Hit | null {
    if (!this.scene) return null;
    const point = toScene(this.camera, x, y);
    return hitAt(this.scene, point.x, point.y);
  }

  hover(node: string | null): void {
    if (this.hovered === node) return;
    this.hovered = node;
    if (this.much > MANY) this.later();
    else this.redraw();
  }

  /** Look at where the small map was touched. */
  jump(x: number, y: number): void {
    const at = this.map?.at;
    if (!at) return;
    this.camera = centred(this.camera, this.size, (x - at.x) / at.scale, (y - at.y) / at.scale);
    this.redraw();
  }

  redraw(): void {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      this.draw();
    });
  }

  close(): void {
    cancelAnimationFrame(this.asked);
    clearTimeout(this.still);
  }

  /** Draw anew when nothing has moved for a moment. */
  private later(): void {
    clearTimeout(this.still);
    this.still = setTimeout(() => {
      this.kept = null;
      this.redraw();
    }, STILL_MS);
  }

  private draw(): void {
    const pen = prepared(this.canvas, this.size);
    if (!pen || !this.scene) return;
    const shown: Shown = {
      camera: this.camera,
      size: this.size,
      ink: this.ink,
      hovered: this.hovered,
      focused: this.focused,
      ...this.look,
    };
    if (this.much > MANY) this.moveAlong(pen, this.scene, shown);
    else this.much = paint(pen, this.scene, shown);
    this.overview(shown);
  }

  private moveAlong(pen: CanvasRenderingContext2D, scene: Scene, shown: Shown): void {
    const { camera, size } = this;
    if (!this.kept || !covers(this.kept, camera, size)) {
      const image = this.kept?.image ?? document.createElement("canvas");
      const wide = { width: size.width + 2 * AROUND, height: size.height + 2 * AROUND };
      const moved = { ...camera, x: camera.x + AROUND, y: camera.y + AROUND };
      const drawn = prepared(image, wide);
      if (!drawn) return;
      this.much = paint(drawn, scene, { ...shown, camera: moved, size: wide });
      this.kept = { image, camera: moved, size: wide };
    } else if (this.kept.camera.scale !== camera.scale) {
      this.later();
    }
    const { image, camera: then, size: wide } = this.kept;
    const by = camera.scale / then.scale;
    pen.fillStyle = this.ink.canvas;
    pen.fillRect(0, 0, size.width, size.height);
    pen.drawImage(image, camera.x - then.x * by, camera.y - then.y * by, wide.width * by, wide.height * by);
  }

  /** The small map, where not all is in view. */
  private overview(shown: Shown): void {
    if (!this.scene) return;
    const view = inView(this.camera, this.size);
    const whole = view.left <= 0 && view.top <= 0 && view.right >= this.scene.width && view.bottom >= this.scene.height;
    this.small.hidden = whole || this.scene.cards.size < 12;
    if (this.small.hidden) return;
    const pen = prepared(this.small, MAP);
    if (!pen) return;
    if (!this.map) {
      const image = document.createElement("canvas");
      const drawn = prepared(image, MAP);
      if (!drawn) return;
      this.map = { image, at: paintMap(drawn, this.scene, shown, MAP) };
    }
    pen.drawImage(this.map.image, 0, 0, MAP.width, MAP.height);
    paintFrame(pen, shown, MAP, this.map.at, this.ink.accent);
  }
}

/** Whether a kept drawing has all of what is in view now, or almost; zooming out may show a little of its edge. */
function covers({ camera: then, size: wide }: Kept, camera: Camera, size: Size): boolean {
  const by = camera.scale / then.scale;
  if (by < 0.6 || by > 1.7) return false;
  const [left, top] = [camera.x - then.x * by, camera.y - then.y * by];
  const room = by < 1 ? AROUND : 0;
  return (
    left <= room &&
    top <= room &&
    left + wide.width * by >= size.width - room &&
    top + wide.height * by >= size.height - room
  );
}

/** A pen whose unit is the page's pixel, however many the screen has for one. */
function prepared(canvas: HTMLCanvasElement, size: Size): CanvasRenderingContext2D | null {
  const pen = canvas.getContext("2d");
  if (!pen) return null;
  const dense = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(size.width * dense), Math.round(size.height * dense)];
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  pen.setTransform(dense, 0, 0, dense, 0, 0);
  return pen;
}

export { MAP };
