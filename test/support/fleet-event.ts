/** Events of a fleet, for what is made of them. */
import type { FleetEvent } from '../../src/events/event.ts'

let numbers = 0

/** An event of node n1 that says nothing but what is given, with an id of its own. */
export const fleetEvent = (more: Partial<FleetEvent>): FleetEvent => ({
  id: `n1.a.${++numbers}`,
  atMs: 0,
  node: 'n1',
  kind: 'zones',
  severity: 'info',
  subject: 'zones',
  before: null,
  after: null,
  why: '',
  sinceMs: null,
  witnesses: ['n1'],
  ...more,
})
