// Where one looks from: a scale and a shift between the graph and the screen. Pure.

import type { View } from "./scene";

export interface Camera {
  x: number;
  y: number;
  scale: number;
}

export interface Size {
  width: number;
  height: number;
}

export const SCALES = { least: 0.02, most: 2.5 };

export function zoomed(camera: Camera, factor: number, at: { x: number; y: number }): Camera {
  const scale = Math.min(SCALES.most, Math.max(SCALES.least, camera.scale * factor));
  const done = scale / camera.scale;
  return { scale, x: at.x - (at.x - camera.x) * done, y: at.y - (at.y - camera.y) * done };
}

/** Everything in view, never larger than it is. */
export function fitted(scene: Size, screen: Size, room = 28): Camera {
  const scale = Math.max(
    SCALES.least,
    Math.min(1, (screen.width - 2 * room) / (scene.width || 1), (screen.height - 2 * room) / (scene.height || 1)),
  );
  return {
    scale,
    x: (screen.width - scene.width * scale) / 2,
    y: (screen.height - scene.height * scale) / 2,
  };
}

export function centred(camera: Camera, screen: Size, x: number, y: number, scale = camera.scale): Camera {
  return { scale, x: screen.width / 2 - x * scale, y: screen.height / 2 - y * scale };
}

export function inView(camera: Camera, screen: Size): View {
  return {
    left: -camera.x / camera.scale,
    top: -camera.y / camera.scale,
    right: (screen.width - camera.x) / camera.scale,
    bottom: (screen.height - camera.y) / camera.scale,
  };
}

export function toScene(camera: Camera, x: number, y: number): { x: number; y: number } {
  return { x: (x - camera.x) / camera.scale, y: (y - camera.y) / camera.scale };
}
