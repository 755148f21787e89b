/** docs/events.md against the code, both ways. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { EVENT_KINDS } from '../../src/events/event.ts'
import { formatDuration } from '../../src/units.ts'

const text = readFileSync(resolve(import.meta.dirname, '../../docs/events.md'), 'utf8')

test('docs/events.md tells every kind of event, and no other', () => {
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| (.*?) \| ([^|]*) \|$/gm)].map(([, ...row]) => row)
  const expected = Object.entries(EVENT_KINDS).map(([kind, { meaning, togetherMs }]) => [
    kind,
    meaning,
    togetherMs === 0
      ? 'never'
      : formatDuration(togetherMs)
          .replace(/(?<=\d)(?=[a-z])/, ' ')
          .replace('m', 'min'),
  ])
  expect(rows).toEqual(expected)
})
