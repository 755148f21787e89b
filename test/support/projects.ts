/**
 * Which test files are of the project `system`: those that import, themselves or through what they import of test/, what starts
 * processes, threads or servers, or waits; each file has a process of its own. Those of RFCs are of `rfc`; they share a server in
 * each process. All others are of `unit`, where alone.ts lets none of that happen.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, matchesGlob, relative, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')

const STARTS =
  /^(?:node:(?:child_process|cluster|dgram|http|http2|https|net|timers\/promises|tls|worker_threads)|src\/(?:api\/listen|main)\.ts)$/

/** What imports don't tell. */
export const ALSO = [
  'test/attack/smoke.test.ts', // imports each attack by its name
  'test/load/lint.test.ts', // loads zones whose serial is git's
  // seconds of computing: random cases, or large ones
  'test/api/board.test.ts',
  'test/api/routes.test.ts',
  'test/api/summary.test.ts',
  'test/dns/query.test.ts',
  'test/explain/explain.test.ts',
  'test/external-dns/provider.test.ts',
  'test/fuzz/board.test.ts',
  'test/health/shift.test.ts',
  'test/health/week.test.ts',
  'test/load/fuzz.test.ts',
  'test/plan/plan.test.ts',
  'test/policy/map-dbip.test.ts',
  'test/policy/map.test.ts',
  'test/policy/select.test.ts',
  'test/policy/spill.test.ts',
  'test/traffic/shares.test.ts',
  'test/yaml/tree.test.ts',
]

const IMPORT = /^(?:import|export) (?!type )(?:[^'"]*? from )?'([^']+)'/gm

/** Paths from the root; packages as they are named. */
function importsOf(file: string): string[] {
  return [...readFileSync(join(root, file), 'utf8').matchAll(IMPORT)].map(([, spec]) =>
    spec!.startsWith('.') ? relative(root, resolve(root, file, '..', spec!)) : spec!,
  )
}

/** Whether a file, or what it imports of test/, imports one of these. */
function reaches(file: string, wanted: RegExp, seen = new Set<string>()): boolean {
  if (wanted.test(file)) return true
  if (!file.startsWith('test/') || !file.endsWith('.ts') || seen.has(file)) return false
  seen.add(file)
  return importsOf(file).some((imported) => reaches(imported, wanted, seen))
}

/** The files of the project `rfc`. */
export const RFC_TESTS = 'test/rfc/*.test.ts'

/** Paths from the root. */
export const systemTests = (): string[] =>
  readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .map((file) => `test/${file}`)
    .filter(
      (file) =>
        file.endsWith('.test.ts') && !matchesGlob(file, RFC_TESTS) && (ALSO.includes(file) || reaches(file, STARTS)),
    )
