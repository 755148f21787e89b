/**
 * The forms of the API's responses, for its description (openapi.ts); tests hold responses of a running node to them. More
 * keys may be added: who reads a response takes no notice of those that they do not know. What is large is described in
 * docs/api.md, and here by its first level.
 */
import { z } from 'zod'
import { ANSWER_STAGES } from '../counters.ts'

const texts = z.array(z.string())
const percent = z.number().min(0).max(100)
const unixMs = z.number().describe('Unix time in ms')
const object = z.looseObject({})

/** The body of GET /ready. */
export const READINESS = z.looseObject({
  ready: z.boolean(),
  reasons: texts.describe('why not; empty when ready'),
  warnings: texts.describe('what is served instead of the files on disk, and why'),
})

/** The body of GET /announce. */
export const ANNOUNCEMENT = z.looseObject({
  announced: z.boolean(),
  why: z.string().describe('empty: nothing is wrong'),
})

/** The response to POST /api/announce. */
export const NODE_WORD = z.looseObject({
  ready: z.boolean(),
  stopping: z.boolean(),
  zone: z.string().describe('a zone that the canary asks for'),
})

/** The body of GET /api/status: a node's has `services`, a prober's `targets`. */
export const STATUS_BODY = z
  .looseObject({
    role: z.enum(['serve', 'probe']),
    node: object,
    load: object.nullable(),
    store: object,
    probing: object.nullable(),
    troubles: texts.describe('operational trouble as it is now'),
    services: z.array(object).optional(),
    targets: z.array(object).optional(),
  })
  .describe('see Status below')

/** The body of GET /api/summary. */
export const SUMMARY = z
  .looseObject({ role: z.enum(['serve', 'probe']), node: object, troubles: texts })
  .describe('see Status below')

const perSecond = z.number().describe('a second, over the last 5 to 10 s')
const inHour = z.number().nullable().describe('a second, on average of that hour; null: unknown')

/** A service of the board, with its sites. */
const SERVICE_ROW = z.looseObject({
  service: z.string(),
  spill: z.int().describe('over how many sites the clients of a dead site are divided'),
  braked: z.int().describe('how many members the brake keeps in the answers'),
  sites: z.array(
    z.looseObject({
      site: z.string(),
      capacity: z.number().describe('relative to other sites'),
      share: z.number().describe('of their traffic that its members take now, in ‰, on average'),
      answersPerSecond: perSecond,
      stages: z
        .array(z.looseObject({ stage: z.enum(ANSWER_STAGES), answersPerSecond: perSecond }))
        .describe('the answers by the stage that found the site'),
      before: z
        .looseObject({ day: inHour, week: inHour })
        .describe('answers in the same hour of the day before, and a week before'),
    }),
  ),
})

/** The body of GET /api/board. */
export const BOARD = z
  .looseObject({
    atMs: unixMs,
    summary: object,
    sites: z.array(object),
    services: z.array(SERVICE_ROW),
    votes: object,
    events: z.int().describe('another number when GET /api/events has something new'),
  })
  .describe('see Board and world below')

/** The body of GET /api/world. */
export const WORLD_VIEW = z
  .looseObject({
    service: z.string(),
    clients: z.enum(['ipv4', 'ipv6']),
    countries: z.array(object),
    sites: z.array(object),
  })
  .describe('see Board and world below')

/** The body of GET /api/explain. */
export const EXPLAINED = z
  .looseObject({ source: object, name: z.string(), type: z.string(), client: z.string(), rcode: z.string() })
  .describe('see Explain below')

/** The body of GET /api/events. */
export const EVENT_PAGE = z
  .looseObject({
    events: z.array(
      z.looseObject({
        id: z.string(),
        atMs: unixMs,
        node: z.string(),
        witnesses: texts.describe('the nodes that saw it'),
        kind: z.string(),
        severity: z.enum(['info', 'warning', 'critical']),
        subject: z.string(),
        before: z.string().nullable(),
        after: z.string().nullable(),
        why: z.string(),
        sinceMs: unixMs.nullable().describe('since when it was as `before`'),
      }),
    ),
    next: z.string().nullable().describe('`cursor` of the next page; null: this is the last'),
  })
  .describe('see docs/events.md')

/** The body of GET /api/outlook. */
export const OUTLOOKED = z.looseObject({
  pattern: z.string(),
  members: texts,
  services: z.array(
    z.looseObject({
      service: z.string(),
      leftNowPercent: percent,
      leftThenPercent: percent,
      keepPercent: percent,
      lost: texts.describe('`A`, `AAAA`: of which no member would be up any more'),
      safe: z.boolean(),
    }),
  ),
  safe: z.boolean(),
  why: z.string(),
})

const notKept = z
  .array(z.looseObject({ where: z.enum(['disk', 'store']), why: z.string() }))
  .describe('where it is not stored so far: `disk` (a restart would lose it), `store` (Redis)')
