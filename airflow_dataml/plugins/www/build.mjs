// Builds the page into ../static: one small module that Airflow loads, and one chunk per page, loaded when it is opened.
// React, React Router and Chakra are Airflow's own: they are taken from its globals and never bundled.

import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = process.argv[2] ?? join(HERE, "..", "static");
const LENT = {
  react: "React",
  "react/jsx-runtime": "ReactJSXRuntime",
  "react-router-dom": "ReactRouterDOM",
  "@chakra-ui/react": "ChakraUI",
};

const lent = {
  name: "lent by Airflow",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[@a-z]/ }, ({ path, kind }) => {
      if (kind === "entry-point") return null;
      if (path in LENT) return { path, namespace: "lent" };
      return { errors: [{ text: `${path} is not lent by Airflow's page, and nothing else is bundled.` }] };
    });
    onLoad({ filter: /.*/, namespace: "lent" }, ({ path }) => ({
      contents: `module.exports = globalThis.${LENT[path]};`,
      loader: "js",
    }));
  },
};

const fresh = `${OUT}.new`;
await rm(fresh, { recursive: true, force: true });
await mkdir(fresh, { recursive: true });
const { metafile } = await build({
  absWorkingDir: HERE,
  entryPoints: { dataml: "src/main.tsx" },
  outdir: fresh,
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  minify: true,
  legalComments: "none",
  chunkNames: "[name]-[hash]",
  plugins: [lent],
  metafile: true,
  logLevel: "warning",
});
// A browser that has the page open may still ask for a chunk, but never finds half of a build.
await rm(OUT, { recursive: true, force: true });
await rename(fresh, OUT);

const sizes = Object.entries(metafile.outputs).map(([file, { bytes }]) => [file.split("/").at(-1), bytes]);
const total = sizes.reduce((sum, [, bytes]) => sum + bytes, 0);
const entry = Object.fromEntries(sizes)["dataml.js"];
console.log(
  `${(await readdir(OUT)).length} modules, ${(total / 1000).toFixed(1)} kB; the entry alone ${(entry / 1000).toFixed(1)} kB`,
);
