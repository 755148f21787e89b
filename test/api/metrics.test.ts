import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import {
  countedSamples,
  METRICS,
  type RenderedSamples,
  renderMetrics,
  type Sample,
  type Samples,
} from '../../src/api/metrics.ts'
import { DOH, DOT } from '../../src/answer/responder.ts'
import {
  AnswerCells,
  ANSWER_PAIRS,
  ANSWER_STAGES,
  C_ANSWERS,
  C_ECS,
  COUNTED_RCODES,
  COUNTED_TYPES,
  COUNTER_CELLS,
  makeCounters,
  queryCell,
  sumCounters,
} from '../../src/counters.ts'

const AAAA = COUNTED_TYPES.indexOf('AAAA')
const REFUSED = COUNTED_RCODES.indexOf('REFUSED')

test('the threads are summed, and each cell is the series it stands for', async () => {
  const cells = new AnswerCells()
  const cell = cells.cellOf('web', 'fra')
  const threads = [makeCounters(), makeCounters()]
  for (const [i, counters] of threads.entries()) {
    counters[queryCell(1, AAAA, REFUSED)]! += 2 + i
    counters[cell]! += 10
    counters[cell + ANSWER_STAGES.indexOf('last resort')]! += 1
    counters[C_ECS]! += 4
  }
  threads[0]![queryCell(DOT, AAAA, REFUSED)]! += 6
  threads[0]![queryCell(DOH, AAAA, REFUSED)]! += 7
  expect(sumCounters(threads, cells.length)).toEqual(sumCounters(threads).subarray(0, cells.length))
  const text = await renderMetrics(countedSamples(sumCounters(threads, cells.length), cells))
  expect(text).toContain('meridian_queries_total{transport="tcp",type="AAAA",rcode="REFUSED"} 5\n')
  expect(text).toContain('meridian_queries_total{transport="dot",type="AAAA",rcode="REFUSED"} 6\n')
  expect(text).toContain('meridian_queries_total{transport="doh",type="AAAA",rcode="REFUSED"} 7\n')
  expect(text.match(/^meridian_queries_total\{/gm)).toHaveLength(3)
  expect(text).toContain('meridian_answers_total{service="web",site="fra",stage="nearest"} 20\n')
  expect(text).toContain('meridian_answers_total{service="web",site="fra",stage="last resort"} 2\n')
  expect(text.match(/^meridian_answers_total\{/gm)).toHaveLength(2)
  expect(text).toContain('meridian_ecs_queries_total 8\n')
  expect(text).not.toContain('service="other"')
})

test('a pair keeps its cells; pairs beyond the room share some', async () => {
  const cells = new AnswerCells()
  const first = cells.cellOf('s', '0')
  for (let i = 1; i < ANSWER_PAIRS; i++) cells.cellOf('s', String(i))
  expect(cells.cellOf('s', '0')).toBe(first)
  const starts = [...cells.pairs()].map(({ cell }) => cell)
  expect(starts.toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 1 + ANSWER_PAIRS }, (_, i) => C_ANSWERS + i * ANSWER_STAGES.length),
  )
  expect(cells.length).toBe(COUNTER_CELLS)
  expect(cells.cellOf('t', '0')).toBe(C_ANSWERS)
  const counters = makeCounters()
  counters[C_ANSWERS + 1]! += 3
  expect(countedSamples(counters, cells).meridian_answers_total).toEqual([[3, 'other', 'other', 'spill']])
})

test('20,000 series are rendered a few at a time: the loop is never held up, and each metric has one head', async () => {
  const states = Array.from({ length: 10_000 }, (_, i) => [1, `s${i % 1000}`, `site${i}`, '192.0.2.1', 'up'] as const)
  const shares = states.map(([, service, site, address]) => [1, service, site, address] as const)
  let turns = 0
  let rendered = false
  const turn = () => {
    turns++
    if (!rendered) setImmediate(turn)
  }
  setImmediate(turn)
  const text = await renderMetrics({ meridian_member_state: states, meridian_member_share: shares })
  rendered = true
  expect(turns).toBeGreaterThanOrEqual(40)
  expect(text.match(/^# (HELP|TYPE) meridian_member_/gm)).toHaveLength(4)
  expect(text.match(/^meridian_member_(state|share)\{/gm)).toHaveLength(20_000)
  expect(text.endsWith('\n')).toBe(true)
  expect(text).not.toContain('\n\n')
})

const shares = (count: number, changed: number, share: number): readonly Sample[] =>
  Array.from({ length: count }, (_, i) => [i === changed ? share : 1, 'web', `site${i}`, '192.0.2.1'])

test('what is unchanged since the scrape before is not rendered again, and every change is seen', async () => {
  const kept: RenderedSamples = new Map()
  const render = async (samples: Samples): Promise<string> => {
    const text = await renderMetrics(samples, kept)
    expect(text).toBe(await renderMetrics(samples))
    return text
  }
  const pieces = () => new Map(kept)
  await render({ meridian_member_share: shares(1_200, 700, 0.5), meridian_ready: [[1]] })
  const first = pieces()
  expect(first.size).toBe(4)
  await render({ meridian_member_share: shares(1_200, 700, 0.5), meridian_ready: [[1]] })
  expect(pieces()).toEqual(first)
  for (const [key, piece] of kept) expect(piece).toBe(first.get(key)) // the same object: nothing was rendered
  expect(await render({ meridian_member_share: shares(1_200, 700, 0.6), meridian_ready: [[0]] })).toContain('site700')
  const same = [...kept].filter(([key, piece]) => piece === first.get(key)).map(([key]) => key)
  expect(same).toEqual(['meridian_member_share 0', 'meridian_member_share 1000'])
  await render({ meridian_member_share: shares(300, 0, 1) }) // fewer: the rest is forgotten
  expect([...kept.keys()]).toEqual(['meridian_member_share 0'])
  await render({ meridian_view_info: [[1, 'a', 'b']] })
  await render({ meridian_view_info: [[1, 'a', 'c']] }) // a label alone has changed
})

test('label values are escaped', async () => {
  const text = await renderMetrics({ meridian_view_info: [[1, 'a"b\\c\nd', '']] })
  expect(text).toContain(String.raw`meridian_view_info{view="a\"b\\c\nd",revision=""} 1`)
})

test('names follow the conventions', () => {
  for (const [name, { kind }] of Object.entries(METRICS)) {
    expect(name).toMatch(/^meridian_[a-z_]+$/)
    expect(name.endsWith('_total'), name).toBe(kind === 'counter')
  }
})

test('docs/metrics.md tells every metric, and no other', () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../docs/metrics.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `([^`]+)` \| (counter|gauge) \| (.*?) \| (.*?) \|$/gm)].map(([, ...row]) => row)
  const expected = Object.entries(METRICS).map(([name, { kind, labels, help }]) => {
    const shown = labels.map((label: string) => `\`${label}\``).join(', ')
    return [name, kind, shown === '' ? '-' : shown, help]
  })
  expect(rows).toEqual(expected)
  for (const [, name] of text.matchAll(/\b(meridian_[a-z_]+)\b/g)) expect(Object.keys(METRICS)).toContain(name)
})
