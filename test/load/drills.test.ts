/** drills.yaml: what it gives, and its faults. */
import { expect, test } from 'vitest'
import { scheduleInWords } from '../../src/zone/drills.ts'
import { briefsOf, DEFAULTS, load, NS } from '../support/folder.ts'

const FILES = {
  ...DEFAULTS,
  'example.com.yaml': `${NS}www: {type: GSLB, service: web}\n`,
  'services.yaml': 'web:\n  sites:\n    fra: {vips: [192.0.2.10]}\n    iad: {vips: [198.51.100.10]}\n  check: none\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\n',
}
const drill = (keys: string): Record<string, string> => ({
  ...FILES,
  'drills.yaml': `drills:\n  one: {site: fra, days: [tue], from: "10:00", to: "12:00", for: 30m${keys}}\n`,
})

test('drills and blocked dates', async () => {
  const { model } = await load({
    ...FILES,
    'drills.yaml': `drills:
  a: {site: fra, days: [tue, last-fri, 2026-12-01], from: 22:00, to: 02:00, zone: Europe/Berlin, for: 4h, abortIf: [left<60%, web]}
  b: {site: iad, days: [mon], from: "00:00", to: "24:00", for: 1h}
blocked: [2026-11-27, 2026-12-20..2027-01-06]
`,
  })
  expect(model!.drills.drills.map(scheduleInWords)).toEqual([
    'fra for 4h, Tuesdays, last Friday, 2026-12-01 22:00–02:00 Europe/Berlin, until left<60% or web',
    'iad for 1h, Mondays 00:00–24:00 UTC, until last-resort',
  ])
  expect(model!.drills.blocked).toHaveLength(2)
})

test('without the file there are none', async () => {
  expect((await load(FILES)).model!.drills).toEqual({ drills: [], blocked: [] })
})

test.each([
  [', abortIf: [left<60]', ['drills.yaml:2:81 value-invalid']],
  [', abortIf: [shop]', ['drills.yaml:2:81 service-unknown']],
  [', zone: Europe/Berln', ['drills.yaml:2:77 value-invalid']],
  [', who: me', ['drills.yaml:2:71 key-unknown']],
])('%s is a fault', async (keys, problems) => expect(await briefsOf(drill(keys))).toEqual(problems))

test.each([
  ['site: lon', 'site: fra', 'site-unknown'],
  ['the one: {', 'one: {', 'value-invalid'],
  ['days: [fifth-tue]', 'days: [tue]', 'value-invalid'],
  ['days: []', 'days: [tue]', 'value-kind'],
  ['to: "10:00"', 'to: "12:00"', 'value-invalid'],
  ['to: "25:00"', 'to: "12:00"', 'value-invalid'],
  ['for: 121m', 'for: 30m', 'drill-long'],
  ['', ', for: 30m', 'key-missing'],
])('%s in place of %s: %s', async (wrong, right, code) => {
  const text = drill('')['drills.yaml']!
  expect(text).toContain(right)
  const problems = await briefsOf({ ...FILES, 'drills.yaml': text.replace(right, wrong) })
  expect(problems.map((problem) => problem.split(' ').at(-1))).toEqual([code])
})
