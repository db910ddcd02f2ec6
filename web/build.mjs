// Builds what the daemon embeds and what the npm package consists of:
//
//   node build.mjs                the client, and the pages into dist
//   node build.mjs client [DIR]   the client only: client.js (a script and CommonJS),
//                                 client.mjs, client.d.ts, into DIR (client by default)
//
// client/client.js is in the repository, so that the daemon has it without
// Node.js; a test holds it to its sources.

import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rollup } from 'rollup';
import { dts } from 'rollup-plugin-dts';
import { build } from 'vite';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { version } = JSON.parse(readFileSync(here('client/package.json'), 'utf8'));

/** Says in a script where it comes from; the compiler would drop a comment. */
const origin = {
  name: 'origin',
  generateBundle(_, bundle) {
    for (const chunk of Object.values(bundle)) chunk.code = `/* Built by web/build.mjs from web/client/src: change it there. */\n${chunk.code}`;
  },
};

const [what = 'all', directory = here('client')] = process.argv.slice(2);
await script('umd', 'client/src/umd.ts', 'client.js', { exports: 'default' });
await script('es', 'client/src/index.ts', 'client.mjs', {});
await types();
if (what === 'all') {
  // The file that keeps the folder in the repository stays.
  for (const name of readdirSync(here('dist'))) if (name !== '.gitkeep') rmSync(here(`dist/${name}`), { recursive: true });
  // Its only warning is that the tutorial's page loads /client.js as it is, which is the point.
  await build({ root: here('.'), configFile: here('vite.config.mjs'), logLevel: 'error' });
}

function script(format, entry, file, output) {
  return build({
    root: here('.'), configFile: false, logLevel: 'warn', publicDir: false, plugins: [origin],
    define: { __VERSION__: JSON.stringify(version) },
    build: {
      outDir: directory, emptyOutDir: false, target: 'es2022', minify: false,
      lib: { entry: here(entry), name: 'ZegoExpressEngine', formats: [format], fileName: () => file },
      rollupOptions: { output },
    },
  });
}

async function types() {
  const bundle = await rollup({ input: here('client/src/index.ts'), plugins: [dts({ tsconfig: here('tsconfig.json') })] });
  await bundle.write({ file: `${directory}/client.d.ts`, format: 'es' });
  await bundle.close();
}