const reached = texts.describe('the nodes that have acknowledged it')
const unreached = z.array(z.looseObject({ node: z.string(), why: z.string() })).describe('the nodes that have not')

/** An override in force. */
const OVERRIDE_VIEW = z.looseObject({
  pattern: z.string(),
  action: z.string(),
  who: z.string(),
  why: z.string(),
  madeMs: unixMs,
  untilMs: unixMs.nullable(),
  leftMs: z.number().nullable().describe('time until it ends; null: not before it is undone'),
})

/** An item of GET /api/overrides. */
export const OVERRIDE_STATUS = z.looseObject({
  override: OVERRIDE_VIEW,
  members: z.int().describe('how many members it matches now'),
  orphaned: z.boolean().describe('a change of the zones has left it without any'),
})

/** An item of GET /api/members. */
export const MEMBER = z.looseObject({
  member: z.string().describe('SITE/SERVICE/VIP'),
  site: z.string(),
  service: z.string(),
  state: z.string(),
  held: z.boolean(),
  braked: z.boolean(),
  why: z.string(),
  share: z.number().describe('of its traffic that it takes now, in ‰'),
  ageMs: z.number().describe('how long it has been so'),
})

const overridden = {
  done: OVERRIDE_VIEW.describe('what is in force for the pattern now, as read back from Redis'),
  before: OVERRIDE_VIEW.optional().describe('what was in force before'),
  members: texts.describe('the members that match'),
}
const spread = {
  notKept,
  reached,
  unreached,
  services: z.array(
    z.looseObject({
      service: z.string(),
      leftBeforePercent: percent,
      leftPercent: percent,
      keepPercent: percent,
      lastResort: z.boolean(),
    }),
  ),
}

/** The body of POST /api/overrides: of one override, or of a list of them. */
export const OVERRIDDEN = z.union([
  z.looseObject({ ...overridden, ...spread }),
  z.looseObject({ overrides: z.array(z.looseObject(overridden)), ...spread }),
])

const FREEZE_STATUS = z
  .looseObject({
    node: z.string(),
    who: z.string(),
    why: z.string(),
    madeMs: unixMs,
    untilMs: unixMs.nullable(),
    leftMs: z.number().nullable(),
    down: z.int().describe('how many members count as down by it'),
    kept: z.int().describe('how many members go against their verdicts'),
    yields: texts.describe('services that go by their verdicts in spite of it'),
  })
  .nullable()

/** The body of POST /api/freeze. */
export const FROZEN = z.looseObject({
  freeze: FREEZE_STATUS.describe('what is in force now; null: none'),
  before: FREEZE_STATUS,
  notKept,
  reached,
  unreached,
})

/** The body of POST /api/return. */
export const RETURNED = z.looseObject({
  returned: texts.describe('SITE/SERVICE'),
  waiting: z
    .array(z.looseObject({ subject: z.string(), why: z.string() }))
    .describe('what matches too, and stays passed over: it is not well'),
  freeze: FREEZE_STATUS.describe('a freeze that is in force meanwhile'),
  ...spread,
})

/** A drill, running or over. */
const DRILL_REPORT = z.looseObject({
  pattern: z.string(),
  who: z.string(),
  why: z.string(),
  abortIf: texts,
  beganMs: z.number(),
  forMs: z.number(),
  lastedMs: z.number(),
  outcome: z
    .enum(['running', 'complete', 'aborted', 'undone', 'lost'])
    .describe('`undone`: by an operator; `lost`: its node ended meanwhile, and the drain in its time'),
  reason: z.string().describe('why it ended; empty while it runs'),
  services: z.array(z.looseObject({ service: z.string(), beforePercent: percent, leastPercent: percent })),
  answers: z
    .array(
      z.looseObject({
        site: z.string(),
        before: perSecond,
        least: perSecond,
        most: perSecond,
        last: perSecond,
        leftAfterMs: z.number().nullable().describe('when the site first had a tenth of its answers; null: never'),
      }),
    )
    .describe('steered answers of the nodes below, by site'),
  queries: z.looseObject({ before: perSecond, most: perSecond }),
  nodes: z.looseObject({
    counted: texts.describe('nodes whose answers and queries are counted, the one that watches first'),
    missing: texts.describe('nodes that did not tell theirs, or not to the end'),
  }),
})

/** The body of GET /api/drills. */
export const DRILLS = z.looseObject({ drills: z.array(DRILL_REPORT) })

/** The body of POST /api/drills. */
export const DRILLED = z.looseObject({ drill: DRILL_REPORT, ...spread })

/** The body of POST /api/forget. */
export const FORGOTTEN = z.looseObject({ forgotten: z.string(), notKept, reached, unreached })

/** The body of POST /api/geo/accept and /api/zones/accept. */
export const ACCEPTED = z.looseObject({
  accepted: z.looseObject({ build: z.string() }).describe('what was held back; it is loaded now'),
})
