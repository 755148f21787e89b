/** The queries of the API's GET routes, as zod schemas. Used by routes.ts; bodies.ts has those of POST routes. */
import { z } from 'zod'
import { NO_SHARE, readShare } from './bodies.ts'
import type { Question, StatusFilter } from './contract.ts'

/** A route that takes no query. */
export const NO_QUERY = z.strictObject({})

/** One value. */
export const one = z
  .string({ error: ({ input }) => (input === undefined ? 'is missing' : 'is given more than once') })
  .max(1024, 'has more than 1024 characters')

/** A key that may be repeated: one value or more. */
const several = z.preprocess(
  (given) => (typeof given === 'string' ? [given] : given),
  z.array(one, 'is missing').max(100, 'has more than 100 values'),
)

/** A key that may be repeated: no value, one or more. */
export const many = several.default([])

/** `yes` or `no`. */
const yesOrNo = (otherwise: 'yes' | 'no') =>
  z
    .enum(['yes', 'no'], { error: ({ input }) => `is yes or no, not ${JSON.stringify(input)}` })
    .default(otherwise)
    .transform((given) => given === 'yes')

/** The keys of a filter of members. */
export const FILTER = {
  service: many.describe('only members of this service'),
  site: many.describe('only members at this site'),
  hurt: yesOrNo('no').describe('`yes`: only members that are not up, held or braked'),
}

/** Reads the query of GET /api/status; undefined: no filter. */
export const STATUS: z.ZodType<StatusFilter | undefined> = z
  .strictObject(FILTER)
  .transform(({ service, site, hurt }) =>
    hurt || service.length + site.length > 0 ? { services: service, sites: site, hurt } : undefined,
  )

/** Reads the query of GET /api/explain. */
export const EXPLAIN: z.ZodType<Question> = z
  .strictObject({
    name: one.describe('the name that is asked for'),
    client: one.describe('address of the client, or its network as resolvers send it (`192.0.2.0/24`)'),
    type: one.default('A').describe('type of the query'),
    down: many.describe('what if SITE, SITE/SERVICE or SITE/SERVICE/VIP were down'),
    drain: many.describe('what if it were drained'),
    resolver: one.optional().describe('address that the query comes from; the client without it'),
    ecs: yesOrNo('yes').describe('`no`: the resolver sends no client subnet'),
  })
  .transform(({ resolver, ...rest }) => ({ ...rest, ...(resolver !== undefined && { resolver }) }))

/** Reads the query of GET /api/outlook. */
export const OUTLOOK = z.strictObject({
  pattern: several.describe('SITE, SITE/SERVICE or SITE/SERVICE/VIP'),
  to: one
    .default('0%')
    .transform((written, context) => {
      const share = readShare(written)
      if (share !== undefined) return share
      context.addIssue({ code: 'custom', message: NO_SHARE })
      return z.NEVER
    })
    .describe('the share of their clients that the members keep, below 100%'),
})

/** Reads the query of GET /api/world. */
export const WORLD = z.strictObject({
  service: one.optional().describe('the service; the first one without it'),
  clients: z
    .enum(['ipv4', 'ipv6'], { error: ({ input }) => `is ipv4 or ipv6, not ${JSON.stringify(input)}` })
    .default('ipv4')
    .describe('what clients are counted in: `ipv4` addresses, or `ipv6` networks'),
})
