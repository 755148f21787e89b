/** A node and a prober without anything behind them: what the routes made of requests. */
import type { AcceptBody, DrillBody, ForgetBody, FreezeBody, OverrideBody, ReturnBody } from '../../src/api/bodies.ts'
import type { Node, ProcessView, Question, StatusFilter } from '../../src/api/contract.ts'

/** What was heard since the test began; cleared by forgetAll(). */
export const heard: {
  bodies: (OverrideBody | DrillBody | ForgetBody | FreezeBody | ReturnBody | AcceptBody)[]
  questions: Question[]
  filters: (StatusFilter | undefined)[]
  reasons: string[]
} = { bodies: [], questions: [], filters: [], reasons: [] }

export const forgetAll = (): void => void Object.assign(heard, { bodies: [], questions: [], filters: [], reasons: [] })

/** A process that only probes. */
export const prober: ProcessView = {
  readiness: () => ({ ready: heard.reasons.length === 0, reasons: heard.reasons, warnings: [] }),
  metrics: async () => 'meridian_ready 1\n',
  status: async (filter) => {
    heard.filters.push(filter)
    return filter?.sites.includes('nowhere') === true ? 'there is no site “nowhere”' : { node: { name: 'n1' } }
  },
  summary: async () => ({}),
}

/** `m-0` to `m-249`, in no order. */
export const MEMBERS = Array.from({ length: 250 }, (_, i) => {
  const site = `m-${(i * 7) % 250}`
  const standing = {
    held: false,
    braked: false,
    frozen: false,
    why: '',
    share: 1000,
    ageMs: 1,
    dissent: undefined,
    state: 'up' as const,
  }
  return { member: `${site}/web/192.0.2.1`, site, service: 'web', ...standing }
})

export const node: Node = {
  ...prober,
  explain: (question) => {
    heard.questions.push(question)
    return question.client === 'nobody' ? '“nobody” is no IP address' : { scope: 24 }
  },
  members: ({ sites }) => (sites.includes('nowhere') ? 'there is no site “nowhere”' : MEMBERS),
  overrides: () => [],
  announce: () => ({ ready: true, stopping: false, zone: 'example.com.' }),
  announcement: () => ({ announced: heard.reasons.length === 0, why: heard.reasons.join() }),
  events: () => ({ events: [], next: null }),
  eventFeed: () => ({ next: async () => undefined }),
  board: async (known, waits) => {
    const etag = waits || known !== '"1"' ? '"2"' : '"1"'
    return { etag, bytes: new TextEncoder().encode(JSON.stringify({ atMs: 1, waits })) }
  },
  world: async (service, clients) =>
    service === 'none' ? 'there is no service “none”' : service === 'early' ? undefined : { service, clients },
  outlook: (patterns, to) =>
    patterns.includes('far') ? 'nothing is named far' : { safe: true, ...(to > 0 && { patterns, to }) },
  override: async (body) => {
    heard.bodies.push(body)
    return body.pattern === 'fra'
      ? { members: ['fra/web/192.0.2.1'] }
      : { refused: `nothing is named ${body.pattern}`, hint: 'Did you mean fra?' }
  },
  overrideAll: async (bodies) => {
    heard.bodies.push(...bodies)
    return bodies.some(({ pattern }) => pattern === 'far') ? { refused: 'nothing is named far' } : { overrides: [] }
  },
  freeze: async (body) => {
    heard.bodies.push(body)
    return body.action === 'freeze' ? { freeze: {} } : { refused: 'there is no freeze in force' }
  },
  return: async (body) => {
    heard.bodies.push(body)
    return body.pattern === 'fra' ? { returned: ['fra/web'] } : { refused: 'nothing awaits it' }
  },
  drill: async (body) => {
    heard.bodies.push(body)
    return body.pattern === 'far' ? { refused: 'nothing is named far' } : { drill: { pattern: body.pattern } }
  },
  drills: () => [],
  forget: async (body) => {
    heard.bodies.push(body)
    return body.name === 'p1' ? { forgotten: 'p1' } : { refused: 'p2 is live' }
  },
  acceptGeo: async (body) => {
    heard.bodies.push(body)
    return body.build === 'other' ? { refused: 'another build waits' } : { accepted: {} }
  },
  acceptZones: async (body) => {
    heard.bodies.push(body)
    return { accepted: {} }
  },
}
