// The Markdown a model card is written in: headings, paragraphs, lists and tables; pure.

export interface Span {
  text: string;
  look?: "bold" | "italic" | "code";
}

export type Block =
  | { kind: "heading"; level: number; spans: Span[] }
  | { kind: "text"; spans: Span[] }
  | { kind: "list"; items: Span[][] }
  | { kind: "table"; head: Span[][]; rows: Span[][][] };

const PIECE = /\\([\\`*_[\]<>|#])|\*\*(.+?)\*\*|(?<!\w)_((?:\\.|[^_\\])+)_(?!\w)|`([^`]+)`/g;
const ESCAPED = /\\([\\`*_[\]<>|#])/g;

/** One line of text as pieces with a look each; what is escaped is what it is. */
export function spansOf(line: string): Span[] {
  const found: Span[] = [];
  const plain = (text: string) => {
    const last = found.at(-1);
    if (!text) return;
    if (last && !last.look) last.text += text;
    else found.push({ text });
  };
  let at = 0;
  for (const match of line.matchAll(PIECE)) {
    plain(line.slice(at, match.index));
    const [whole, escaped, bold, italic, code] = match;
    if (escaped) plain(escaped);
    else if (bold) found.push({ text: bold.replace(ESCAPED, "$1"), look: "bold" });
    else if (italic) found.push({ text: italic.replace(ESCAPED, "$1"), look: "italic" });
    else if (code) found.push({ text: code, look: "code" });
    at = match.index + whole.length;
  }
  plain(line.slice(at));
  return found;
}

/** The cells of a row; an escaped bar is none. */
function cellsOf(line: string): Span[][] {
  const inner = line
    .trim()
    .replace(/^\|/, "")
    .replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => spansOf(cell.trim()));
}

function blockOf(lines: string[]): Block {
  const [first = ""] = lines;
  const heading = /^(#{1,6}) +(.*)$/.exec(first);
  if (heading) return { kind: "heading", level: heading[1]?.length ?? 1, spans: spansOf(heading[2] ?? "") };
  if (first.startsWith("|") && /^[|\s:-]+$/.test(lines[1] ?? "")) {
    return { kind: "table", head: cellsOf(first), rows: lines.slice(2).map(cellsOf) };
  }
  if (lines.every((line) => line.startsWith("- "))) {
    return { kind: "list", items: lines.map((line) => spansOf(line.slice(2))) };
  }
  return { kind: "text", spans: spansOf(lines.join(" ")) };
}

/** A text as blocks; they are set apart by empty lines. */
export function blocksOf(markdown: string): Block[] {
  return markdown
    .split(/\n\s*\n/)
    .map((part) => part.split("\n").filter((line) => line.trim()))
    .filter((lines) => lines.length)
    .map(blockOf);
}
