/**
 * `npm run bench -- NAME [args]`: runs one benchmark. Each is a file of this folder that exports run(args); without a
 * name they are listed. Benchmarks print figures and never fail a build: times are measured here, not asserted.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

interface Bench {
  run(args: string[]): Promise<void> | void
}

/** Benches are the files here that export run(); the others (this one, helpers) are not. */
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts'))
  .filter((file) => /^export (async )?function run\(/m.test(readFileSync(join(import.meta.dirname, file), 'utf8')))
  .map((file) => file.slice(0, -3))
  .toSorted()

const [name, ...args] = process.argv.slice(2)
if (name === undefined || !names.includes(name)) {
  console.log(`npm run bench -- NAME [args], NAME being one of: ${names.join(', ')}`)
  process.exitCode = name === undefined ? 0 : 1
} else {
  const bench: Bench = await import(`./${name}.ts`)
  await bench.run(args)
}
