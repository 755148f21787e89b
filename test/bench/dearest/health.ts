/** The states that a service's members can be in, as a search tries them: written to the table as the node would. */
import type { Responder } from '../../../src/answer/responder.ts'
import { DOWN, DRAINED, FORCED_DOWN, HEALTH_SLOTS, healthWord, UNPROVEN, UP } from '../../../src/health/table.ts'

type Word = (vip: number, count: number) => number

const up = healthWord(UP, 1000, true)
const down = healthWord(DOWN, 1000, true)
const FORMS: Readonly<Record<HealthForm, Word>> = {
  up: () => up,
  down: () => down,
  'forced down': () => healthWord(FORCED_DOWN, 1000, true),
  drained: () => healthWord(DRAINED, 1000, true),
  unproven: () => healthWord(UNPROVEN, 1000, true),
  'at half share': () => healthWord(UP, 500, true),
  'at no share': () => healthWord(UP, 0, true),
  'half down': (vip) => (vip % 2 === 0 ? up : down),
  'first half down': (vip, count) => (vip < count / 2 ? down : up),
  'down but the last': (vip, count) => (vip === count - 1 ? up : down),
  'down but the last two': (vip, count) => (vip >= count - 2 ? up : down),
  'down but the last, drained': (vip, count) => (vip >= count - 2 ? healthWord(DRAINED, 1000, true) : down),
  'down but the last, at no share': (vip, count) => (vip >= count - 2 ? healthWord(UP, 0, true) : down),
  mixed: (vip) =>
    [up, down, healthWord(UNPROVEN, 1000, false), healthWord(DRAINED, 1000, true), healthWord(UP, 10, true)][vip % 5]!,
}

export type HealthForm = string
export const HEALTH_FORMS: readonly HealthForm[] = Object.keys(FORMS)

let written: { readonly health: Int32Array; readonly form: HealthForm } | undefined

/** All members of all services; the peers bench's stay up, so that the ordinary query is always the same. */
export function writeHealth({ world, health }: Responder, form: HealthForm): void {
  if (written?.health === health && written.form === form) return
  written = { health, form }
  let slot = 0
  for (const [i, service] of world.services.entries()) {
    const count = service.members.length
    service.word = HEALTH_SLOTS + i
    for (let vip = 0; vip < count; vip++) {
      service.slot[vip] = slot
      const word = service.name === 'web' ? up : FORMS[form]!(vip, count)
      health[slot++] = word
    }
    health[service.word]!++
  }
}
