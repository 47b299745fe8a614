// The theme's colours as a canvas takes them: tokens as they are computed now, read anew when the theme changes.

import { colour } from "../ui/charts";

const TOKENS = {
  canvas: "bg",
  card: "bg-subtle",
  chosen: "bg-emphasized",
  row: "bg-muted",
  text: "fg",
  muted: "fg-muted",
  line: "border-emphasized",
  edge: "fg-subtle",
  accent: "fg-info",
  focus: "blue-solid",
  onSolid: "white",
  pass: "green-solid",
  warn: "orange-solid",
  fail: "red-solid",
  error: "purple-solid",
  unknown: "gray-solid",
  dataset: "blue-solid",
  model: "purple-solid",
  prediction: "teal-solid",
  external: "gray-solid",
  report: "orange-solid",
} as const;

export type Ink = Record<keyof typeof TOKENS, string> & { font: string };

/** What the tokens are where ``near`` stands. */
export function inkNear(near: HTMLElement): Ink {
  const probe = document.createElement("span");
  probe.hidden = true;
  near.append(probe);
  const ink: Record<string, string> = {};
  for (const [name, token] of Object.entries(TOKENS)) {
    probe.style.color = colour(token);
    ink[name] = getComputedStyle(probe).color;
  }
  ink.font = getComputedStyle(near).fontFamily || "sans-serif";
  probe.remove();
  return ink as Ink;
}

/** Calls ``changed`` when the theme does; ends what it began when called. */
export function onTheme(changed: () => void): () => void {
  const seen = new MutationObserver(changed);
  seen.observe(document.documentElement, { attributes: true, attributeFilter: ["class", "data-theme", "style"] });
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", changed);
  return () => {
    seen.disconnect();
    media.removeEventListener("change", changed);
  };
}
