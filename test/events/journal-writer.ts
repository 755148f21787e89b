/**
 * A process that appends events to a folder without end, and writes to stdout how many of them are on disk. Its test
 * kills it, or gives it no room.
 */
import { writeSync } from 'node:fs'
import type { Event } from '../../src/events/event.ts'
import { Journal } from '../../src/events/journal.ts'

const [folder, run, mostBytes] = process.argv.slice(2)
const journal = new Journal({
  folder: folder!,
  mostBytes: Number(mostBytes),
  retryMs: 20,
  onTrouble: (trouble, lost) => writeSync(1, `${trouble === undefined ? `works ${lost}` : `trouble ${trouble}`}\n`),
})

const event = (n: number): Event => ({
  id: `run${run}.a.${n}`,
  atMs: Date.now(),
  node: `run${run}`,
  kind: 'verdict',
  severity: 'info',
  subject: `fra/web/${n}`,
  before: null,
  after: null,
  why: 'früh „am“ Morgen → '.repeat(1 + (n % 20)),
  sinceMs: null,
})

for (let n = 0; ;) {
  for (let i = 0; i < 300; i++) journal.append(event(++n))
  await journal.flush()
  if (journal.trouble === undefined) writeSync(1, `${n}\n`)
  else await new Promise((resolve) => setTimeout(resolve, 5))
}
