/** A World from YAML text, as `serve` would build it: real loader, real compiler, a small database. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { makeResponder, type Responder } from '../../src/answer/responder.ts'
import { C_ANSWERS, makeCounters } from '../../src/counters.ts'
import { healthWord, makeHealthTable, UP, type HealthTable } from '../../src/health/table.ts'
import { makeBuilder, type WorldBuild } from '../../src/world/build.ts'
import { madeOf } from '../support/build.ts'
import { SYSTEMS, writeTestDatabase } from '../support/mmdb.ts'

export interface TestNode {
  readonly made: WorldBuild
  readonly health: HealthTable
  readonly responder: Responder
  /** Member name → its slot. */
  readonly slots: ReadonlyMap<string, number>
  set(member: string, word: number): void
}

/** Files by path below the folder. Everything starts up, calm and with its full share. `step`: distance of slots. */
export async function makeNode(
  files: Readonly<Record<string, string>>,
  step = 1,
  health = makeHealthTable(),
): Promise<TestNode> {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-world-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      const path = join(folder, 'zones', name)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    }
    const city = join(folder, 'city.mmdb')
    writeTestDatabase(city, { schema: 'maxmind' })
    const asn = join(folder, 'asn.mmdb')
    writeTestDatabase(asn, { schema: 'maxmind', networks: SYSTEMS })
    const settings = { zones: join(folder, 'zones'), city: [city], asn: [asn] }
    return startNode(madeOf(await makeBuilder(settings).build()), step, health)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A node that serves a World. Everything is up, calm and with its full share. */
export function startNode(made: WorldBuild, step = 1, health = makeHealthTable()): TestNode {
  const slots = new Map<string, number>()
  for (const service of made.world.services) {
    service.counter.fill(C_ANSWERS)
    for (const [vip, member] of service.members.entries()) {
      const slot = slots.size * step
      slots.set(member, slot)
      service.slot[vip] = slot
      health[slot] = healthWord(UP, 1000, true)
    }
  }
  const set = (member: string, word: number): void => {
    const slot = slots.get(member)
    if (slot === undefined) throw new Error(`no member ${member}`)
    health[slot] = word
  }
  return { made, health, responder: makeResponder(made.world, health, makeCounters()), slots, set }
}

/** A small generator of 32-bit numbers with a seed (xorshift, Marsaglia 2003). */
export function seeded(seed: number): () => number {
  let state = seed | 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}
