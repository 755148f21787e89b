/** `zones.maxMove` at the builder: which zones are served, what is told of it, and what a restart makes of it. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  type BuildReport,
  type BuildResult,
  makeBuilder,
  type WorldBuild,
  type WorldBuilder,
} from '../../src/world/build.ts'
import { acceptZones } from '../../src/world/zone-hold.ts'
import { madeOf } from '../support/build.ts'
import { FIXTURE, writeTestDatabase } from '../support/mmdb.ts'

const ZONES = {
  'defaults.yaml': 'soa: {mname: ns1.demo.example., rname: h.demo.example., serial: 7}\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\nsin: {location: [1.36, 103.99]}\n',
  'services.yaml':
    'web: {sites: {fra: {vips: [192.0.2.1]}, iad: {vips: [192.0.2.2]}, sin: {vips: [192.0.2.3]}}, check: none}\n',
  'demo.example.yaml':
    '"": {type: NS, values: [ns1.demo.example.]}\nns1: {type: A, values: [192.0.2.53]}\nwww: {type: GSLB, service: web}\n',
}
const MORE = `${ZONES['demo.example.yaml']}more: {type: A, value: 192.0.2.8}\n`
/** Singapore is drained. */
const DRAINED = ZONES['sites.yaml'].replace('103.99]', '103.99], drained: true')

let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-zone-hold-'))
  mkdirSync(join(folder, 'zones'))
  for (const [file, text] of Object.entries(ZONES)) write(file, text)
  writeTestDatabase(join(folder, 'city.mmdb'), { schema: 'maxmind', networks: FIXTURE, buildEpoch: 1_790_000_000 })
})
afterEach(() => rmSync(folder, { recursive: true }))

const write = (file: string, text: string): void => writeFileSync(join(folder, 'zones', file), text)

const builder = (limit = 0.01): WorldBuilder =>
  makeBuilder({
    zones: join(folder, 'zones'),
    city: [join(folder, 'city.mmdb')],
    cache: join(folder, 'cache'),
    tidiesCache: true,
    state: folder,
    zonesMaxMove: limit,
  })

/** Builds as a node does: what is served is kept for the next start. */
async function build(node: WorldBuilder, ifChanged = false): Promise<BuildResult<WorldBuild>> {
  const result = await node.build({ ifChanged })
  expect(node.saveLastGood()).toBeUndefined()
  return result
}

const drained = (built: BuildResult<WorldBuild>): boolean => madeOf(built).context.sites.get('sin')!.drained
const told = ({ problems }: BuildReport): readonly string[] => problems.map(({ code, message }) => `${code} ${message}`)

test('a commit that moves too many waits as a whole; accepted, it is served, and no other', async () => {
  const node = builder()
  const first = await build(node)
  expect([told(first), first.zonesHeld]).toEqual([[], undefined])
  write('sites.yaml', DRAINED)
  write('demo.example.yaml', MORE)
  const held = await build(node)
  expect(drained(held)).toBe(false)
  expect(madeOf(held).nameCount).toBe(madeOf(first).nameCount)
  expect(madeOf(held).view).toBe(madeOf(first).view)
  expect(told(held)).toEqual([
    expect.stringMatching(
      /^zones-held these zones are not used: clients move: [\d.]+ % of the IPv\d clients of web \(.* sin → .*\); more than 1 %\. Those before them are used$/,
    ),
  ])
  expect(held.problems[0]).toMatchObject({
    severity: 'warning',
    hint: expect.stringContaining('meridian zones accept'),
  })
  const { build: hash, moves } = held.zonesHeld!
  expect(moves.services).toEqual([expect.objectContaining({ service: 'web' })])
  // what is served is not built again, and the hold is still told
  const again = await build(node, true)
  expect([again.kind, again.zonesHeld?.build, told(again)]).toEqual(['unchanged', hash, told(held)])

  acceptZones(folder, hash)
  const accepted = await build(node, true)
  expect([drained(accepted), accepted.zonesHeld, told(accepted)]).toEqual([true, undefined, []])
  expect(madeOf(accepted).nameCount).toBe(madeOf(first).nameCount + 1)

  // the next one is judged by itself: to undo it is a move as well
  write('sites.yaml', ZONES['sites.yaml'])
  const next = await build(node)
  expect([drained(next), next.zonesHeld === undefined]).toEqual([true, false])
})

test('the maps of what waits are kept, so that neither a restart nor an acceptance compiles', async () => {
  const node = builder()
  await build(node)
  const before = readdirSync(join(folder, 'cache'))
  write('sites.yaml', ZONES['sites.yaml'].replace('1.36', '-1.36').replace('50.11', '-50.11'))
  for (const held of [await build(node), await build(builder())]) {
    expect(held.zonesHeld).toBeDefined()
    const kept = readdirSync(join(folder, 'cache'))
    expect(kept).toEqual(expect.arrayContaining(before))
    expect(kept).toHaveLength(before.length + 1)
  }
})

test('undoing the commit ends the wait; what moves nobody never waits', async () => {
  const node = builder(0)
  const first = await build(node)
  write('demo.example.yaml', MORE)
  expect(madeOf(await build(node)).nameCount).toBe(madeOf(first).nameCount + 1)
  write('sites.yaml', DRAINED)
  expect((await build(node)).zonesHeld).toBeDefined()
  write('sites.yaml', ZONES['sites.yaml'])
  const undone = await build(node, true)
  expect([undone.kind, undone.zonesHeld, told(undone)]).toEqual(['unchanged', undefined, []])
})

test('a restart holds it back still; one that has lost what was served uses it', async () => {
  await build(builder())
  write('sites.yaml', DRAINED)
  for (let restart = 0; restart < 2; restart++) {
    const held = await build(builder())
    expect([drained(held), held.zonesHeld?.moves.services[0]?.service]).toEqual([false, 'web'])
  }
  rmSync(join(folder, 'last-good'))
  const lost = await build(builder())
  expect([drained(lost), lost.zonesHeld]).toEqual([true, undefined])
  const after = await build(builder())
  expect([drained(after), told(after)]).toEqual([true, []])
})

test('below the limit, and with 100 %, it is served at once', async () => {
  for (const limit of [0.9, 1]) {
    write('sites.yaml', ZONES['sites.yaml'])
    rmSync(join(folder, 'last-good'), { force: true })
    const node = builder(limit)
    await build(node)
    write('sites.yaml', DRAINED)
    const used = await build(node)
    expect([drained(used), used.zonesHeld]).toEqual([true, undefined])
  }
})

test('zones with errors are refused and not held; those that wait are no last good ones', async () => {
  const node = builder()
  await build(node)
  write('sites.yaml', DRAINED)
  expect((await build(node)).zonesHeld).toBeDefined()
  write('demo.example.yaml', 'www: {type: NONSENSE}\n')
  const broken = await build(node)
  expect([broken.kind, broken.zonesHeld]).toEqual(['unchanged', undefined])
  const restarted = await build(builder())
  expect([drained(restarted), restarted.fallback?.zones === undefined]).toEqual([false, false])
})
